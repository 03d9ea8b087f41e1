"""What may stand in monitor.toml: the models, and nothing that reads files (`load.py` does).

Connectors' and channels' own settings are their modules' models; they are validated by `load.py`, which
imports a module only if the config names it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

import re2
from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    model_validator,
)

from alerts.language import check_language
from monitor.calendars import check_zone
from monitor.matching import ALWAYS, MatchConfig, Model, Name, Phrase
from monitor.who import PersonConfig, RouteConfig
from rules.hours import Calendar
from rules.meaning.contract import Priority
from rules.meaning.patterns import make_matcher, pattern_from_mapping
from rules.meaning.policy import USER_PATTERNS_MAX
from rules.privacy import Private
from wire.durations import Duration
from wire.exchange import check_proxy
from wire.secret import Secret

StageName = Literal["warning", "breach", "cleared", "spike", "trouble"]
STAGES: tuple[StageName, ...] = ("warning", "breach", "cleared", "spike", "trouble")


def _regex(pattern: str) -> str:
    options = re2.Options()
    options.log_errors = False  # RE2 would write to stderr by itself.
    try:
        compiled = re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError) as error:
        said = error.args[0] if error.args else ""
        why = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise ValueError(f'expected an RE2 expression such as "^Thanks for writing": {why}') from None
    if compiled.search("") is not None:
        raise ValueError("matches an empty text, so every reply would count as automatic")
    return pattern


def _user_pattern(row: dict[str, Any]) -> dict[str, Any]:
    make_matcher([pattern_from_mapping(row, "pattern")])
    return row


def _address(listen: str) -> str:
    host, colon, port = listen.rpartition(":")
    try:
        ip_address(host.strip("[]"))
        valid = bool(colon) and port.isdecimal() and int(port) <= 65535
    except ValueError:
        valid = False
    if not valid:
        raise ValueError('expected an address and a port such as "127.0.0.1:9464" or "[::1]:9464"')
    return listen


def _proxy_url(proxy: str) -> str:
    # Neither message repeats the value: it may hold a password.
    if "@" in proxy:
        raise ValueError(
            "passwords are not written into the config: expected a proxy that asks for none, such as "
            '"http://proxy.example.com:3128"'
        )
    try:
        check_proxy(proxy)
    except ValueError as error:
        raise ValueError(str(error).removeprefix("proxy: ")) from None
    return proxy


def _ascending(shares: list[float]) -> list[float]:
    if sorted(set(shares)) != shares:
        raise ValueError("expected ascending shares such as [0.5, 0.8]")
    return shares


def _from_second(value: timedelta) -> timedelta:
    if value < timedelta(seconds=1):
        raise ValueError('expected at least "1s"')
    return value


PositiveDuration = Annotated[Duration, AfterValidator(_from_second)]
Regex = Annotated[str, AfterValidator(_regex)]
UserPattern = Annotated[dict[str, Any], AfterValidator(_user_pattern)]


class MonitorConfig(Model):
    """[monitor]: the daemon itself."""

    state_folder: Path | None = Field(
        default=None,
        examples=["/var/lib/response-monitor"],
        description="Where the database and rotating tokens are kept; default: systemd's StateDirectory, "
        'else "state" beside this file.',
    )
    time_zone: Annotated[str, AfterValidator(check_zone)] = Field(
        default="UTC", description="The team's time zone, for times in alerts."
    )
    language: Annotated[str, AfterValidator(check_language)] = Field(
        default="en",
        max_length=35,
        description='How dates, times, waits and numbers are written in alerts: "en" (24-hour clock), or '
        'another language\'s way, such as "en-US", "de" or "pt-BR".',
    )
    look_back: PositiveDuration = Field(
        default=timedelta(days=7),
        description="How far the first run reads back. What it finds is stored and never alerted on.",
    )
    reconcile: bool = Field(
        default=True,
        description="Ask platforms again about messages that still wait, for edits, deletes and answers that "
        "polling missed. Where a platform charges for reads, so do these.",
    )
    reconcile_after: PositiveDuration = Field(
        default=timedelta(minutes=30),
        description="How long somebody has waited when it is first asked; then again whenever that has "
        "doubled.",
    )
    log: Literal["auto", "console", "json"] = Field(
        default="auto", description="The log's form; auto is key=value on a terminal and JSON elsewhere."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="What is logged: this and worse."
    )

    def folder(self, config_path: Path) -> Path:
        """The state folder, with its default worked out."""
        if self.state_folder is not None:
            return (config_path.parent / self.state_folder).absolute()
        # systemd joins several folders with colons; the unit's first is ours.
        given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
        return Path(given) if given else (config_path.parent / "state").absolute()


class HttpConfig(Model):
    """[http]: how we talk to platforms and channels."""

    proxy: Annotated[str, AfterValidator(_proxy_url)] | None = Field(
        default=None,
        examples=["http://proxy.example.com:3128"],
        description="A proxy's http:// address; the environment's is not used.",
    )
    ca_file: Path | None = Field(
        default=None,
        examples=["/etc/response-monitor/own-ca.pem"],
        description="Certificate authorities in PEM, trusted beside the system's.",
    )
    time_limit: PositiveDuration = Field(
        default=timedelta(seconds=15), description="The most that one exchange may take, as a whole."
    )


class WebConfig(Model):
    """[web]: metrics and health."""

    enabled: bool = Field(default=True, description="Serve /metrics, /healthz and /readyz.")
    listen: Annotated[str, AfterValidator(_address)] = Field(
        default="127.0.0.1:9464", description="Address and port; there is no password on it."
    )

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])

    @property
    def is_public(self) -> bool:
        """Whether others than this machine can reach it."""
        return not ip_address(self.host).is_loopback


class HeartbeatConfig(Model):
    """[heartbeat]: a dead man's switch."""

    url: Secret | None = Field(
        default=None,
        description="Pinged while the deadline loop and every stream are well; its silence is the alarm.",
    )
    every: PositiveDuration = Field(default=timedelta(seconds=60), description="How often it is pinged.")


