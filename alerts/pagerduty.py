"""PagerDuty: alerts as incidents that are triggered, acknowledged and resolved.

What may live here: the channel's settings, what becomes of each stage there, and what PagerDuty's answers
mean. One incident stands for one promise to one customer, or for one storm, spike or trouble. Source:
PagerDuty's documentation of the Events API v2 (overview, send an alert event, Common Event Format).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from alerts.contract import ChannelSurroundings, Preview, Receipt
from alerts.render import NEXT_RESPONSE, RESOLUTION, Rendered
from rules.alert import Alert, Stage
from wire.errors import EdgeError, Malformed, NotAllowed, Refused, RetryAt
from wire.http import HttpClient, Reply, retry_at
from wire.redact import Redactor, inert
from wire.secret import Secret, SecretMissing
from wire.settings import BaseUrl

DEDUP_KEY_LENGTH_MAX = 255
SUMMARY_LENGTH_MAX = 1024
WORDS_LENGTH_MAX = 300
ERRORS_MAX = 5
LINE_BYTES_MAX = 200
CLIENT = "Response monitor"
"""What the incident names as where it came from."""
OURSELVES = "response-monitor"
"""Source and group of what is said about ourselves."""

LIMITED_FOR = timedelta(minutes=1)
"""How long the channel rests where PagerDuty limits us and does not say for how long: its docs ask
for minutes."""

_GATEWAYS = (502, 504)
_PLAIN_KEY = re.compile(r"[!-~]+")
_OF_THE_KEY = re.compile(r"routing.?key|service.?key|integration.?key", re.IGNORECASE)


class Action(StrEnum):
    """What PagerDuty is to do with an incident."""

    TRIGGER = "trigger"
    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"


class Severity(StrEnum):
    """How bad it is, in PagerDuty's words. There, a service may call people by it."""

    CRITICAL = "critical"
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


_ACTIONS: Mapping[Stage, Action] = {
    Stage.WARNING: Action.TRIGGER,
    Stage.BREACH: Action.TRIGGER,
    Stage.ESCALATED: Action.TRIGGER,
    Stage.STORM: Action.TRIGGER,
    Stage.SPIKE: Action.TRIGGER,
    Stage.TROUBLE: Action.TRIGGER,
    Stage.TEST: Action.TRIGGER,
    Stage.MOVED: Action.ACKNOWLEDGE,
    Stage.CLEARED: Action.RESOLVE,
    Stage.CORRECTED: Action.RESOLVE,
}
_UNLISTED = Action.TRIGGER
"""What becomes of a stage that the table does not know yet: better told once too often than not at all."""

_BY_PRIORITY: Mapping[Stage, Mapping[str, Severity]] = {
    Stage.WARNING: {
        "low": Severity.INFO,
        "normal": Severity.WARNING,
        "high": Severity.WARNING,
        "urgent": Severity.ERROR,
    },
    Stage.BREACH: {
        "low": Severity.WARNING,
        "normal": Severity.ERROR,
        "high": Severity.ERROR,
        "urgent": Severity.CRITICAL,
    },
    Stage.ESCALATED: {
        "low": Severity.ERROR,
        "normal": Severity.CRITICAL,
        "high": Severity.CRITICAL,
        "urgent": Severity.CRITICAL,
    },
}
_BY_STAGE: Mapping[Stage, Severity] = {
    Stage.CLEARED: Severity.INFO,
    Stage.CORRECTED: Severity.INFO,
    Stage.STORM: Severity.CRITICAL,
    Stage.SPIKE: Severity.WARNING,
    Stage.TROUBLE: Severity.ERROR,
    Stage.TEST: Severity.INFO,
}


