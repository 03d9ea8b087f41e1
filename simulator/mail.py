"""A mail server on loopback that keeps what it is sent: a real SMTP server, aiosmtpd's."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from datetime import datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from types import TracebackType
from typing import Any

from simulator.world import Clock


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail that was accepted. `at` is pretended time; `key` is the sender's own."""

    at: datetime
    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage

    @property
    def key(self) -> str:
        return "".join(str(self.message.get("X-Response-Monitor-Key", "")).split())  # long headers are folded


@dataclass(slots=True)
class MailSink:
    """The server. `refusals` are answers ("451 later", "550 no") that the next mails get instead."""

    clock: Clock
    host: str = "127.0.0.1"
    port: int = 0
    tls: ssl.SSLContext | None = None
    mails: list[Mail] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    refused_recipients: dict[str, str] = field(default_factory=dict)
    _controller: Any = None

    async def handle_RCPT(  # aiosmtpd's name
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        """Say yes, or what this recipient gets instead."""
        if address in self.refused_recipients:
            return self.refused_recipients[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # as above
        """Keep a mail, or refuse it."""
        if self.refusals:
            return self.refusals.pop(0)
        message = message_from_bytes(envelope.content, policy=default)
        self.mails.append(Mail(self.clock.now(), envelope.mail_from, tuple(envelope.rcpt_tos), message))
        return "250 OK"

    def start(self) -> None:
        """Return when it accepts; `port` is the real one then."""
        from aiosmtpd.controller import Controller  # only the demo and the tests have it

        self._controller = Controller(
            self,
            hostname=self.host,
            port=self.port or _free_port(self.host),
            tls_context=self.tls,
            require_starttls=self.tls is not None,
            data_size_limit=2_000_000,
        )
        self._controller.start()
        self.port = self._controller.port

    def stop(self) -> None:
        """Close it."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def __enter__(self) -> MailSink:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _free_port(host: str) -> int:
    """aiosmtpd's controller greets itself after the start, and so must know its port before."""
    import socket

    with socket.create_server((host, 0)) as listener:
        return int(listener.getsockname()[1])