class RulesConfig(Model):
    """[rules]: what a message means."""

    complaint_threshold: float = Field(
        default=0.5, gt=0, lt=1, description="The probability from which a message counts as a complaint."
    )
    followers_high: int = Field(
        default=10_000, ge=1, description="From so many followers a case is one step more urgent."
    )
    followers_urgent: int = Field(default=100_000, ge=1, description="From so many, two steps.")
    reach_high: int = Field(
        default=1_000, ge=1, description="From so many views a case is one step more urgent."
    )
    reach_urgent: int = Field(default=10_000, ge=1, description="From so many, two steps.")
    patterns: list[UserPattern] = Field(
        default=[],
        max_length=USER_PATTERNS_MAX,
        description="Your own words and patterns, as [[rules.patterns]]; docs/rules.md shows how.",
    )

    @model_validator(mode="after")
    def _sensible(self) -> RulesConfig:
        for low, high in (("followers_high", "followers_urgent"), ("reach_high", "reach_urgent")):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low}: expected at most {high} ({getattr(self, high)})")
        patterns = [pattern_from_mapping(row, "pattern") for row in self.patterns]
        names = [p.name for p in patterns]
        for number, name in enumerate(names):
            if name in names[:number]:
                raise ValueError(f"patterns[{number}]: expected each name once, and {name!r} stands above")
        make_matcher(patterns)  # Together they may be too large.
        return self


MUTED_MAX = 1000
"""More authors or phrases are not muted in the config."""


