"""Slack: an incoming webhook (posts only), or a bot token (posts, threads and updates).

What may live here: Slack's settings, its Block Kit, and what its answers mean. With a token a case is one
message: what must be noticed later (a breach, a reminder) is said in its thread and in the channel, and when
it is over each of these messages itself says so. A storm is one message that is kept up to date. Sources:
Slack's documentation of incoming webhooks, chat.postMessage, chat.update, auth.test, rate limits, Block Kit
and formatting.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from alerts.contract import ChannelSurroundings, Preview, Receipt
from alerts.render import WORST_TITLE, Line, Rendered, calls, render
from rules.alert import Alert, Stage
from wire.errors import EdgeError, Malformed, NotAllowed, Refused, RetryAt
from wire.exchange import Bounds
from wire.http import HttpClient, Reply, retry_at
from wire.secret import Secret, SecretMissing

if TYPE_CHECKING:
    from slack_sdk.models.blocks import Block

HEADER_LENGTH_MAX = 150
BLOCK_ID_LENGTH_MAX = 255
UPDATES_MAX = 10
"""So many messages of one subject are changed when it is over: the first, and the latest ones."""

_PLAIN = {"mrkdwn": False, "unfurl_links": False, "unfurl_media": False}
"""A new message's text has no markup, and no preview of a stranger's link."""

_TRY_AGAIN = frozenset({"service_unavailable", "request_timeout", "team_added_to_org", "rollup_error"})
_PERHAPS_DONE = frozenset({"internal_error", "fatal_error"})
_LIMITED = frozenset({"ratelimited", "rate_limited"})
_GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed", "is_inactive"})
_NO_THREAD = frozenset({"thread_not_found", "cannot_reply_to_message", "invalid_thread_ts"})

_NEW_TOKEN = "make a new bot token and put it where bot_token says"
_ASK_ADMIN = "ask the workspace's administrators to let the app post there"
_WHAT_TO_DO = {
    "not_authed": _NEW_TOKEN,
    "invalid_auth": _NEW_TOKEN,
    "token_revoked": _NEW_TOKEN,
    "token_expired": _NEW_TOKEN,
    "account_inactive": _NEW_TOKEN,
    "not_allowed_token_type": "use a bot token (it begins with xoxb-)",
    "missing_scope": "give the app the scope that is missing, and install it again",
    "no_permission": "give the app the scope chat:write, and install it again",
    "not_in_channel": "invite the app: write /invite @its-name in the channel",
    "channel_not_found": "check `channel`, and invite the app if the channel is private",
    "is_archived": "the channel is archived: name another in `channel`",
    "access_denied": _ASK_ADMIN,
    "accesslimited": _ASK_ADMIN,
    "ekm_access_denied": _ASK_ADMIN,
    "enterprise_is_restricted": _ASK_ADMIN,
    "org_login_required": _ASK_ADMIN,
    "team_access_not_granted": _ASK_ADMIN,
    "restricted_action": _ASK_ADMIN,
    "restricted_action_read_only_channel": _ASK_ADMIN,
    "restricted_action_thread_only_channel": _ASK_ADMIN,
    "two_factor_setup_required": "set up two-factor authentication for the app's owner",
}
"""Slack's words for what a person must mend, and what that person does."""

_MENTIONS = {"@here": "<!here>", "@channel": "<!channel>", "@everyone": "<!everyone>"}
ON_CALL = "@oncall"
"""Whoever is on shift: the alert brings their ids."""

_GROUP_ID = re.compile(r"S[A-Z0-9]{2,20}")
_USER_ID = re.compile(r"[UW][A-Z0-9]{2,20}")
_SLACK_FORM = re.compile(r"<(!here|!channel|!everyone|!subteam\^S[A-Z0-9]{2,20}|@[UW][A-Z0-9]{2,20})>")
_WORD = re.compile(r"[a-z_]{1,60}")


def _base_url(value: str) -> str:
    if not value.startswith(("https://", "http://")) or any(letter in value for letter in "@?#"):
        raise ValueError(
            'expected a URL such as "https://slack.com/api", without a user, a query or a fragment'
        )
    return value.rstrip("/")


