"""The people of the care team: who they are, and who is on shift. Pure: their hours and the time are
given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rules.hours import Calendar


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who answers customers. `slack` is a Slack user id. `signature` ends the replies that they
    write in the brand's name ("^AN"). `shift` names the calendar of their hours; None: they are never on
    shift, and are called only for what is assigned to them."""

    name: str
    slack: str | None = None
    email: str | None = None
    signature: str | None = None
    shift: str | None = None


def find_person(people: Sequence[Person], word: str | None) -> Person | None:
    """Who is meant by a name, a Slack id or an email address, whatever the case of its letters; None:
    nobody that the config knows."""
    if word is None:
        return None
    wanted = word.strip().removeprefix("@").casefold()
    for person in people:
        if wanted in {x.casefold() for x in (person.name, person.slack, person.email) if x}:
            return person
    return None


def on_shift(
    people: Sequence[Person], calendars: Mapping[str, Calendar | None], now: datetime
) -> tuple[Person, ...]:
    """Who is on shift then, in the order of the config. `calendars` by name; None is never closed. A shift
    whose calendar is not among them has no hours."""
    found = []
    for person in people:
        if person.shift is None or person.shift not in calendars:
            continue
        hours = calendars[person.shift]
        if hours is None or hours.is_open(now):
            found.append(person)
    return tuple(found)


def signed_by(people: Sequence[Person], text: str) -> Person | None:
    """Who wrote a reply of the brand, by the signature at its end; None where nobody signed. Where one
    signature ends another, the longer is meant."""
    end = text.rstrip()
    signers = [p for p in people if p.signature and _ends(end, p.signature)]
    return max(signers, key=lambda p: len(p.signature or ""), default=None)


def _ends(text: str, signature: str) -> bool:
    """Whether the text ends with the signature as a word of its own: "Norman" is not signed "an"."""
    if not text.endswith(signature):
        return False
    before = text[: -len(signature)][-1:]
    return not (before.isalnum() and signature[0].isalnum())
