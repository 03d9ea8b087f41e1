"""The whole small internet in one place: platforms, people, sinks for alerts, and the truth about it all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType

from simulator.colleagues import CHANNEL, Colleagues
from simulator.deeds import Said
from simulator.faults import Fault, FaultKind, Faults
from simulator.mail import MailSink
from simulator.population import (
    BRAND,
    OTHER_BRAND,
    OTHER_HANDLE,
    REDDIT_HANDLE,
    SUBREDDIT,
    X_HANDLES,
    Outage,
    Plan,
    Script,
    add_brand,
)
from simulator.promises import Promises, make_promises
from simulator.reddit_api import RedditAccess, make_reddit_app
from simulator.scenes import make_script
from simulator.serve import Served
from simulator.slack_api import SlackWorkspace, make_slack_app
from simulator.truth import TrueCase, ground_truth
from simulator.world import Clock, Form, Platform, World, Writing
from simulator.x_api import XAccess, make_x_app

SLACK_TOKEN = "xoxb-simulated-token"
_REDDIT_KINDS = {Form.COMMENT: "t1", Form.POST: "t3", Form.DM: "t4"}

# What goes wrong on an ordinary day: the shares of requests, by the part of the path.
_ORDINARY_FAULTS = (
    ("/2/", Fault(FaultKind.ERROR, status=503), 0.02),
    ("/2/", Fault(FaultKind.TRUNCATED), 0.01),
    ("/2/", Fault(FaultKind.DROP), 0.01),
    ("/2/tweets/search", Fault(FaultKind.HTML), 0.02),
    ("/2/tweets/search", Fault(FaultKind.HANG, seconds=20.0), 0.02),
    ("/mentions", Fault(FaultKind.MALFORMED), 0.05),
    ("/mentions", Fault(FaultKind.DOUBLE), 0.10),
    ("/comments", Fault(FaultKind.DOUBLE), 0.10),
    ("/message/", Fault(FaultKind.ERROR, status=502), 0.02),
    ("/user/", Fault(FaultKind.TRUNCATED), 0.01),
    ("/search", Fault(FaultKind.DELAY, seconds=10.0), 0.05),
)
_SLACK_FAULTS = (
    ("/api/chat", Fault(FaultKind.ERROR, status=500), 0.03),
    ("/api/chat", Fault(FaultKind.RATE_LIMIT, headers=(("retry-after", "3"),)), 0.05),
)


@dataclass(frozen=True, slots=True)
class Heard:
    """One alert that a sink accepted. `update`: it changed an earlier message. `text` is all that it says,
    as plainly as the sink has it."""

    channel: str
    key: str
    at: datetime
    headline: str
    update: bool = False
    text: str = ""


class Town:
    """A world with its servers. Use it as a context manager; then the addresses are set."""

    brand = BRAND
    other_brand = OTHER_BRAND
    other_handle = OTHER_HANDLE
    lead_mailbox = "lead@acme.example"

    def __init__(
        self,
        world: World,
        script: Script | None,
        faults: Faults,
        slack_faults: Faults,
        outage_faults: Faults,
        promises: Promises,
    ) -> None:
        self.world = world
        self.script = script
        self.promises = promises
        self.x_access = {handle: XAccess.of(handle) for handle in (*X_HANDLES, OTHER_HANDLE)}
        self.reddit_access = RedditAccess.of(REDDIT_HANDLE)
        self.subreddit = SUBREDDIT
        self.faults = faults
        self.slack = SlackWorkspace(world.clock, SLACK_TOKEN, channels=(CHANNEL,))
        self.mail = MailSink(world.clock)
        self._slack_faults = slack_faults
        self._outage_faults = outage_faults
        self.colleagues: Colleagues | None = None
        if script is not None:
            self.colleagues = Colleagues(world, self.slack, script, self._plans(script))
        self._stack = ExitStack()
        self.x_url = self.reddit_url = self.slack_url = ""

    @property
    def mail_port(self) -> int:
        return self.mail.port

    def secrets(self) -> Mapping[str, str]:
        """What the daemon's environment must hold, by the names that the demo's config uses."""
        found = {"DEMO_SLACK_TOKEN": SLACK_TOKEN, "DEMO_SLACK_APP_TOKEN": self.slack.app_token}
        for handle, access in self.x_access.items():
            for name in ("consumer_key", "consumer_secret", "access_token", "access_token_secret"):
                found[f"DEMO_X_{handle}_{name}".upper()] = getattr(access, name)
        found["DEMO_REDDIT_SECRET"] = self.reddit_access.client_secret
        found["DEMO_REDDIT_PASSWORD"] = self.reddit_access.password
        return found

    def __enter__(self) -> Town:
        x = make_x_app(self.world, list(self.x_access.values()), faults=self.faults)
        reddit = make_reddit_app(self.world, [self.reddit_access], faults=self.faults)
        reddit = self._outage_faults.wrap(reddit)
        slack = make_slack_app(self.slack, self._slack_faults)
        self.x_url = self._stack.enter_context(Served(x)).url
        self.reddit_url = self._stack.enter_context(Served(reddit)).url
        self.slack_url = self._stack.enter_context(Served(slack)).url + "/api"
        self._stack.enter_context(self.mail)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def truth(self, end: datetime, said: Iterable[Said] = ()) -> list[TrueCase]:
        """What really happened by then, with what the care team pressed."""
        return [] if self.script is None else ground_truth(self.script, end, said)

    def outages(self) -> list[Outage]:
        """When nobody could read what was written where."""
        return [] if self.script is None else self.script.outages

    def message_id(self, case: TrueCase) -> str:
        """The id under which a client of the platform's wire format stores the case's first message."""
        return _message_id(case.first)

    def subject(self, case: TrueCase) -> str:
        """What a client calls the case whose first message this is: brand, platform, message."""
        return f"{case.brand}/{case.platform.value}/{self.message_id(case)}"

    def subjects(self, truth: Iterable[TrueCase]) -> dict[str, str]:
        """The same by each of a case's messages: a client that reads a later one first calls the case by
        that. No customer has two cases."""
        by_customer = {(case.platform, case.customer_id): case for case in truth}
        found = {}
        for writing in self.world.all():
            case = by_customer.get((writing.platform, writing.author.id))
            if case is not None:
                name = f"{case.brand}/{case.platform.value}/{_message_id(writing)}"
                found[name] = self.subject(case)
        return found

    def _plans(self, script: Script) -> dict[str, Plan]:
        """Everybody who speaks to a brand, by what a client may call their case."""
        by_customer = {(plan.way.platform, plan.customer.id): plan for plan in script.plans}
        return {
            f"{plan.brand}/{w.platform.value}/{_message_id(w)}": plan
            for w in self.world.all()
            if (plan := by_customer.get((w.platform, w.author.id))) is not None
        }

    def channels(self) -> tuple[str, ...]:
        """The names of the demo's alert channels that are told of every broken promise."""
        return ("care-slack", "care-mail")

    def lead_channel(self) -> str:
        """The name of the one that is told when nothing happens."""
        return "lead-mail"

    def heard(self) -> list[Heard]:
        """Everything that the sinks accepted, in the order of arrival."""
        found = [
            Heard("care-slack", d.key, d.at, d.text, d.update, d.text) for d in list(self.slack.deliveries)
        ]
        for mail in list(self.mail.mails):
            lead = self.lead_mailbox in mail.recipients
            text = mail.part("plain").strip()
            headline = text.partition("\n")[0]  # its subject is the same for all mails of a case
            channel = self.lead_channel() if lead else "care-mail"
            found.append(Heard(channel, mail.key, mail.at, headline, text=text))
        return sorted(found, key=lambda h: h.at)

    def faults_injected(self) -> int:
        """How often something was made to go wrong."""
        return len(self.faults.log) + len(self._slack_faults.log) + len(self._outage_faults.log)