def _mention(value: str) -> str:
    """Slack's form of a mention. Only what the config says ever becomes one."""
    if value == ON_CALL:
        return value
    if value in _MENTIONS or _SLACK_FORM.fullmatch(value):
        return _MENTIONS.get(value, value)
    if _GROUP_ID.fullmatch(value):
        return f"<!subteam^{value}>"
    if _USER_ID.fullmatch(value):
        return f"<@{value}>"
    raise ValueError(
        'expected "@here", "@channel", "@oncall", or the id of a user group ("S…") or a user ("U…")'
    )


class Settings(BaseModel):
    """[channels.NAME] with type = "slack": an incoming webhook, or a bot token and a channel."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    type: Literal["slack"] = Field(default="slack", description="This kind of channel.")
    webhook_url: Secret | None = Field(
        default=None,
        description="An incoming webhook's URL, as a secret. It posts; it cannot update or use threads.",
    )
    bot_token: Secret | None = Field(
        default=None, description="A bot token (xoxb-…) with the scope chat:write; needs channel too."
    )
    channel: Annotated[str, StringConstraints(pattern=r"^(#[^\s#@<>]{1,80}|[CGD][A-Z0-9]{5,20})$")] | None = (
        Field(default=None, description='With bot_token: where to post, "#care" or the channel\'s id.')
    )
    mention: Annotated[str, AfterValidator(_mention)] | None = Field(
        default=None,
        description="Whom a breach, an escalation and a storm's beginning call: "
        '"@here", "@channel", "@oncall" (who is on shift), or the id of a user group or a user.',
    )
    api_url: Annotated[str, AfterValidator(_base_url)] = Field(
        default="https://slack.com/api", description="Where Slack's Web API is, for bot_token."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.webhook_url is None) == (self.bot_token is None):
            raise ValueError("expected either webhook_url, or bot_token and channel")
        if self.bot_token is not None and self.channel is None:
            raise ValueError('channel: missing; expected where to post, such as "#care"')
        if self.webhook_url is not None and self.channel is not None:
            raise ValueError("channel: a webhook has its own channel; remove this, or use bot_token")
        return self


def build(settings: Settings, surroundings: ChannelSurroundings) -> SlackChannel:
    """The channel. Nothing is asked of Slack yet."""
    return SlackChannel(settings, surroundings)


def escape(text: str) -> str:
    """Slack's three letters of control: what is escaped can neither call, link nor be a command.

    Source: Slack's "Formatting text for app surfaces", escaping text.
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def build_blocks(alert: Alert, said: Rendered, mention: str | None) -> list[dict[str, Any]]:
    """The message in Block Kit. Strangers' words stand only in plain_text and in rich text's text elements:
    neither knows markup, mentions or links. The first block's id is the alert's key, which is all that a
    webhook can carry. `mention` is Slack's form; not every alert calls. slack_sdk checks the limits."""
    from slack_sdk.models.blocks import (
        HeaderBlock,
        MarkdownTextObject,
        PlainTextObject,
        RichTextBlock,
        SectionBlock,
    )

    header = _cut(f"{said.mark} {said.headline}", HEADER_LENGTH_MAX)
    blocks: list[Block] = [
        HeaderBlock(block_id=alert.key[:BLOCK_ID_LENGTH_MAX], text=PlainTextObject(text=header, emoji=False))
    ]
    if mention is not None and calls(alert):
        blocks.append(SectionBlock(text=MarkdownTextObject(text=mention, verbatim=True)))
    blocks.append(RichTextBlock(elements=_rich_text(said)))
    return [block.to_dict() for block in blocks]


def _cut(text: str, length_max: int) -> str:
    """The start of a text; an emoji counts twice, as it does where strings are UTF-16."""
    return text.encode("utf-16-le")[: 2 * length_max].decode("utf-16-le", "ignore")


