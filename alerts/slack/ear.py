"""From what people did in Slack to the desk, and the answer to whoever did it.

What may live here: the bounded queue between what hears (a line of Socket Mode, or the web server) and the
one thread that asks the desk; what was heard already; and who may do what. Slack wants each call acknowledged
within 3 seconds, and the desk may be slower: so a call is acknowledged once it is in the queue, and answered
afterwards over its response URL. What does not fit into the queue is not acknowledged: then Slack itself says
to whoever pressed that it did not work.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from alerts.contract import Asked, CallbackAnswer, ChannelSurroundings, Desk, Hearing, Press
from alerts.slack.api import SlackApi, reveal
from alerts.slack.blocks import build_list, escape
from alerts.slack.line import SocketLine
from alerts.slack.payloads import (
    SIGNATURE_SECONDS_MAX,
    Call,
    Forged,
    UrlVerification,
    open_callback,
)
from alerts.slack.settings import Settings
from wire.errors import EdgeError, Malformed, NotAllowed
from wire.exchange import Bounds
from wire.redact import inert

QUEUE_MAX = 100
REMEMBERED_MAX = 5000
ANSWER_SECONDS_MAX = 10.0
LINE_LENGTH_MAX = 500


class Remembered:
    """What was heard already, for a while. May be used by several threads.

    What is younger than `seconds` is never forgotten: where there is no room, nothing new is taken.
    """

    def __init__(self, seconds: float) -> None:
        self._span = timedelta(seconds=seconds)
        self._known: dict[str, datetime] = {}
        self._lock = threading.Lock()

    def is_new(self, id: str, now: datetime) -> bool:
        """Whether it is heard for the first time; from now on it is not. Raises queue.Full."""
        with self._lock:
            if id in self._known:
                return False
            if len(self._known) >= REMEMBERED_MAX:
                self._known = {k: at for k, at in self._known.items() if abs(now - at) <= self._span}
                if len(self._known) >= REMEMBERED_MAX:
                    raise queue.Full
            self._known[id] = now
            return True

    def forget(self, id: str) -> None:
        """It was not taken after all."""
        with self._lock:
            self._known.pop(id, None)


class SlackListener:
    """A channel's ear: with an app-level token on a line of Socket Mode, else for signed callbacks."""

    def __init__(self, settings: Settings, surroundings: ChannelSurroundings, desk: Desk) -> None:
        self._settings = settings
        self._clock = surroundings.clock
        self._desk = desk
        where = settings.channel or surroundings.name
        self._api = SlackApi(settings.api_url, where, surroundings.http, surroundings.clock)
        # A call may come again over another line; a signature only within the time that it is good for.
        self._calls = Remembered(SIGNATURE_SECONDS_MAX)
        self._signatures = Remembered(2 * SIGNATURE_SECONDS_MAX)
        self._queue: queue.Queue[Call | None] = queue.Queue(QUEUE_MAX)
        self._state = Hearing(None)
        self._state_lock = threading.Lock()
        self._worker = threading.Thread(target=self._work, name="slack-desk", daemon=True)
        self._stopping = threading.Event()
        self._line: SocketLine | None = None
        if settings.app_token is not None:
            self._line = SocketLine(
                self._api, settings.app_token, surroundings, take=self.take, note=self._note
            )

    def start(self) -> None:
        """Begin to listen."""
        self._worker.start()
        if self._line is not None:
            self._line.start()
        else:
            self._note(lambda state: replace(state, connected_since=self._clock()))

    def stop(self, seconds_max: float) -> None:
        """Hear no more; what is in the queue is still brought to the desk, as far as the time allows."""
        bounds = Bounds(seconds_max, 0)
        self._stopping.set()
        if self._line is not None:
            self._line.stop(max(0.0, bounds.seconds_left()))
        if self._worker.is_alive():
            try:
                self._queue.put(None, timeout=max(0.01, bounds.seconds_left()))
                self._worker.join(max(0.0, bounds.seconds_left()))
            except queue.Full:
                # The desk did not come back in all that time; the thread ends with the process.
                pass
        self._note(lambda state: replace(state, connected_since=None))
        self._api.close()

    def hearing(self) -> Hearing:
        """How well it hears now."""
        with self._state_lock:
            return self._state

    def receive(self, headers: Mapping[str, str], body: bytes) -> CallbackAnswer:
        """Take a signed callback of Slack. Answered at once, as Slack wants; the person hears by the response
        URL."""
        secret = self._settings.signing_secret
        if secret is None or self._stopping.is_set():
            return CallbackAnswer(404 if secret is None else 503)
        now = self._clock()
        try:
            callback = open_callback(headers, body, reveal(secret), now)
            if not self._signatures.is_new(callback.id, now):
                raise Forged("a callback that came before")
            if isinstance(callback.said, UrlVerification):
                return CallbackAnswer(200, callback.said.challenge.encode("utf-8", "replace"))
            if callback.said is not None and not self.take(callback.said):
                self._signatures.forget(callback.id)
                return CallbackAnswer(503)
        except (Forged, NotAllowed) as error:
            self._trouble(str(error))
            return CallbackAnswer(401)
        except Malformed as error:
            self._trouble(str(error))
            return CallbackAnswer(400)
        except queue.Full:
            return CallbackAnswer(503)
        return CallbackAnswer(200)

    def take(self, call: Call) -> bool:
        """Put it into the queue; False where there is no room, or nobody to come for it any more. What was
        heard before is taken, and left."""
        if self._stopping.is_set():
            return False
        now = self._clock()
        try:
            if not self._calls.is_new(call.id, now):
                return True
            self._queue.put_nowait(call)
        except queue.Full:
            self._calls.forget(call.id)
            self._trouble("more is pressed than the desk can take", lost=1)
            return False
        self._note(lambda state: replace(state, heard=state.heard + 1))
        return True

    def _work(self) -> None:
        """Bring to the desk what was heard, one after the other, until told to end."""
        while (call := self._queue.get()) is not None:
            answer = self._ask_desk(call)
            # What was done is done, and shows in the message, whatever becomes of the answer.
            try:
                self._api.respond(call.answer_url, answer, Bounds(ANSWER_SECONDS_MAX, 0))
            except EdgeError as error:
                self._trouble(f"an answer could not be given: {error}", lost=1)
            except Exception as error:
                self._trouble(f"an answer could not be given ({type(error).__name__})", lost=1)

    def _ask_desk(self, call: Call) -> dict[str, Any]:
        refusal = self._refusal(call)
        if refusal:
            return {"text": escape(refusal)}
        try:
            if isinstance(call.said, Press):
                return {"text": escape(inert(self._desk.act(call.said), LINE_LENGTH_MAX) or "done")}
            text, blocks = build_list(self._desk.waiting(call.said))
            return {"text": escape(text), **({"blocks": blocks} if blocks else {})}
        except ValueError as error:
            return {"text": escape(inert(str(error), LINE_LENGTH_MAX) or "that cannot be done")}
        except Exception as error:
            # A desk that breaks its contract costs one answer, not the ear.
            self._trouble(f"the desk failed with {type(error).__name__}", lost=1)
            return {"text": "That did not work; the response monitor's log says why."}

    def _refusal(self, call: Call) -> str:
        """Why this person may not do that; empty: they may. A button is seen only by who sees the channel; a
        command can be typed by anybody, anywhere in the workspace."""
        operators, channel = self._settings.operators, self._settings.channel or ""
        if operators:
            return "" if call.said.who_id in operators else f"{call.said.who} is not one of the operators."
        if isinstance(call.said, Asked) and channel not in (call.channel[0], f"#{call.channel[1]}"):
            return f"Ask in {channel}. (If it is private, the config must name it by its id.)"
        return ""

    def _note(self, change: Callable[[Hearing], Hearing]) -> None:
        with self._state_lock:
            self._state = change(self._state)

    def _trouble(self, words: str, lost: int = 0) -> None:
        self._note(
            lambda state: replace(state, trouble=inert(words, LINE_LENGTH_MAX), lost=state.lost + lost)
        )
