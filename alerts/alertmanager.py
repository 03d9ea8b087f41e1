"""Prometheus Alertmanager: what waits is an alert that fires there, and what is over resolves it.

What may live here: the settings, the labels and annotations of an alert in Alertmanager's v2 API, and what
its answers mean. The labels are an alert's identity there, so they stay the same from the first time that
something is told until it is over. Sources: Prometheus' documentation of Alertmanager's alerts API and of its
high availability (clients send to every member of a cluster), and its OpenAPI specification.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from alerts.contract import ChannelSurroundings, Preview, Receipt
from alerts.render import NEXT_RESPONSE, RESOLUTION
from rules.alert import Alert, Stage
from wire.durations import Duration
from wire.errors import EdgeError, Malformed, NotAllowed, Refused, RetryAt
from wire.exchange import Bounds, origin
from wire.http import HttpClient, Reply, retry_at
from wire.redact import Redactor, defused, defused_link, inert
from wire.secret import Secret, SecretMissing
from wire.settings import BaseUrl

LABEL_LENGTH_MAX = 300
DESCRIPTION_LENGTH_MAX = 8000
SAID_LENGTH_MAX = 300

CLOCKS_APART_MAX = timedelta(minutes=2)
"""An alert is over for Alertmanager when its end is past by Alertmanager's own clock; an end that is still
ahead there would not count, and the alert would go on until it expires. So ends are told this much early."""

_UNANSWERED = "ResponseMonitorUnanswered"
_ALERT_NAMES = {NEXT_RESPONSE: "ResponseMonitorUnansweredAgain", RESOLUTION: "ResponseMonitorUnresolved"}
"""A case's clock → what its alert is called; any other clock is the wait for a first answer."""


@dataclass(frozen=True, slots=True)
class Way:
    """What a stage does to the alert: it fires, or is over at once. `briefly`: nobody will say that it is
    over, so that it expires soon."""

    fires: bool
    briefly: bool = False


WAYS = {
    Stage.WARNING: Way(fires=True),
    Stage.BREACH: Way(fires=True),
    Stage.ESCALATED: Way(fires=True),
    Stage.MOVED: Way(fires=True),  # The wait goes on: only its annotations change.
    Stage.STORM: Way(fires=True),
    Stage.SPIKE: Way(fires=True, briefly=True),
    Stage.TROUBLE: Way(fires=True),
    Stage.TEST: Way(fires=True, briefly=True),
    Stage.CLEARED: Way(fires=False),
    Stage.CORRECTED: Way(fires=False),
}
BRIEFLY = timedelta(minutes=15)

_OURS = frozenset({"alertname", "brand", "connector", "account", "priority", "case", "subject", "severity"})


def _not_ours(value: str) -> str:
    if value in _OURS:
        raise ValueError(f"{value!r} is set by us; expected another name")
    if value.startswith("__"):
        raise ValueError("a name that begins with two underscores is Prometheus' own; expected another")
    return value


LabelName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=100),
    AfterValidator(_not_ours),
]
LabelValue = Annotated[str, StringConstraints(min_length=1, max_length=LABEL_LENGTH_MAX)]


def _some_time(value: timedelta) -> timedelta:
    if not timedelta(minutes=10) <= value <= timedelta(days=30):
        raise ValueError('expected between "10m" and "30d"')
    return value


