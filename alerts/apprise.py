"""Apprise: one message to one of the hundred services that the library of that name knows.

What may live here: the settings, the message as plain text, the process that sends it, and what its answers
mean. The library itself is only used by that process, `alerts/apprise_child.py`. Source: Apprise's
documentation of its addresses, and of its library.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from alerts.contract import ChannelSurroundings, Preview, Receipt
from alerts.render import Rendered
from rules.alert import Alert, Stage
from wire.errors import Malformed, NotAllowed, Refused, RetryAt
from wire.exchange import Bounds, check_proxy, reason, tls_context
from wire.http import HttpOptions
from wire.redact import defused, defused_link, inert
from wire.secret import Secret, SecretMissing

UTF8_BYTES_MAX = 3600
JSON_BYTES_MAX = 5600
"""What a link and a body may take, as UTF-8 and as JSON with escapes. ntfy makes an attachment of a message
of more than 4,096 bytes, and Apprise makes one of more than 8,000 bytes of JSON for it; nobody reads those on
a telephone. Telegram takes 4,096 characters."""

ANSWER_BYTES_MAX = 64 * 1024
MEMORY_BYTES_MAX = 160 * 1024 * 1024
LOOK_SECONDS = 0.1
"""How often the process' memory is looked at while it is waited for."""

_CHILD = Path(__file__).with_name("apprise_child.py")

KINDS = {
    Stage.WARNING: "warning",
    Stage.BREACH: "failure",
    Stage.CLEARED: "success",
    Stage.CORRECTED: "success",
    Stage.MOVED: "info",
    Stage.ESCALATED: "failure",
    Stage.STORM: "failure",
    Stage.SPIKE: "warning",
    Stage.TROUBLE: "failure",
    Stage.TEST: "info",
}
"""Stage → Apprise's type of a notification, which is a colour or an icon where a service has one."""

_INSTALL = 'Apprise is not installed; pip install "response-monitor[apprise]"'


class Settings(BaseModel):
    """[channels.NAME] with type = "apprise"."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    type: Literal["apprise"] = Field(default="apprise", description="This kind of channel.")
    url: Secret = Field(
        description="Apprise's address of one place (discord://…, workflows://…, tgram://…), as a secret."
    )


def build(settings: Settings, surroundings: ChannelSurroundings) -> AppriseChannel:
    """The channel. No process is started yet."""
    return AppriseChannel(settings, surroundings)


class AppriseChannel:
    """One place behind one of Apprise's addresses. What was sent cannot be changed later."""

    def __init__(self, settings: Settings, surroundings: ChannelSurroundings) -> None:
        self._settings = settings
        self._surroundings = surroundings
        self._process = _Process(surroundings.http)

    @property
    def recipient(self) -> str:
        return f"apprise of {self._surroundings.name}"

    @property
    def updates(self) -> bool:
        return False

    def send(self, alert: Alert, previous: Receipt | None, time_limit: float) -> Receipt:
        """Send it as a message of its own."""
        answer = self._ask(self._message(alert), time_limit)
        if answer.get("sent") is not True:
            raise Malformed("no answer of the process that sends over Apprise")
        return Receipt(self._surroundings.clock(), {"service": _service(answer)})

    def check(self, time_limit: float) -> str:
        """Read the address. Nothing is asked of the service: most could only be asked by telling somebody."""
        answer = self._ask({}, time_limit)
        return f"{_service(answer)}, over Apprise (the address is understood; --send tries it)"

    def preview(self, alert: Alert) -> Preview:
        """The message as Apprise is given it; the service makes of it what it can."""
        return Preview("json", json.dumps(self._message(alert), indent=2, ensure_ascii=False))

    def close(self) -> None:
        """End the process."""
        self._process.close()

    def _message(self, alert: Alert) -> dict[str, str]:
        said = self._surroundings.render(alert).guarded(defused, defused_link)
        return {
            "title": f"{said.mark} {said.headline}",
            "link": said.link or "",
            "link_text": said.link_text,
            "body": _body(said, alert.key),
            "kind": _kind(alert),
        }

    def _ask(self, message: Mapping[str, str], time_limit: float) -> Mapping[str, Any]:
        try:
            url = self._settings.url.reveal()
        except SecretMissing as error:
            raise NotAllowed(str(error)) from None
        answer = self._process.ask({"url": url, "seconds": max(0.1, time_limit), **message}, time_limit)
        if "wrong" in answer:
            blame(answer)
        return answer


def _kind(alert: Alert) -> str:
    kind = KINDS.get(alert.stage)
    if kind is None:
        raise Refused(f"this channel has no way to say {alert.stage.value!r}")
    over = alert.storm is not None and alert.storm.over_at is not None
    return KINDS[Stage.CLEARED] if over else kind


def _body(said: Rendered, key: str) -> str:
    """The message below its title and its link. The key is last, by which people see that a message came
    twice."""
    text = replace(said, link=None).text.removeprefix(said.headline).strip()
    return f"{_cut(text, len(said.link or ''))}\n{defused(inert(key))}"


def _cut(text: str, taken: int) -> str:
    utf8 = escaped = taken
    for place, letter in enumerate(text):
        utf8 += len(letter.encode("utf-8", "replace"))
        escaped += len(json.dumps(letter)) - 2
        if utf8 > UTF8_BYTES_MAX or escaped > JSON_BYTES_MAX:
            return text[:place].rstrip() + "…"
    return text


