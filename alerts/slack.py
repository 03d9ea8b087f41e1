"""Slack: an incoming webhook (posts only), or a bot token (posts, threads and updates).

With a token a case is one message: a breach and its repeats are said in its thread and in the channel, and
when it is over the message itself says so. Block Kit is built with slack_sdk's models, which know its
limits. Sources: Slack's documentation of incoming webhooks, chat.postMessage, chat.update and rate limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from alerts.contract import ChannelSurroundings, Receipt
from alerts.render import Rendered, render
from rules.alert import Alert, Stage
from wire.errors import NotAllowed, Refused, RetryAt
from wire.http import HttpClient, Reply, retry_at
from wire.secret import Secret

HEADER_MAX, SECTION_MAX, FALLBACK_MAX = 150, 2900, 1000
RATE_LIMIT_WAIT = timedelta(seconds=1)
_COLOURS = {
    Stage.WARNING: ":large_yellow_circle:",
    Stage.BREACH: ":red_circle:",
    Stage.CLEARED: ":white_check_mark:",
    Stage.CORRECTED: ":large_blue_circle:",
    Stage.TROUBLE: ":warning:",
    Stage.TEST: ":test_tube:",
}
_TRY_AGAIN = frozenset(
    {"internal_error", "fatal_error", "service_unavailable", "request_timeout", "rollup_error"}
)
_A_PERSON_MUST_ACT = frozenset(
    "invalid_auth not_authed token_revoked token_expired account_inactive missing_scope not_in_channel"
    " channel_not_found is_archived no_permission access_denied org_login_required team_access_not_granted"
    " restricted_action".split()
)
_GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})


def _https(url: str) -> str:
    if not url.startswith(("https://", "http://")):
        raise ValueError('expected a URL such as "https://slack.com/api"')
    return url.rstrip("/")


class Settings(BaseModel):
    """[channels.NAME] with type = "slack": a webhook, or a bot token and a channel."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    type: Literal["slack"] = Field(default="slack", description="This kind of channel.")
    webhook_url: Secret | None = Field(
        default=None,
        description="An incoming webhook's URL (a secret). It can post, and change nothing later.",
    )
    bot_token: Secret | None = Field(
        default=None, description="A bot token (xoxb-…) with the scope chat:write."
    )
    channel: str | None = Field(
        default=None,
        min_length=1,
        max_length=80,
        description='With a token: the channel, such as "#care" or its id.',
    )
    mention: str | None = Field(
        default=None,
        pattern=r"^<[!@#][A-Za-z0-9^|@_.-]+>$",
        description='Whom a breach pings, in Slack\'s form: "<!here>", "<@U123>", "<!subteam^S123>".',
    )
    api_url: Annotated[str, AfterValidator(_https)] = Field(
        default="https://slack.com/api", description="Where Slack's Web API is."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Settings:
        if (self.webhook_url is None) == (self.bot_token is None):
            raise ValueError("expected either webhook_url, or bot_token with channel")
        if self.bot_token is not None and self.channel is None:
            raise ValueError('channel: missing; expected where to post, such as "#care"')
        return self


def build(settings: Settings, surroundings: ChannelSurroundings) -> SlackChannel:
    """The channel. Nothing is asked of Slack yet."""
    return SlackChannel(settings, surroundings)


def escape(text: str) -> str:
    """Slack's three characters of control. What is escaped can neither ping nor link nor be a command.

    Source: Slack's "Formatting text for app surfaces", escaping.
    """
    text = text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def build_blocks(alert: Alert, said: Rendered, mention: str | None) -> list[dict[str, Any]]:
    """The message in Block Kit, validated by slack_sdk's models. Strangers' words stand only in plain_text or
    in a preformatted quote, where no markup works."""
    from slack_sdk.models.blocks import Block, ContextBlock, HeaderBlock, SectionBlock
    from slack_sdk.models.blocks.basic_components import MarkdownTextObject, PlainTextObject
    from slack_sdk.models.blocks.block_elements import InteractiveElement, LinkButtonElement

    def plain(text: str, length: int) -> Any:
        clean = text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "")
        return PlainTextObject(text=_cut(clean, length) or " ", emoji=False)

    blocks: list[Block] = [
        HeaderBlock(block_id=_cut(alert.key, 255), text=plain(said.headline, HEADER_MAX)),
    ]
    lines = [f"*{escape(label)}:* {escape(value)}" for label, value in said.facts]
    lines[:1] = [f"{_COLOURS[alert.stage]} {lines[0]}"] if lines else []
    if mention is not None and alert.stage is Stage.BREACH:
        lines.append(mention)
    body = "\n".join(lines) or escape(said.headline)
    blocks.append(SectionBlock(text=MarkdownTextObject(text=_cut(body, SECTION_MAX))))
    if said.quote is not None:
        blocks.append(SectionBlock(text=plain(f"“{said.quote}”", SECTION_MAX)))
    notes = [*(f"Note: {c}" for c in said.caveats), *(f"Why: {r}" for r in said.reasons[:5]), said.footer]
    blocks.append(ContextBlock(elements=[plain(_cut(note, 300), 300) for note in notes[:10]]))
    if said.link is not None and said.link.startswith(("https://", "http://")) and len(said.link) <= 3000:
        from slack_sdk.models.blocks import ActionsBlock

        button: InteractiveElement = LinkButtonElement(text="Open and reply", url=said.link, action_id="open")
        blocks.append(ActionsBlock(elements=[button]))
    return [block.to_dict() for block in blocks]