def _rich_text(said: Rendered) -> list[dict[str, Any]]:
    """Everything below the header: lines in sections, the customer's words as a quote, reasons as a list."""
    head = [[*_label(label), _text(value)] for label, value in said.facts]
    tail = [[*_label("Note"), _text(caveat)] for caveat in said.caveats]
    if said.link is not None:
        tail.append([{"type": "link", "url": said.link, "text": said.link_text}])
    tail.append([{**_text(said.footer), "style": {"italic": True}}])
    elements: list[dict[str, Any]] = []
    if said.quote is not None:
        elements.append(_section([*head, _label("They wrote")]))
        elements.append({"type": "rich_text_quote", "elements": [_text(said.quote)]})
        head = []
    if said.cases:
        elements.append(_section([*head, _label(WORST_TITLE)]))
        elements.append(_list([_line(each) for each in said.cases]))
        head = []
    if said.reasons:
        elements.append(_section([*head, _label("Why we think that it is a complaint")]))
        elements.append(_list([[_text(reason)] for reason in said.reasons]))
        head = []
    return [*elements, _section([*head, *tail])]


def _list(rows: Sequence[Sequence[dict[str, Any]]]) -> dict[str, Any]:
    return {"type": "rich_text_list", "style": "bullet", "elements": [_section([row]) for row in rows]}


def _line(line: Line) -> list[dict[str, Any]]:
    """A line, and its link where it has one."""
    if line.link is None:
        return [_text(line.text)]
    return [_text(f"{line.text} "), {"type": "link", "url": line.link, "text": line.link_text}]


def _section(lines: Sequence[Sequence[dict[str, Any]]]) -> dict[str, Any]:
    """Lines of a rich text; it has no lines of its own but the line ends in its texts."""
    elements: list[dict[str, Any]] = []
    for line in lines:
        elements += [_text("\n"), *line] if elements else line
    return {"type": "rich_text_section", "elements": elements}


def _text(text: str) -> dict[str, Any]:
    # Slack refuses a text element without a letter.
    return {"type": "text", "text": text or " "}


def _label(label: str) -> list[dict[str, Any]]:
    return [{**_text(f"{label}: "), "style": {"bold": True}}]


def called(alert: Alert, mention: str | None) -> str | None:
    """Whom an alert calls, in Slack's form: the channel's own mention, and the people whom it concerns by
    name. Their ids are the config's."""
    facts = alert.case or alert.storm
    ids = [f"<@{id}>" for id in (facts.calls if facts is not None else ()) if _USER_ID.fullmatch(id)]
    own = [] if mention in (None, ON_CALL, *ids) else [mention]
    return " ".join([m for m in own if m is not None] + ids) or None


class _Gone(Refused):
    """The message, or the thread, that was to be changed or continued is not there any more."""