def _message_id(writing: Writing) -> str:
    """The id under which a client of the platform's wire format stores it."""
    if writing.platform is Platform.X:
        return f"dm-{writing.id}" if writing.form is Form.DM else writing.id
    return f"{_REDDIT_KINDS[writing.form]}_{writing.id}"


def make_town(
    *,
    seed: int,
    origin: datetime | None = None,
    real: float | None = None,
    rate: float = 1.0,
    first: datetime | None = None,
    seconds: float = 0.0,
    empty: bool = False,
) -> Town:
    """A town of that seed, whose clock shows `origin` at the real time `real` and runs `rate` times as fast;
    people write for `seconds` of its time from `first` on. `empty`: nobody writes, and nothing goes wrong."""
    clock = Clock(origin or datetime.now(UTC), rate, real)
    world = World(clock)
    faults, slack_faults, outage_faults = Faults(clock, seed), Faults(clock, seed + 1), Faults(clock)
    start = first or clock.origin
    promises = make_promises(start)
    if empty:
        add_brand(world)
        return Town(world, None, faults, slack_faults, outage_faults, promises)
    script = make_script(world, seed=seed, start=start, seconds=seconds, promises=promises)
    for outage in script.outages:  # of the forum: the one platform whose outage the scenes know
        outage_faults.between("/", Fault(FaultKind.ERROR, status=503), outage.start, outage.end)
    for path, fault, share in _ORDINARY_FAULTS:
        faults.share(path, fault, share, start)
    for path, fault, share in _SLACK_FAULTS:
        slack_faults.share(path, fault, share, start)
    return Town(world, script, faults, slack_faults, outage_faults, promises)