class SlackChannel:
    """One Slack channel. `updates` only with a token."""

    def __init__(self, settings: Settings, surroundings: ChannelSurroundings) -> None:
        self._settings = settings
        self._surroundings = surroundings
        self._client = HttpClient(surroundings.http)

    @property
    def recipient(self) -> str:
        return self._settings.channel or "webhook"

    @property
    def updates(self) -> bool:
        return self._settings.bot_token is not None

    def send(self, alert: Alert, previous: Receipt | None, time_limit: float) -> Receipt:
        """Post it, or change what was posted. One request each, so that a retry repeats little."""
        said = render(alert, self._surroundings.zone)
        body = {
            "text": escape(_cut(said.headline, FALLBACK_MAX)),
            "blocks": build_blocks(alert, said, self._settings.mention),
        }
        if self._settings.webhook_url is not None:
            return self._post_webhook(self._settings.webhook_url, body, time_limit)
        root = dict(previous.remote) if previous is not None else {}
        over = alert.stage in (Stage.CLEARED, Stage.CORRECTED)
        if over and "ts" in root:
            try:
                self._call("chat.update", {**body, "channel": root["channel"], "ts": root["ts"]}, time_limit)
                return Receipt(self._surroundings.clock(), root)
            except _MessageGone:
                root = {}
        return self._post(alert, body, root, time_limit)

    def _post(
        self, alert: Alert, body: Mapping[str, Any], root: Mapping[str, str], time_limit: float
    ) -> Receipt:
        message = {
            **body,
            "channel": self._settings.channel,
            "unfurl_links": False,
            "unfurl_media": False,
            # chat.postMessage has no idempotency key: whoever looks for doubles finds ours here.
            "metadata": {"event_type": "response_monitor_alert", "event_payload": {"key": alert.key}},
        }
        if "ts" in root:
            message |= {"thread_ts": root["ts"], "reply_broadcast": True}
        answer = self._call("chat.postMessage", message, time_limit)
        channel, ts = answer.get("channel"), answer.get("ts")
        if not isinstance(channel, str) or not isinstance(ts, str):
            return Receipt(self._surroundings.clock(), dict(root))
        return Receipt(self._surroundings.clock(), dict(root) or {"channel": channel, "ts": ts})

    def _post_webhook(self, url: Secret, body: Mapping[str, Any], time_limit: float) -> Receipt:
        reply = self._client.request("POST", url.reveal(), json=body, time_limit=time_limit)
        self._raise_for_limits(reply)
        if reply.status == 200 and reply.body.strip() == b"ok":
            return Receipt(self._surroundings.clock())
        word = reply.body[:60].decode("ascii", "replace").strip()
        if reply.status in (403, 404, 410):
            raise NotAllowed(f"Slack no longer takes this webhook ({word or reply.status}); make a new one")
        if reply.status == 200:
            raise RetryAt("Slack's webhook answered something else than ok")
        raise Refused(f"Slack's webhook refused it with status {reply.status}")

    def _call(self, method: str, body: Mapping[str, Any], time_limit: float) -> dict[str, Any]:
        token = self._settings.bot_token
        if token is None:
            raise Refused("no bot token is configured")
        reply = self._client.request(
            "POST",
            f"{self._settings.api_url}/{method}",
            headers={"Authorization": f"Bearer {token.reveal()}"},
            json=body,
            time_limit=time_limit,
        )
        self._raise_for_limits(reply)
        answer = reply.json()
        if not isinstance(answer, dict):
            raise RetryAt("Slack answered no JSON object")
        if answer.get("ok") is True:
            return answer
        self._raise_for(method, str(answer.get("error", "unknown"))[:60], answer)
        raise AssertionError("unreachable")

    def _raise_for(self, method: str, error: str, answer: Mapping[str, Any]) -> None:
        if error in ("ratelimited", "rate_limited"):
            raise RetryAt(
                "Slack limits our rate", at=self._surroundings.clock() + RATE_LIMIT_WAIT, limited=True
            )
        if error in _TRY_AGAIN:
            raise RetryAt(f"Slack has trouble ({error})")
        if error in _GONE:
            raise _MessageGone(error)
        if error in _A_PERSON_MUST_ACT:
            needed = answer.get("needed")
            more = f", the scope {needed} is missing" if isinstance(needed, str) else ""
            raise NotAllowed(f"Slack says {error}{more} for {self.recipient}: see docs/alerts.md")
        raise Refused(f"Slack refused {method}: {error}")

    def _raise_for_limits(self, reply: Reply) -> None:
        now = self._surroundings.clock()
        if reply.status == 429:
            at = retry_at(reply.headers, now) or now + RATE_LIMIT_WAIT
            raise RetryAt("Slack limits our rate", at=at, limited=True)
        if reply.status >= 500:
            raise RetryAt(f"Slack answered {reply.status}", at=retry_at(reply.headers, now))

    def check(self, time_limit: float) -> str:
        if self._settings.webhook_url is not None:
            self._settings.webhook_url.reveal()
            return "a webhook can be tested only by sending: check --send"
        who = self._call("auth.test", {}, time_limit)
        return f"we are {who.get('user', '?')} in {who.get('team', '?')}, posting to {self.recipient}"

    def close(self) -> None:
        self._client.close()


class _MessageGone(Refused):
    """The message that was to be changed is not there any more."""
