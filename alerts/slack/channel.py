"""Telling people in Slack.

What may live here: which message is posted, threaded or changed for an alert. With a token a case is one
message, which always shows how it stands: what must be noticed later (a breach, a reminder) is also said in
its thread and in the channel; what people do with it is told in the thread only; and when it is over each of
these messages itself says so. A storm is one message that is kept up to date.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from alerts.contract import ChannelSurroundings, Desk, Listener, Preview, Receipt
from alerts.render import Rendered
from alerts.slack.api import PLAIN, Gone, SlackApi, reveal
from alerts.slack.blocks import build_blocks, build_line, called, escape
from alerts.slack.settings import USER_ID, Settings
from rules.alert import Addressee, Alert, Reach, Stage
from wire.errors import EdgeError, Refused
from wire.exchange import Bounds

UPDATES_MAX = 10
"""So many messages of one subject are kept up to date: the first, and the latest ones."""


def build(settings: Settings, surroundings: ChannelSurroundings) -> SlackChannel:
    """The channel. Nothing is asked of Slack yet."""
    return SlackChannel(settings, surroundings)


class SlackChannel:
    """One place in Slack. `updates` only with a token; buttons only where somebody hears them.

    A receipt's `remote` has, with a token, `channel` (the id), `ts` (the subject's first message, whose
    thread the others are in) and `said` (the messages that stand there, the first one first).
    """

    def __init__(self, settings: Settings, surroundings: ChannelSurroundings) -> None:
        self._settings = settings
        self._surroundings = surroundings
        self._api = SlackApi(settings.api_url, self.recipient, surroundings.http, surroundings.clock)

    @property
    def recipient(self) -> str:
        return self._settings.channel or f"webhook of {self._surroundings.name}"

    @property
    def updates(self) -> bool:
        return self._settings.bot_token is not None

    def send(self, alert: Alert, previous: Receipt | None, time_limit: float) -> Receipt:
        """Say it: as a new message, in the thread of `previous`, or by changing what was said.

        Nothing can be half done: of what is new to people there is one request, after which nothing may fail;
        and changing what stands can be done again without harm.
        """
        said = self._surroundings.render(alert)
        bounds = Bounds(time_limit, 0)
        if self._settings.webhook_url is not None:
            self._api.post_to_webhook(self._settings.webhook_url, self._message(alert, said), bounds)
            return Receipt(self._surroundings.clock())
        remote = dict(previous.remote) if previous is not None else {}
        known = bool(remote.get("channel") and remote.get("ts")) and alert.stage is not Stage.TEST
        if not known:
            return self._post(alert, said, {}, bounds)
        if alert.stage is Stage.MOVED:
            return self._move(alert, said, remote, bounds)
        if _updates(alert):
            return self._change(alert, said, remote, bounds)
        try:
            receipt = self._post(alert, said, remote, bounds)
        except Gone:
            return self._post(alert, said, {}, bounds)
        self._refresh_first(alert, said, remote, bounds)
        return receipt

    def preview(self, alert: Alert) -> Preview:
        """Its Block Kit, which Slack's Block Kit Builder shows as people would see it."""
        said = self._surroundings.render(alert)
        blocks = self._message(alert, said)["blocks"]
        return Preview("json", json.dumps({"blocks": blocks}, indent=2, ensure_ascii=False))

    def reach(self, person: Addressee) -> Reach | None:
        """Whom Slack knows is called here, in what all read."""
        known = person.slack is not None and USER_ID.fullmatch(person.slack)
        return Reach(self.recipient, hears_all=True) if known else None

    def listen(self, desk: Desk) -> Listener | None:
        """An ear for buttons and /waiting; None with neither app_token nor signing_secret."""
        if not self._settings.hears:
            return None
        from alerts.slack.ear import SlackListener

        return SlackListener(self._settings, self._surroundings, desk)

    def check(self, time_limit: float) -> str:
        """Who we are in Slack. A webhook can only be tried by sending."""
        if self._settings.webhook_url is not None:
            reveal(self._settings.webhook_url)
            return "an incoming webhook; whether Slack takes it shows only by sending (check --send)"
        bounds = Bounds(time_limit, 0)
        who = self._call("auth.test", {}, bounds)
        said = f"we are {who.get('user', '?')!s:.80} in {who.get('team', '?')!s:.80}, to {self.recipient}"
        if self._settings.app_token is not None:
            self._api.open_line(self._settings.app_token, bounds)
            return f"{said}; buttons are heard over Socket Mode"
        if self._settings.signing_secret is not None:
            reveal(self._settings.signing_secret)
            return f"{said}; buttons are heard over signed callbacks"
        return said

    def close(self) -> None:
        """Give back the sockets."""
        self._api.close()

    def _message(self, alert: Alert, said: Rendered, *, block_id: str | None = None) -> dict[str, Any]:
        """The alert's text and blocks. With a block id it changes a message, and calls nobody."""
        mention = called(alert, self._settings.mention) if block_id is None else None
        hears = self._settings.hears
        blocks = build_blocks(alert, said, mention, buttons=hears, block_id=block_id)
        return {"text": escape(f"{said.mark} {said.headline}"), "blocks": blocks}

    def _post(self, alert: Alert, said: Rendered, remote: Mapping[str, str], bounds: Bounds) -> Receipt:
        """A new message: in the subject's thread and in the channel at once, if the subject has one."""
        message: dict[str, Any] = {
            **self._message(alert, said),
            **PLAIN,
            "metadata": _metadata(alert, alert.key),
            "channel": self._settings.channel,
        }
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

    def _change(self, alert: Alert, said: Rendered, remote: Mapping[str, str], bounds: Bounds) -> Receipt:
        """Let every message of the subject say how it ended, or stands; if none is left, say it anew."""
        if not self._update_all(alert, said, remote, bounds):
            return self._post(alert, said, {}, bounds)
        return Receipt(self._surroundings.clock(), dict(remote))

    def _move(self, alert: Alert, said: Rendered, remote: Mapping[str, str], bounds: Bounds) -> Receipt:
        """Let the messages say how it stands now, and tell its story in the thread, where it calls nobody but
        whom it is for: a changed message calls nobody at all.

        The line comes last: it is what must not be done twice, and after it nothing can fail.
        """
        if not self._update_all(alert, said, remote, bounds):
            return self._post(alert, said, {}, bounds)
        line = {
            **build_line(said.story, called(alert, None)),
            **PLAIN,
            "metadata": _metadata(alert, f"{alert.key}~line"),
            "channel": remote["channel"],
            "thread_ts": remote["ts"],
        }
        try:
            self._call("chat.postMessage", line, bounds)
        except Gone:
            # The first message was deleted by hand, and its thread went with it; the others show it.
            if alert.addressee is not None:
                return self._post_beside(alert, said, remote, bounds)
        return Receipt(self._surroundings.clock(), dict(remote))

    def _post_beside(
        self, alert: Alert, said: Rendered, remote: Mapping[str, str], bounds: Bounds
    ) -> Receipt:
        """A new first message, in whose thread the subject goes on; what stands still is kept up to date."""
        posted = self._post(alert, said, {}, bounds)
        kept = [*_said(posted.remote), *_said(remote)] if posted.remote else _said(remote)
        return Receipt(posted.at, {**remote, **posted.remote, "said": " ".join(kept[:UPDATES_MAX])})

    def _update_all(self, alert: Alert, said: Rendered, remote: Mapping[str, str], bounds: Bounds) -> int:
        """Change every message of the subject; how many are still there. The latest first: it is the one that
        people are looking at."""
        body = self._message(alert, said, block_id=f"{alert.key}~now")
        body["metadata"] = _metadata(alert, alert.key)
        changed = 0
        for ts in reversed(_said(remote)):
            try:
                self._call("chat.update", {**body, "channel": remote["channel"], "ts": ts}, bounds)
                changed += 1
            except Gone:
                continue
        return changed

    def _refresh_first(self, alert: Alert, said: Rendered, remote: Mapping[str, str], bounds: Bounds) -> None:
        """Let the first message show what was just said below it, under the key that it was posted with.

        What is new was posted: to raise here would post it again. So a change that fails is let be; the next
        one, at the latest the end, changes this message too.
        """
        body = self._message(alert, said, block_id=f"{alert.key}~now")
        with contextlib.suppress(EdgeError):
            self._call("chat.update", {**body, "channel": remote["channel"], "ts": remote["ts"]}, bounds)

    def _call(self, method: str, body: Mapping[str, Any], bounds: Bounds) -> Mapping[str, Any]:
        token = self._settings.bot_token
        if token is None:
            raise Refused("no bot token is configured")
        return self._api.call(method, token, body, bounds)


def _metadata(alert: Alert, key: str) -> dict[str, Any]:
    # chat.postMessage has no idempotency key: whoever looks for doubles finds ours here.
    payload = {"key": key, "stage": alert.stage.value}
    return {"event_type": "response_monitor_alert", "event_payload": payload}


def _updates(alert: Alert) -> bool:
    """Whether it changes what was said, silently, rather than saying something new: an end, and a storm's
    state a minute later."""
    if alert.stage is Stage.STORM:
        return alert.repeat > 0 or (alert.storm is not None and alert.storm.over_at is not None)
    return alert.stage in (Stage.CLEARED, Stage.CORRECTED)


def _said(remote: Mapping[str, str]) -> Sequence[str]:
    """The messages of a subject that stand, as a receipt names them."""
    return (remote.get("said") or remote["ts"]).split(" ")[:UPDATES_MAX]