class Settings(BaseModel):
    """[channels.NAME] with type = "pagerduty": an integration of the kind "Events API v2"."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    type: Literal["pagerduty"] = Field(default="pagerduty", description="This kind of channel.")
    routing_key: Secret = Field(
        description="The integration key of an Events API v2 integration, as a secret: 32 letters and digits."
    )
    api_url: BaseUrl = Field(
        default="https://events.pagerduty.com",
        description="Where the Events API is; accounts in the EU have https://events.eu.pagerduty.com.",
    )


def build(settings: Settings, surroundings: ChannelSurroundings) -> PagerDutyChannel:
    """The channel. Nothing is asked of PagerDuty yet."""
    return PagerDutyChannel(settings, surroundings)


def dedup_key(alert: Alert) -> str:
    """Which incident it is about: the same for all that is said of a subject, at most 255 characters.

    The wait for a resolution is a promise of its own, kept or broken beside the wait for an answer; with one
    incident for both, an answer would resolve what is still broken. A test is an incident of its own: while
    the one of an earlier test is open, it would only add to that and call nobody.
    """
    subject = alert.key if alert.stage is Stage.TEST else alert.subject
    if alert.case is not None and alert.case.clock == RESOLUTION:
        subject += f"/{RESOLUTION}"
    if _PLAIN_KEY.fullmatch(subject) and len(subject) <= DEDUP_KEY_LENGTH_MAX:
        return subject
    plain = re.sub(r"[^!-~]", "_", subject)[: DEDUP_KEY_LENGTH_MAX - 33]
    return f"{plain}/{hashlib.sha256(subject.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def action(alert: Alert, *, told_before: bool) -> Action | None:
    """What becomes of the incident; None: nothing. `told_before`: something of the subject was told there.

    A trigger adds to an incident that is open, and opens a new one, which calls people, where somebody has
    resolved it there. So what only brings up to date what was said (a storm a minute later, a case that is
    handed on or snoozed) is no trigger. Nor is it an acknowledgement: that would keep PagerDuty from calling
    again, although nobody has taken the case.
    """
    if alert.storm is not None and alert.storm.over_at is not None:
        return Action.RESOLVE
    if alert.stage is Stage.STORM and alert.repeat and told_before:
        return None
    found = _ACTIONS.get(alert.stage, _UNLISTED)
    if found is Action.ACKNOWLEDGE and (alert.case is None or not alert.case.acknowledged_by):
        return None
    return found


def severity(alert: Alert) -> Severity:
    """How bad it is, by the stage and the case's priority. What moved is as bad as the wait stands."""
    stage = alert.stage
    if stage is Stage.MOVED and alert.case is not None:
        stage = Stage.BREACH if alert.at >= alert.case.due_at else Stage.WARNING
    if stage in _BY_PRIORITY:
        priority = alert.case.priority if alert.case is not None else "normal"
        return _BY_PRIORITY[stage].get(priority, _BY_PRIORITY[stage]["normal"])
    return _BY_STAGE.get(stage, Severity.ERROR)


def build_request(alert: Alert, said: Rendered, do: Action) -> dict[str, Any]:
    """The request without its routing key. All strangers' words in it were made inert by `render`."""
    source, component, group = _place(alert)
    body: dict[str, Any] = {
        "event_action": do.value,
        "dedup_key": dedup_key(alert),
        "client": CLIENT,
        "payload": {
            "summary": f"{said.mark} {said.headline}"[:SUMMARY_LENGTH_MAX],
            "source": source,
            "severity": severity(alert).value,
            "timestamp": alert.at.isoformat(),
            "component": component,
            "group": group,
            "class": _kind(alert),
            "custom_details": _details(alert, said),
        },
    }
    links = [(line.link, f"{line.link_text}: {line.text}") for line in said.cases]
    more = [(line.link, line.link_text) for line in said.more_links]
    links = [(said.link, said.link_text), *more, *links]
    body["links"] = [{"href": href, "text": text[:WORDS_LENGTH_MAX]} for href, text in links if href]
    return body


def _place(alert: Alert) -> tuple[str, str, str]:
    """Source, component and group: where it is, on what, and whose."""
    if alert.case is not None:
        case = alert.case
        where = f"{_word(case.connector)}/@{_word(case.account).lstrip('@')}"
        return where, _word(case.connector), _word(case.brand)
    if alert.storm is not None:
        where = ", ".join(_word(each) for each in alert.storm.connectors[:ERRORS_MAX])
        return where or _word(alert.storm.brand), where or "platforms", _word(alert.storm.brand)
    if alert.spike is not None:
        return _word(alert.spike.brand), "complaints", _word(alert.spike.brand)
    return OURSELVES, "monitor", OURSELVES


def _kind(alert: Alert) -> str:
    """What has happened, for rules that are made in PagerDuty."""
    if alert.case is None:
        parts = (("storm", alert.storm), ("spike", alert.spike), ("trouble", alert.trouble))
        return next((name for name, part in parts if part is not None), alert.stage.value)
    kinds = {RESOLUTION: "not resolved", NEXT_RESPONSE: "no next response"}
    return kinds.get(alert.case.clock, "no response")


def _details(alert: Alert, said: Rendered) -> dict[str, Any]:
    """All that a person is told, by its label."""
    details: dict[str, Any] = dict(said.facts)
    if said.quote is not None:
        details[said.quote_title] = said.quote
    if said.cases:
        details[said.cases_title] = [line.text for line in said.cases]
    if said.reasons:
        details[said.reasons_title] = list(said.reasons)
    if said.caveats:
        details[said.note_title] = list(said.caveats)
    details["More"] = said.footer
    details["stage"] = alert.stage.value
    details["key"] = inert(alert.key, WORDS_LENGTH_MAX)
    return details


def _word(text: str) -> str:
    return inert(text, WORDS_LENGTH_MAX) or "?"