class BrandConfig(Model):
    """[brands.NAME]: who is answerable. Its accounts stand in [[brands.NAME.x]] and the like."""

    name: Name | None = Field(
        default=None, examples=["Acme"], description="As people call it; default: the table's name."
    )
    keywords: list[Phrase] = Field(
        default=[],
        max_length=500,
        description="Words and phrases that mean the brand; searched for, whole words.",
    )
    exclusions: list[Phrase] = Field(
        default=[], max_length=500, description="Phrases that show that a keyword means something else."
    )
    context: list[Phrase] = Field(
        default=[],
        max_length=500,
        description="Words of which one must stand beside a keyword for it to count.",
    )
    automated_accounts: list[Phrase] = Field(
        default=[], description="The brand's accounts that are bots: their replies are no answers."
    )
    automated_clients: list[Phrase] = Field(
        default=[], description="Source clients that write by themselves: their replies are no answers."
    )
    automated_patterns: list[Regex] = Field(
        default=[], description="Patterns (RE2) of automatic replies' texts."
    )
    automated_within: Duration = Field(
        default=timedelta(seconds=5), description="A reply faster than this was not typed by a person."
    )


class TargetConfig(MatchConfig):
    """[[targets]]: a promise, and the cases that it is for; top to bottom, the first that matches."""

    first_response: PositiveDuration | None = Field(
        default=None,
        examples=["15m"],
        description="The promise: a person's first reply within this time of the post.",
    )
    next_response: PositiveDuration | None = Field(
        default=None,
        examples=["30m"],
        description="The promise each time the customer writes again after an answer; default: none.",
    )
    resolution: PositiveDuration | None = Field(
        default=None,
        examples=["2d"],
        description="The promise that an operator's `resolve` keeps; default: none.",
    )
    resolution_pauses: bool = Field(
        default=True,
        description="The time in which the customer is waited for does not count towards the resolution.",
    )
    calendar: str = Field(
        default=ALWAYS,
        examples=["office"],
        description="The opening hours in which these promises count: the name of a [calendars.NAME], or "
        '"always".',
    )
    no_target: bool = Field(default=False, description="These cases are promised nothing.")
    needs_reply: Literal["yes", "any"] = Field(
        default="yes", description='"yes": only what needs a reply; "any": thanks and praise too.'
    )
    warnings: Annotated[list[Annotated[float, Field(gt=0, lt=1)]], AfterValidator(_ascending)] = Field(
        default=[0.5, 0.8], max_length=10, description="Shares of the promise at which people are warned."
    )
    repeat: PositiveDuration | None = Field(
        default=None,
        examples=["30m"],
        description="A breach is said again at this interval (of the calendar) until somebody takes it.",
    )
    repeat_max: int = Field(default=3, ge=0, le=100, description="How many times at most.")
    gap: PositiveDuration = Field(
        default=timedelta(hours=24), description="Mutual silence that ends a case in which nobody waits."
    )

    @model_validator(mode="after")
    def _whole(self) -> TargetConfig:
        promised = (self.first_response, self.next_response, self.resolution) != (None, None, None)
        if self.no_target == promised:
            raise ValueError('expected first_response = "15m", or no_target = true, and not both')
        return self

    def leaves_nothing_to(self, other: TargetConfig) -> bool:
        """Whether every case that is for `other` is for this one too, so that `other`, below it, is never
        reached."""
        if not self.takes_all_of(other):
            return False
        return self.needs_reply == "any" or other.needs_reply == "yes"