class Settings(BaseModel):
    """[channels.NAME] with type = "alertmanager"."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    type: Literal["alertmanager"] = Field(default="alertmanager", description="This kind of channel.")
    urls: list[BaseUrl] = Field(
        min_length=1,
        max_length=8,
        description="Every Alertmanager of the cluster, each without /api/v2: all are told, one must accept.",
    )
    username: str | None = Field(
        default=None, min_length=1, max_length=320, description="Whom to log in as (basic authentication)."
    )
    password: Secret | None = Field(default=None, description="The password that goes with it.")
    bearer_token: Secret | None = Field(default=None, description="A token, instead of user and password.")
    severity: Literal["critical", "warning", "info"] = Field(
        default="critical",
        description="The label severity of what this channel tells; for two of them make two channels with "
        "different stages.",
    )
    labels: dict[LabelName, LabelValue] = Field(
        default={}, max_length=20, description="More labels for your routes, the same on every alert."
    )
    expires_after: Annotated[Duration, AfterValidator(_some_time)] = Field(
        default=timedelta(days=3),
        description="How long an alert fires that we say nothing more about; reminders begin it anew.",
    )

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("expected username and password together, or neither")
        if self.bearer_token is not None and self.username is not None:
            raise ValueError("expected either bearer_token, or username and password")
        return self


def build(settings: Settings, surroundings: ChannelSurroundings) -> AlertmanagerChannel:
    """The channel. Nothing is asked of the Alertmanagers yet."""
    return AlertmanagerChannel(settings, surroundings)


class AlertmanagerChannel:
    """The Alertmanagers of one cluster. `updates`: what is sent again takes the place of what was sent.

    A receipt's `remote` has `firing` (JSON: what is said to fire now for this subject, alert name → labels)
    and, where not every Alertmanager took it, `missed` with their addresses.
    """

    def __init__(self, settings: Settings, surroundings: ChannelSurroundings) -> None:
        self._settings = settings
        self._surroundings = surroundings
        self._client = HttpClient(surroundings.http)
        self._redactor = Redactor(self._secrets)

    @property
    def recipient(self) -> str:
        first = origin(self._settings.urls[0])
        more = len(self._settings.urls) - 1
        return f"{first} and {more} more" if more else first

    @property
    def updates(self) -> bool:
        return True

    def send(self, alert: Alert, previous: Receipt | None, time_limit: float) -> Receipt:
        """Tell every Alertmanager. Trying again is harmless: what has the same labels is the same alert."""
        firing = _firing(previous)
        name = _name(alert)
        labels = firing.pop(name, None) or self._labels(alert, name)
        if _way(alert).fires:
            firing[name] = labels
        entry = self._entry(alert, labels)
        _, errors = self._each("POST", "/api/v2/alerts", [entry], time_limit)
        remote = {"firing": json.dumps(firing, sort_keys=True)}
        if errors:
            remote["missed"] = ", ".join(errors)[:1000]
        return Receipt(self._surroundings.clock(), remote)

    def check(self, time_limit: float) -> str:
        """Ask each for its status. One that is down is named; one that does not let us in is a failure."""
        replies, errors = self._each("GET", "/api/v2/status", None, time_limit)
        for error in errors.values():
            if isinstance(error, NotAllowed):
                raise error
        found = [f"{place}: {_version(reply)}" for place, reply in replies.items()]
        return inert("; ".join([*found, *(f"{place}: {error}" for place, error in errors.items())]), 1000)

    def preview(self, alert: Alert) -> Preview:
        """What would be posted, were it the first thing that is said."""
        entry = self._entry(alert, self._labels(alert, _name(alert)))
        return Preview("json", json.dumps([entry], indent=2, ensure_ascii=False))

    def close(self) -> None:
        """Give back sockets."""
        self._client.close()

    def _labels(self, alert: Alert, name: str) -> dict[str, str]:
        """What tells this alert from every other one, and what can be routed by."""
        labels = {"alertname": name, "severity": self._settings.severity, **self._settings.labels}
        if alert.case is not None:
            case = alert.case
            labels |= {"brand": case.brand, "connector": case.connector, "account": case.account}
            labels |= {"priority": case.priority, "case": alert.subject}
        else:
            about = alert.storm or alert.spike
            labels |= {"subject": alert.subject} | ({"brand": about.brand} if about is not None else {})
        clean = {key: defused(inert(value, LABEL_LENGTH_MAX)) for key, value in labels.items()}
        return {key: value for key, value in clean.items() if value}

    def _entry(self, alert: Alert, labels: Mapping[str, str]) -> dict[str, Any]:
        """The alert as the API takes it. Annotations go on to chat programs whose markup nobody here knows,
        so nothing in them may call or pretend."""
        said = self._surroundings.render(alert).guarded(defused, defused_link)
        starts = _starts(alert)
        annotations = {
            "summary": f"{said.mark} {said.headline}",
            "description": said.text[:DESCRIPTION_LENGTH_MAX],
            "stage": alert.stage.value,
            "key": defused(inert(alert.key)),
        }
        if alert.case is not None:
            annotations["case"] = defused(inert(alert.case.case_id))
        if said.link is not None:
            annotations["link"] = said.link
        entry = {
            "labels": dict(labels),
            "annotations": annotations,
            "startsAt": _stamp(starts),
            "endsAt": _stamp(max(starts, self._ends(alert))),
        }
        if said.link is not None and _is_uri(said.link):
            entry["generatorURL"] = said.link
        return entry

    def _ends(self, alert: Alert) -> datetime:
        way = _way(alert)
        if way.fires:
            return alert.at + (BRIEFLY if way.briefly else self._settings.expires_after)
        ended = alert.case.answered_at if alert.case is not None else None
        ended = alert.storm.over_at if alert.storm is not None else ended
        return min(ended or alert.at, alert.at - CLOCKS_APART_MAX)

    def _each(
        self, method: str, path: str, body: object, time_limit: float
    ) -> tuple[dict[str, Reply], dict[str, EdgeError]]:
        """Ask every Alertmanager, each within an equal share of the time that is left.

        Gives the answers and the failures by address. Raises the most hopeful failure if all failed.
        """
        headers = self._headers()
        bounds = Bounds(time_limit, 0)
        replies: dict[str, Reply] = {}
        errors: dict[str, EdgeError] = {}
        for number, url in enumerate(self._settings.urls):
            share = max(0.0, bounds.seconds_left()) / (len(self._settings.urls) - number)
            try:
                reply = self._client.request(
                    method, f"{url}{path}", headers=headers, json=body, time_limit=share
                )
                self._judge(reply, origin(url))
                replies[origin(url)] = reply
            except EdgeError as error:
                errors[origin(url)] = error
        if not replies:
            raise _most_hopeful(list(errors.values()))
        return replies, errors

    def _judge(self, reply: Reply, place: str) -> None:
        """Raise unless it is a yes. A yes is empty or JSON: a page would be a login, or another server's."""
        status = reply.status
        if 200 <= status < 300:
            if reply.body.strip():
                reply.json()
            return
        said = f"{place} answered {status}"
        if status in (401, 403):
            raise NotAllowed(f"{said}: check bearer_token, or username and password")
        if status in (404, 405):
            raise NotAllowed(f"{said}: no Alertmanager with the v2 API (0.16 or newer) is there; check urls")
        if status >= 500 or status in (408, 425, 429):
            raise RetryAt(
                said,
                at=retry_at(reply.headers, self._surroundings.clock()),
                limited=status == 429,
                accepted_unknown=status in (502, 504),
            )
        raise Refused(f"{said}{self._reason(reply)}")

    def _reason(self, reply: Reply) -> str:
        """Why it says no: a string, or an object with a message where its validation found the fault."""
        try:
            said = reply.json()
        except Malformed:
            return ""
        said = said.get("message") if isinstance(said, dict) else said
        if not isinstance(said, str) or not said:
            return ""
        return f": {inert(defused(self._redactor.clean(said)), SAID_LENGTH_MAX)}"

    def _headers(self) -> dict[str, str]:
        try:
            if self._settings.bearer_token is not None:
                return {"authorization": f"Bearer {self._settings.bearer_token.reveal()}"}
            if self._settings.username is None or self._settings.password is None:
                return {}
            pair = f"{self._settings.username}:{self._settings.password.reveal()}".encode()
            return {"authorization": "Basic " + base64.b64encode(pair).decode("ascii")}
        except SecretMissing as error:
            raise NotAllowed(str(error)) from None

    def _secrets(self) -> list[str]:
        found = []
        for secret in (self._settings.password, self._settings.bearer_token):
            if secret is not None:
                try:
                    found.append(secret.reveal())
                except SecretMissing:
                    continue
        return found


