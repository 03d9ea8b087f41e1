"""How soon a person should look: what is wrong times how many may see it.

May hold the one formula of a message's priority and the words that explain it (`docs/rules.md` shows it).
"""

from __future__ import annotations

from dataclasses import dataclass

from rules.meaning.contract import Claim, Evidence, Priority
from rules.meaning.policy import MeaningPolicy
from rules.meaning.reading import Reading
from rules.message import Message


@dataclass(frozen=True, slots=True)
class ReachRule:
    """How many may read it: followers of the writer, or views of the message, whichever step is higher."""

    policy: MeaningPolicy

    def weigh(self, message: Message, reading: Reading) -> tuple[Evidence, ...]:
        """One piece of evidence of score 1 or 2 (steps of priority) for REACH; none for a private message."""
        if not message.public:
            return ()
        policy = self.policy
        followers, reach = message.author.followers or 0, message.reach or 0
        by_followers = _steps(followers, policy.followers_high, policy.followers_urgent)
        by_reach = _steps(reach, policy.reach_high, policy.reach_urgent)
        if by_followers == by_reach == 0:
            return ()
        if by_followers >= by_reach:
            return (Evidence(Claim.REACH, float(by_followers), f"{followers:,} followers may see it"),)
        return (Evidence(Claim.REACH, float(by_reach), f"a reach of {reach:,} so far"),)


def _steps(number: int, high: int, urgent: int) -> int:
    return int(number >= high) + int(number >= urgent)


def priority_of(
    *, complaint: bool, severe: bool, reach_steps: int, needs_reply: bool
) -> tuple[Priority, str]:
    """The priority, and its parts in words.

    Points: a complaint 1, a severe one (danger, law, press, leaving) 1 more, reach 0 to 2. Nobody waits and
    nothing is wrong: LOW, whatever the reach. Else 0 or 1 points: NORMAL, 2: HIGH, 3 and more: URGENT.
    """
    if not complaint and not needs_reply:
        return Priority.LOW, ""
    parts: list[str] = []
    points = reach_steps
    if complaint:
        points += 1
        parts.append("complaint 1")
        if severe:
            points += 1
            parts.append("severe 1")
    if reach_steps:
        parts.append(f"reach {reach_steps}")
    priority = Priority.NORMAL if points < 2 else Priority.HIGH if points == 2 else Priority.URGENT
    return priority, "" if priority is Priority.NORMAL else f"priority {priority}: " + " + ".join(parts)