class EscalationConfig(Model):
    """[[escalations]]: a step that tells others when a stage passes and nothing happens. It stops when
    somebody takes the case, and when the customer waits no longer."""

    name: Name = Field(examples=["team lead"], description="Its name in alerts, each once.")
    channels: list[str] = Field(
        min_length=1, examples=[["lead-mail"]], description="Who is told: names of [channels.NAME]."
    )
    after: Literal["warning", "breach"] = Field(
        default="breach", description="The stage that it follows: the last warning, or the breach."
    )
    delay: Duration = Field(
        default=timedelta(0),
        examples=["15m"],
        description="How long after it, counted in the target's calendar.",
    )
    repeat: PositiveDuration | None = Field(
        default=None, examples=["30m"], description="Said again at this interval; default: it is not."
    )
    limit: int = Field(default=1, ge=1, le=100, description="How many times in all.")
    brands: list[str] | None = Field(
        default=None, min_length=1, examples=[["acme"]], description="Only cases of these brands."
    )
    targets: list[str] | None = Field(
        default=None,
        min_length=1,
        examples=[["public complaint"]],
        description="Only cases that are held to these targets.",
    )
    clocks: list[Literal["first_response", "next_response", "resolution"]] | None = Field(
        default=None, min_length=1, examples=[["first_response"]], description="Only these clocks."
    )
    min_priority: Priority = Field(default=Priority.LOW, description="Only cases at least so urgent.")

    @model_validator(mode="after")
    def _whole(self) -> EscalationConfig:
        if self.limit > 1 and self.repeat is None:
            raise ValueError('limit: more than 1 needs an interval, such as repeat = "30m"')
        if self.repeat is not None and self.limit == 1:
            raise ValueError("repeat: expected a limit above 1 with it, such as limit = 3")
        return self


class StormsConfig(Model):
    """[storms]: when many cases are late at once, people get one message that is brought up to date."""

    enabled: bool = Field(default=True, description="Make one message of many.")
    cases: int = Field(
        default=10,
        ge=1,
        le=100_000,
        description="A storm is more cases of a brand than this that reach a stage within `within`.",
    )
    within: PositiveDuration = Field(default=timedelta(minutes=10), description="The time that is looked at.")
    over_after: PositiveDuration = Field(
        default=timedelta(minutes=15),
        description="It is over when no case reached a stage for so long; at least `within`.",
    )
    update_every: PositiveDuration = Field(
        default=timedelta(seconds=60), description="Its message is brought up to date at most so often."
    )

    @model_validator(mode="after")
    def _sensible(self) -> StormsConfig:
        if self.over_after < self.within:
            raise ValueError("over_after: expected at least `within`, or one storm would begin the next")
        return self


class SpikesConfig(Model):
    """[spikes]: more complaints than usual at this hour, told before any target is broken."""

    enabled: bool = Field(default=True, description="Watch for them.")
    window: PositiveDuration = Field(
        default=timedelta(minutes=10), description="The time in which complaints are counted."
    )
    at_least: int = Field(default=15, ge=2, le=100_000, description="Fewer complaints are never a spike.")
    times: float = Field(
        default=5.0, gt=1, le=1000, description="So many times what is usual at this hour of the week."
    )


class AlertsConfig(Model):
    """[alerts]: what is said at all."""

    mode: Literal["send", "shadow"] = Field(
        default="send",
        description='"shadow": everything but the sending; `case` shows what would have been said.',
    )
    show_dm_text: bool = Field(default=False, description="Show what customers wrote in private messages.")
    backlog: PositiveDuration | None = Field(
        default=None,
        examples=["1h"],
        description="How old a case that the first run finds may be to be alerted on; default: its target.",
    )
    blind_after: PositiveDuration | None = Field(
        default=None,
        examples=["10m"],
        description="How long a platform may be unread before people are told; default: half the tightest "
        "target.",
    )
    credentials_warning: PositiveDuration = Field(
        default=timedelta(days=14), description="How long before it lapses a credential is told about."
    )
    templates: Path | None = Field(
        default=None,
        examples=["templates"],
        description="A folder with templates of your own, beside this file; docs/templates.md says more.",
    )
    fallback: list[str] = Field(
        default=[],
        examples=[["ops-mail"]],
        description="The channels that are told what could be told to nobody else; default: none.",
    )
    fallback_after: PositiveDuration = Field(
        default=timedelta(minutes=10),
        description="How long an alert is tried over its channels before the fallback is told.",
    )
    muted_authors: list[Phrase] = Field(
        default=[],
        max_length=MUTED_MAX,
        examples=[["@spammer"]],
        description="Handles or ids of customers about whom nobody is alerted; their waits are measured.",
    )
    muted_phrases: list[Phrase] = Field(
        default=[],
        max_length=MUTED_MAX,
        examples=[["boycott acme"]],
        description="Words of campaigns: nobody is alerted about a message that holds them, in any case.",
    )
    people_over: str | None = Field(
        default=None,
        examples=["care-mail"],
        description="The email channel that tells somebody of [[people]] what is theirs, where no channel of "
        "the case's routes calls or mails them; default: none.",
    )