def _way(alert: Alert) -> Way:
    way = WAYS.get(alert.stage)
    if way is None:
        raise Refused(f"this channel has no way to say {alert.stage.value!r}")
    over = alert.storm is not None and alert.storm.over_at is not None
    return WAYS[Stage.CLEARED] if over else way


def _name(alert: Alert) -> str:
    """What the alert is called. It says what it is about, not how it stands, which changes."""
    if alert.case is not None:
        return _ALERT_NAMES.get(alert.case.clock, _UNANSWERED)
    if alert.storm is not None:
        return "ResponseMonitorStorm"
    if alert.spike is not None:
        return "ResponseMonitorSpike"
    return "ResponseMonitorTest" if alert.stage is Stage.TEST else "ResponseMonitorTrouble"


def _starts(alert: Alert) -> datetime:
    """When it began, which stays the same; Alertmanager keeps the earliest that it was told."""
    if alert.case is not None:
        return alert.case.waiting_since
    about = alert.storm or alert.spike or alert.trouble
    return alert.at if about is None or alert.stage is Stage.TEST else about.since


def _firing(previous: Receipt | None) -> dict[str, dict[str, str]]:
    """What the last receipt says to fire. A receipt of another age says nothing."""
    try:
        found = json.loads(previous.remote.get("firing", "{}")) if previous is not None else {}
    except ValueError:
        return {}
    pairs = found.items() if isinstance(found, dict) else ()
    return {name: labels for name, labels in pairs if isinstance(labels, dict) and _are_texts(labels)}


def _are_texts(labels: Mapping[Any, Any]) -> bool:
    return bool(labels) and all(isinstance(text, str) for pair in labels.items() for text in pair)


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_URI = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?([/?#]([!-$&-~]|%[0-9A-Fa-f]{2})*)?")


def _is_uri(link: str) -> bool:
    """Whether Go's parser takes it: one link that it does not take has the whole alert refused."""
    return _URI.fullmatch(link) is not None


def _most_hopeful(errors: list[EdgeError]) -> EdgeError:
    """What is worth another try, else what a person can mend, else the refusal."""
    for kind in (RetryAt, Malformed, NotAllowed):
        same = [error for error in errors if isinstance(error, kind)]
        # Somebody may have taken it although others did not even answer.
        told = [error for error in same if isinstance(error, RetryAt) and error.accepted_unknown]
        if same:
            return (told or same)[0]
    return errors[0]


def _version(reply: Reply) -> str:
    """Who answers, from its status."""
    status = reply.json()
    info = status.get("versionInfo") if isinstance(status, dict) else None
    version = info.get("version") if isinstance(info, dict) else None
    if not isinstance(version, str):
        raise Malformed("no status of an Alertmanager")
    cluster = status.get("cluster")
    peers = cluster.get("peers") if isinstance(cluster, dict) else None
    count = len(peers) if isinstance(peers, list) else 0
    return f"Alertmanager {version}" + (f", one of {count}" if count > 1 else "")