def _service(answer: Mapping[str, Any]) -> str:
    return inert(str(answer.get("service", "")), 80) or "a service"


def blame(answer: Mapping[str, Any]) -> None:
    """Raise what the process says is wrong. Its words are ours, so no token can be in them."""
    service = _service(answer)
    match answer["wrong"]:
        case "missing":
            raise NotAllowed(_INSTALL)
        case "address":
            raise NotAllowed("Apprise does not understand the address: check what `url` names")
        case "several":
            raise NotAllowed(
                "the address names several targets, and a retry would tell some of them twice: make a "
                "channel for each"
            )
        case "status":
            _blame_status(service, int(answer["status"]))
        case "not_sent":
            raise RetryAt(f"could not connect to {service}")
    raise RetryAt(f"sending to {service} broke off", accepted_unknown=True)


def _blame_status(service: str, status: int) -> None:
    """Raise what a service's answer means. Apprise does not tell how long it asks us to wait."""
    said = f"{service} answered {status}"
    if status in (401, 403, 404, 405, 410):
        raise NotAllowed(f"{said}: check the address that `url` names, and what it is allowed")
    if status >= 500 or status in (408, 425, 429):
        raise RetryAt(said, limited=status == 429, accepted_unknown=status in (502, 504))
    if status < 300:
        raise Refused(f"{said}, and did not take the message")
    raise Refused(f"{said}; redirects are not followed" if status < 400 else said)


class _Process:
    """The process that sends: started when it is first needed, asked one thing at a time, ended when it takes
    too long or too much memory."""

    def __init__(self, http: HttpOptions) -> None:
        check_proxy(http.proxy)
        tls_context(http.ca_file)  # Only to say now that the file cannot be used.
        self._http = http
        self._running: subprocess.Popen[bytes] | None = None
        self._lock = Lock()

    def ask(self, request: Mapping[str, Any], time_limit: float) -> Mapping[str, Any]:
        """Its answer. Raises RetryAt where there is none within the time limit."""
        bounds = Bounds(time_limit, 0)
        line = json.dumps({**request, "ca_file": str(self._http.ca_file or "")}).encode("ascii") + b"\n"
        with self._lock, contextlib.ExitStack() as unless_answered:
            # An answer that comes late must not be taken for that of the next request.
            unless_answered.callback(self._end)
            running = self._hand_over(line)
            try:
                answer = json.loads(_read_line(running, bounds))
            except (OSError, ValueError) as error:
                why = "no answer that can be read" if isinstance(error, ValueError) else str(error)
                raise RetryAt(f"sending over Apprise: {why}", accepted_unknown=True) from None
            unless_answered.pop_all()
        if not isinstance(answer, dict):
            raise Malformed("an answer of the process that sends over Apprise that is none")
        return answer

    def close(self) -> None:
        """End it, after what it is sending."""
        with self._lock:
            self._end()

    def _hand_over(self, line: bytes) -> subprocess.Popen[bytes]:
        """The process, which has the request now. Raises RetryAt where it cannot be started."""
        try:
            running = self._started()
            assert running.stdin is not None
            running.stdin.write(line)
            running.stdin.flush()
        except OSError as error:
            raise RetryAt(f"the process that sends over Apprise does not start{reason(error)}") from None
        return running

    def _started(self) -> subprocess.Popen[bytes]:
        if self._running is not None and self._running.poll() is None:
            return self._running
        self._end()
        # Isolated (-I): neither the environment nor the folder that we are in says what is imported, and the
        # apprise.py of this folder does not hide the library. Its input ends when we do, and so does it.
        self._running = subprocess.Popen(
            [sys.executable, "-I", str(_CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self._environment(),
            start_new_session=True,
        )
        return self._running

    def _environment(self) -> dict[str, str]:
        """Nothing of ours but the proxy: secrets in our environment are none of its business."""
        proxy = self._http.proxy
        return {"LC_ALL": "C.UTF-8", **({"http_proxy": proxy, "https_proxy": proxy} if proxy else {})}

    def _end(self) -> None:
        running, self._running = self._running, None
        if running is None:
            return
        running.kill()
        running.wait()
        for pipe in (running.stdin, running.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _read_line(running: subprocess.Popen[bytes], bounds: Bounds) -> bytes:
    """One line of its answers. Raises TimeoutError, another OSError, or ValueError."""
    assert running.stdout is not None
    heard = bytearray()
    poll = select.poll()
    poll.register(running.stdout, select.POLLIN)
    while not heard.endswith(b"\n"):
        left = bounds.seconds_left()
        if left <= 0:
            raise TimeoutError("no answer in time")
        if poll.poll(1000 * min(left, LOOK_SECONDS)):
            data = os.read(running.stdout.fileno(), ANSWER_BYTES_MAX)
            heard += data
            if not data or len(heard) > ANSWER_BYTES_MAX:
                raise OSError("the process ended")
        elif _memory(running.pid) > MEMORY_BYTES_MAX:
            raise OSError("the answer took too much memory")
    return bytes(heard)


def _memory(pid: int) -> int:
    """How many bytes of memory a process holds; 0 where the system does not tell."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