class PrivacyConfig(Model):
    """[privacy]: what of customers' words leaves the house."""

    mask: list[Private] = Field(
        default=list(Private),
        description="What is masked in alerts; [] masks nothing. docs/privacy.md shows how each looks.",
    )


class Show(StrEnum):
    """What a channel shows of customers' words."""

    MASKED = "masked"
    ALL = "all"
    NOTHING = "nothing"


class RoutingConfig(Model):
    """The keys that every [channels.NAME] has beside its type's own."""

    type: str = Field(
        examples=["slack"], description="slack, smtp, webhook, pagerduty, alertmanager or apprise."
    )
    stages: list[StageName] = Field(
        default=list(STAGES),
        min_length=1,
        description="What is said there; cleared includes corrections, trouble is about ourselves.",
    )
    brands: list[str] | None = Field(
        default=None,
        min_length=1,
        examples=[["acme"]],
        description="Only about these brands; default: all.",
    )
    min_priority: Priority = Field(default=Priority.LOW, description="Only about cases at least so urgent.")
    hours: str = Field(
        default=ALWAYS,
        examples=["waking"],
        description="A calendar outside of which this channel is quiet: what is due then is told when it "
        "opens, if it is still true.",
    )
    show: Show = Field(
        default=Show.MASKED,
        description='What it shows of customers\' words: all that `privacy.mask` does not name, "all", or '
        '"nothing".',
    )


@dataclass(frozen=True, slots=True)
class ChannelConfig:
    """One alert channel; `settings` is its module's own model. `stages` are words of `rules.alert.Stage`."""

    name: str
    type: str
    stages: tuple[str, ...]
    brands: tuple[str, ...] | None
    min_priority: Priority
    settings: Any
    hours: str = ALWAYS
    show: Show = Show.MASKED


@dataclass(frozen=True, slots=True)
class AccountConfig:
    """One account of a brand on a platform; `settings` is its connector's own model. `handle` is lower
    case. `key` is where it stands in the file ("brands.acme.x[0]")."""

    brand: str
    connector: str
    label: str
    handle: str
    settings: Any
    key: str = ""


@dataclass(frozen=True, slots=True)
class Config:
    """All of monitor.toml, checked. `file` is where it was read; `warnings` are what is allowed there and
    probably not meant, one line each."""

    monitor: MonitorConfig
    http: HttpConfig
    web: WebConfig
    heartbeat: HeartbeatConfig
    rules: RulesConfig
    alerts: AlertsConfig
    storms: StormsConfig
    spikes: SpikesConfig
    brands: Mapping[str, BrandConfig]
    targets: tuple[TargetConfig, ...]
    channels: Mapping[str, ChannelConfig]
    calendars: Mapping[str, Calendar]
    escalations: tuple[EscalationConfig, ...]
    routes: tuple[RouteConfig, ...]
    people: tuple[PersonConfig, ...]
    all_accounts: tuple[AccountConfig, ...]
    privacy: PrivacyConfig = field(default_factory=PrivacyConfig)
    warnings: tuple[str, ...] = ()
    file: str = "monitor.toml"

    def accounts(self) -> tuple[AccountConfig, ...]:
        """Every account of every brand."""
        return self.all_accounts


def plain(value: Any) -> Any:
    """A setting, or a table of them, as JSON takes it."""
    if isinstance(value, BaseModel):
        return {name: plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    return value