class SlackChannel:
    """One place in Slack. `updates` only with a token.

    A receipt's `remote` has, with a token, `channel` (the id), `ts` (the subject's first message, whose
    thread the others are in) and `said` (the messages that stand there, the first one first).
    """

    def __init__(self, settings: Settings, surroundings: ChannelSurroundings) -> None:
        self._settings = settings
        self._surroundings = surroundings
        self._client = HttpClient(surroundings.http)

    @property
    def recipient(self) -> str:
        return self._settings.channel or f"webhook of {self._surroundings.name}"

    @property
    def updates(self) -> bool:
        return self._settings.bot_token is not None

    def send(self, alert: Alert, previous: Receipt | None, time_limit: float) -> Receipt:
        """Say it: as a new message, in the thread of `previous`, or by changing what was said.

        What is new to people is one request, so that nothing can be half done. Ending a subject, or bringing
        a storm up to date, changes each message that stands: doing that again does no harm.
        """
        said = render(alert, self._surroundings.zone)
        body: dict[str, Any] = {
            "text": escape(f"{said.mark} {said.headline}"),
            "blocks": build_blocks(alert, said, called(alert, self._settings.mention)),
        }
        bounds = Bounds(time_limit, 0)
        if self._settings.webhook_url is not None:
            return self._post_to_webhook(self._settings.webhook_url, body, bounds)
        # chat.postMessage has no idempotency key: whoever looks for doubles finds ours here.
        payload = {"key": alert.key, "stage": alert.stage.value}
        body["metadata"] = {"event_type": "response_monitor_alert", "event_payload": payload}
        remote = dict(previous.remote) if previous is not None else {}
        known = bool(remote.get("channel") and remote.get("ts")) and alert.stage is not Stage.TEST
        if not known:
            return self._post(body, {}, bounds)
        if _updates(alert):
            return self._change(body, remote, bounds)
        try:
            return self._post(body, remote, bounds)
        except _Gone:
            return self._post(body, {}, bounds)

    def preview(self, alert: Alert) -> Preview:
        """Its Block Kit, which Slack's Block Kit Builder shows as people would see it."""
        said = render(alert, self._surroundings.zone)
        blocks = build_blocks(alert, said, called(alert, self._settings.mention))
        return Preview("json", json.dumps({"blocks": blocks}, indent=2, ensure_ascii=False))

    def check(self, time_limit: float) -> str:
        """Who we are in Slack. A webhook can only be tried by sending."""
        if self._settings.webhook_url is not None:
            self._reveal(self._settings.webhook_url)
            return "an incoming webhook; whether Slack takes it shows only by sending (check --send)"
        who = self._call("auth.test", {}, Bounds(time_limit, 0))
        return f"we are {who.get('user', '?')!s:.80} in {who.get('team', '?')!s:.80}, to {self.recipient}"

    def close(self) -> None:
        """Give back the sockets."""
        self._client.close()

    def _post(self, body: Mapping[str, Any], remote: Mapping[str, str], bounds: Bounds) -> Receipt:
        """A new message: in the subject's thread and in the channel at once, if the subject has one."""
        message: dict[str, Any] = {**body, **_PLAIN, "channel": self._settings.channel}
        if remote:
            # An update alone would call nobody, and a reply alone only those who follow the thread.
            message |= {"channel": remote["channel"], "thread_ts": remote["ts"], "reply_broadcast": True}
        answer = self._call("chat.postMessage", message, bounds)
        channel, ts = answer.get("channel"), answer.get("ts")
        if not isinstance(channel, str) or not isinstance(ts, str):
            # It was accepted; only what follows cannot be tied to it.
            return Receipt(self._surroundings.clock(), dict(remote))
        if not remote:
            return Receipt(self._surroundings.clock(), {"channel": channel, "ts": ts, "said": ts})
        earlier = _said(remote)
        kept = [earlier[0], *earlier[1:][-(UPDATES_MAX - 2) :], ts]
        return Receipt(self._surroundings.clock(), {**remote, "said": " ".join(kept)})

    def _change(self, body: Mapping[str, Any], remote: Mapping[str, str], bounds: Bounds) -> Receipt:
        """Let every message of the subject say how it ended, or stands; if none is left, say it anew.

        The latest first: it is the one that people are looking at.
        """
        changed = 0
        for ts in reversed(_said(remote)):
            try:
                self._call("chat.update", {**body, "channel": remote["channel"], "ts": ts}, bounds)
                changed += 1
            except _Gone:
                continue
        if not changed:
            return self._post(body, {}, bounds)
        return Receipt(self._surroundings.clock(), dict(remote))

    def _call(self, method: str, body: Mapping[str, Any], bounds: Bounds) -> Mapping[str, Any]:
        """One call of the Web API. Its own `error` words become ours, and nothing else of it is repeated."""
        token = self._settings.bot_token
        if token is None:
            raise Refused("no bot token is configured")
        headers = {"Authorization": f"Bearer {self._reveal(token)}"}
        url = f"{self._settings.api_url}/{method}"
        reply = self._client.request(
            "POST", url, headers=headers, json=body, time_limit=bounds.seconds_left()
        )
        self._look_at_status(reply)
        if reply.status in (401, 403):
            raise NotAllowed(f"Slack answered {method} with status {reply.status}: {_NEW_TOKEN}")
        if reply.status == 404:
            raise NotAllowed(f"there is no {method} at api_url: check it")
        if reply.status >= 400:
            raise Refused(f"Slack answered {method} with status {reply.status}")
        answer = reply.json()
        if not isinstance(answer, dict) or not isinstance(answer.get("ok"), bool):
            raise Malformed(f"an answer to {method} that is not Slack's")
        if answer["ok"]:
            return answer
        raise self._error_of(method, _word(answer.get("error")), answer)

    def _error_of(self, method: str, error: str, answer: Mapping[str, Any]) -> EdgeError:
        """Slack's word for what went wrong, as what we can do about it."""
        if error in _LIMITED:
            return RetryAt("Slack limits how often we may post", limited=True)
        if error in _PERHAPS_DONE:
            # Slack's docs: "it's possible some aspect of the operation succeeded".
            return RetryAt(f"Slack has trouble ({error})", accepted_unknown=True)
        if error in _TRY_AGAIN:
            return RetryAt(f"Slack has trouble ({error})")
        if (method == "chat.update" and error in _GONE) or error in _NO_THREAD:
            return _Gone(f"Slack no longer has the message ({error})")
        if error in _WHAT_TO_DO:
            needed = answer.get("needed")
            plain = isinstance(needed, str) and re.fullmatch(r"[a-z:._,]{1,60}", needed)
            scope = f" {needed}" if plain else ""
            return NotAllowed(f"Slack says {error}{scope} for {self.recipient}: {_WHAT_TO_DO[error]}")
        return Refused(f"Slack refused {method} for {self.recipient}: {error}")

    def _post_to_webhook(self, url: Secret, body: Mapping[str, Any], bounds: Bounds) -> Receipt:
        """Only status 200 with the body "ok" is a success."""
        address = self._reveal(url)
        message = {**body, **_PLAIN}
        reply = self._client.request("POST", address, json=message, time_limit=bounds.seconds_left())
        self._look_at_status(reply)
        if reply.status == 200 and reply.body.strip() == b"ok":
            return Receipt(self._surroundings.clock())
        word = _word(reply.body[:100].decode("ascii", "replace").strip())
        if reply.status < 400:
            raise Malformed(f"an answer of Slack's webhook that is not its ok (status {reply.status})")
        if reply.status in (401, 403, 404, 410):
            raise NotAllowed(
                f"Slack no longer takes this webhook ({reply.status} {word}): make a new one, or bring its "
                "channel back"
            )
        raise Refused(f"Slack's webhook refused it ({reply.status} {word})")

    def _look_at_status(self, reply: Reply) -> None:
        """What means the same for webhooks and the Web API: limits and outages."""
        at = retry_at(reply.headers, self._surroundings.clock())
        if reply.status == 429:
            raise RetryAt("Slack limits how often we may post", at=at, limited=True)
        if reply.status >= 500:
            # A gateway that gave up waiting does not know whether Slack took it.
            unknown = reply.status == 504
            raise RetryAt(f"Slack answered with status {reply.status}", at=at, accepted_unknown=unknown)

    def _reveal(self, secret: Secret) -> str:
        try:
            return secret.reveal()
        except SecretMissing as error:
            raise NotAllowed(str(error)) from None


def _updates(alert: Alert) -> bool:
    """Whether it changes what was said, silently, rather than saying something new: an end, and a storm's
    state a minute later."""
    if alert.stage is Stage.STORM:
        return alert.repeat > 0 or (alert.storm is not None and alert.storm.over_at is not None)
    return alert.stage in (Stage.CLEARED, Stage.CORRECTED, Stage.MOVED)


def _said(remote: Mapping[str, str]) -> Sequence[str]:
    """The messages of a subject that stand, as a receipt names them."""
    return (remote.get("said") or remote["ts"]).split(" ")[:UPDATES_MAX]


def _word(error: object) -> str:
    """Slack's error words are lower-case with underscores; anything else could be anything."""
    return error if isinstance(error, str) and _WORD.fullmatch(error) else "an error that it did not name"