class PagerDutyChannel:
    """One integration. What is said later of a subject changes its incident. A receipt's `remote` has its
    `dedup_key`, and the `subject` that this is made of."""

    def __init__(self, settings: Settings, surroundings: ChannelSurroundings) -> None:
        self._settings = settings
        self._surroundings = surroundings
        self._client = HttpClient(surroundings.http)

    @property
    def recipient(self) -> str:
        return f"PagerDuty of {self._surroundings.name}"

    @property
    def updates(self) -> bool:
        return True

    def send(self, alert: Alert, previous: Receipt | None, time_limit: float) -> Receipt:
        """Say it. The subject names the incident, at every attempt the same, so that what is said twice makes
        one incident. A case has another id once we see a message of it that came earlier: then its incident
        stays the one that `previous` was about. For what changes nothing there, nothing is asked."""
        subject = alert.subject if previous is None else previous.remote.get("subject", alert.subject)
        about = replace(alert, subject=subject)
        do = action(about, told_before=previous is not None)
        if do is not None:
            self._enqueue(
                build_request(about, self._surroundings.render(about), do),
                time_limit,
            )
        return Receipt(self._surroundings.clock(), {"subject": subject, "dedup_key": dedup_key(about)})

    def preview(self, alert: Alert) -> Preview:
        """The request without its key, as for what is told first; an empty one where nothing is asked."""
        do = action(alert, told_before=False)
        body = build_request(alert, self._surroundings.render(alert), do) if do is not None else {}
        return Preview("json", json.dumps(body, indent=2, ensure_ascii=False))

    def check(self, time_limit: float) -> str:
        """Resolve an incident that nobody has: PagerDuty looks at the key and drops the rest."""
        key = f"{OURSELVES}-check/{self._surroundings.name}"
        self._enqueue({"event_action": Action.RESOLVE.value, "dedup_key": key}, time_limit)
        return f"PagerDuty takes our key at {self._settings.api_url}; nobody was called"

    def close(self) -> None:
        """Give back the sockets."""
        self._client.close()

    def _enqueue(self, body: Mapping[str, Any], time_limit: float) -> None:
        """One request. Only status 202 is a success."""
        try:
            routing_key = self._settings.routing_key.reveal().strip()
        except SecretMissing as error:
            raise NotAllowed(str(error)) from None
        url = f"{self._settings.api_url}/v2/enqueue"
        request = {**body, "routing_key": routing_key}
        reply = self._client.request("POST", url, json=request, time_limit=time_limit)
        if reply.status != 202:
            raise self._error_of(reply, routing_key)

    def _error_of(self, reply: Reply, routing_key: str) -> EdgeError:
        """What an answer means that is no success."""
        status = reply.status
        now = self._surroundings.clock()
        at = retry_at(reply.headers, now)
        if status == 429:
            # Without a time the channel would go on with its next alert at once.
            at = at or now + LIMITED_FOR
            return RetryAt("PagerDuty limits how much this service takes", at=at, limited=True)
        if status >= 500 or status == 408:
            # A gateway that heard nothing sensible does not know whether PagerDuty took it.
            unknown = status in _GATEWAYS
            return RetryAt(f"PagerDuty answered with status {status}", at=at, accepted_unknown=unknown)
        if status < 300:
            return Malformed(f"an answer that is not PagerDuty's (status {status})")
        if status in (401, 403, 404, 405):
            return NotAllowed(f"there is no Events API for us at `api_url` (status {status}): check it")
        words = _words(reply, routing_key)
        if _OF_THE_KEY.search(words):
            return NotAllowed(
                f"PagerDuty does not know `routing_key` ({status}: {words}); expected the integration key of "
                "an Events API v2 integration"
            )
        return Refused(f"PagerDuty refused it ({status}: {words})")


def _words(reply: Reply, routing_key: str) -> str:
    """What PagerDuty says is wrong, without our key, on one line and in letters that do nothing."""
    redactor = Redactor([routing_key])
    said = [redactor.clean(each[:10_000]) for each in _reasons(reply)[:ERRORS_MAX]]
    clean = [inert(each, WORDS_LENGTH_MAX // 2) for each in said]
    # They go to other channels, too: none of their letters may be markup there.
    plain = "; ".join(re.sub(r"[^\w '().,:;/-]", "?", each) for each in clean)
    return inert(plain, WORDS_LENGTH_MAX) or "no reason"


def _reasons(reply: Reply) -> list[str]:
    """The reasons in a refusal: JSON with `errors`; of a key that it does not know, a mere line of text."""
    try:
        body = reply.json()
    except Malformed:
        text = reply.body[:LINE_BYTES_MAX].decode("utf-8", "replace").strip()
        is_line = len(reply.body) <= LINE_BYTES_MAX and text[:1] not in ("<", "{", "[")
        return [text] if is_line else []
    body = body if isinstance(body, dict) else {}
    errors = body.get("errors")
    said = [each for each in errors if isinstance(each, str)] if isinstance(errors, list) else []
    return said or [each for each in (body.get("message"),) if isinstance(each, str)]
