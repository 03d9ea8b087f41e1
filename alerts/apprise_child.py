"""The process that sends over Apprise: one request a line comes in, one answer a line goes out.

What may live here: what touches the library `apprise`, and nothing of ours. It is a process of its own since
Apprise bounds neither the time nor the size of an exchange, waits in its own threads, logs the addresses that
it is given, which hold tokens, and brings 36 MiB with it: here it can be ended at any moment, nobody reads
its log, and it is gone with the channel. `alerts/apprise.py` starts it and says what its answers mean.

A request is JSON: `url`, `ca_file`, `seconds` (how long a socket may wait) and, unless the address is only to
be looked at, `title`, `body` and `kind`. An answer is JSON: `service`, and `sent`; or `wrong`: "missing" (no
library), "address" (not understood), "several" (`targets`), "status" (`status`, the service's answer),
"not_sent" (the connection failed), "unknown" (it broke off) or "failed" (`error`).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import signal
import ssl
import sys
from typing import Any

GRACE_SECONDS = 30
"""So much later than it was told to be done it ends itself: whoever would have ended it is gone."""

# How urllib3 names what kept a request from ever being sent, in the texts of requests' errors.
_NOT_SENT = re.compile(
    r"NewConnectionError|ConnectTimeoutError|NameResolutionError|ProxyError|SSLError|SSLCertVerificationError"
)
_BROKE_OFF = re.compile(r"Exception|Connection error", re.IGNORECASE)
_LINES_MAX = 200
_LINE_LENGTH_MAX = 4000


class _Said(logging.Handler):
    """What is logged while a message is sent, which is the only place where a plugin tells why it failed. It
    is read here and thrown away. urllib3 logs each answer's status; what comes after belongs to the next
    request."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.status: int | None = None
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == "urllib3.connectionpool" and isinstance(record.args, tuple):
            # scheme, host, port, method, path, version, status, length
            if len(record.args) == 8 and isinstance(record.args[6], int):
                self.status = record.args[6]
                self._lines.clear()
        elif len(self._lines) < _LINES_MAX:
            with contextlib.suppress(Exception):
                self._lines.append(record.getMessage()[:_LINE_LENGTH_MAX])

    @property
    def why(self) -> dict[str, Any]:
        """Why it was not sent, as far as can be told."""
        if any(_NOT_SENT.search(line) for line in self._lines):
            return {"wrong": "not_sent"}
        if self.status is None or any(_BROKE_OFF.search(line) for line in self._lines):
            return {"wrong": "unknown"}
        return {"wrong": "status", "status": self.status}


def _trust(ca_file: str) -> None:
    """Have requests trust whom the rest of the house trusts: the system's authorities, and one file's. The
    bundle is a file in memory, so that nothing is left behind."""
    import certifi

    # certifi's where the system has none: a bare Debian without ca-certificates.
    bundle = ssl.get_default_verify_paths().cafile or certifi.where()
    memory = os.memfd_create("authorities")
    for path in (bundle, *([ca_file] if ca_file else [])):
        with open(path, "rb") as stream:
            os.write(memory, stream.read() + b"\n")
    os.environ["REQUESTS_CA_BUNDLE"] = f"/proc/self/fd/{memory}"


def _open(apprise: Any, request: dict[str, Any]) -> Any:
    """The one service behind an address, set so that it says a thing once, in time, and as plain text; None
    where Apprise does not understand the address."""
    asset = apprise.AppriseAsset(
        app_id="Response monitor",
        app_desc="Response monitor",
        app_url="",
        image_url_mask="",
        image_path_mask="",
        image_url_logo="",
        interpret_escapes=False,
        interpret_emojis=False,
        async_mode=False,
        http_redirects=False,
        secure_logging=True,
        storage_mode="memory",
        service_timeout=0,
    )
    service = apprise.Apprise.instantiate(request["url"], asset=asset, suppress_exceptions=True)
    if service is None:
        return None
    # An address can ask for all of these, and each would break a promise: a failure that is called a success,
    # repeats of our own repeats, one alert cut into several, a certificate that nobody looks at.
    service.optional = False
    service.retry = 0
    service.overflow_mode = apprise.OverflowMode.TRUNCATE
    service.verify_certificate = True
    service.redirects = False
    service.interpret_emojis = False
    service.socket_connect_timeout = service.socket_read_timeout = request["seconds"]
    return service


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        import apprise

        if "REQUESTS_CA_BUNDLE" not in os.environ:
            _trust(request["ca_file"])
    except ImportError:
        return {"wrong": "missing"}
    said = _Said()
    for name in ("apprise", "urllib3"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [said]
        logger.propagate = False
        logger.setLevel(logging.DEBUG)
    service = _open(apprise, request)
    if service is None:
        return {"wrong": "address"}
    answer: dict[str, Any] = {"service": str(service.service_name)[:80], "targets": len(service)}
    if answer["targets"] != 1:
        return {**answer, "wrong": "several" if answer["targets"] else "address"}
    if "body" not in request:
        return answer
    sender = apprise.Apprise(asset=service.asset)
    sender.add(service)
    sent = sender.notify(
        body=request["body"],
        title=request["title"],
        notify_type=apprise.NotifyType(request["kind"]),
        body_format=apprise.NotifyFormat.TEXT,
    )
    return {**answer, "sent": True} if sent else {**answer, **said.why}


def main() -> None:
    """Answer until nobody asks any more."""
    # The parent says when to stop; a signal to the whole group must not cut a message in two.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What a plugin prints must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    for line in sys.stdin.buffer:
        request = json.loads(line)
        signal.alarm(int(request["seconds"]) + GRACE_SECONDS)
        try:
            answer = _answer(request)
        except Exception as error:
            answer = {"wrong": "failed", "error": type(error).__name__}
        signal.alarm(0)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
