"""A mail server on loopback that keeps what it is sent: a real SMTP server, aiosmtpd's, in a thread.

What may live here: what a mail server does to a client (refusals, greylisting, TLS, logins, broken lines),
and handing on what it took to a mailbox's own server, over LMTP (RFC 2033).
"""

from __future__ import annotations

import asyncio
import smtplib
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from types import TracebackType
from typing import Any

from simulator.world import Clock

START_SECONDS_MAX = 10.0
STOP_SECONDS_MAX = 5.0
SIZE_BYTES_MAX = 2_000_000
HAND_ON_SECONDS_MAX = 10.0
VERBS = ("EHLO", "HELO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "RSET", "NOOP")


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail that was accepted. `at` is pretended time; `tls` tells how it came, `user` who logged in."""

    at: datetime
    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage
    tls: bool = False
    user: str | None = None

    @property
    def key(self) -> str:
        """The sender's own key. A long one comes folded, with a space before it."""
        return str(self.message.get("X-Response-Monitor-Key", "")).strip()

    @property
    def stage(self) -> str:
        """What the mail is about, as its sender calls it ("breach")."""
        return str(self.message.get("X-Response-Monitor-Stage", ""))

    def part(self, kind: str) -> str:
        """Its body as "plain" or "html"."""
        body = self.message.get_body((kind,))
        return "" if body is None else str(body.get_content()).replace("\r\n", "\n")


@dataclass(slots=True)
class MailSink:
    """The server, at `port` or at a free one.

    `tls` makes it offer STARTTLS and insist on it; with `implicit_tls` it speaks TLS from the first byte.
    `users` are names and passwords; given, a login is needed. `refusals` are answers ("451 later", "550 no")
    that the next mails get instead, `mail_refusals` those that the next MAIL commands get, and
    `refused_recipients` those of an address, always. `refusals_at` are the next answers to one of VERBS, or
    to "CONNECT". `hang_ups` counts the next mails that are kept without being answered: the line breaks;
    `cut_offs` those that are not kept. `next_hop` is the LMTP server that gets what was taken, and says
    whether it was.
    """

    clock: Clock
    host: str = "127.0.0.1"
    port: int = 0
    tls: ssl.SSLContext | None = None
    implicit_tls: bool = False
    users: Mapping[str, str] | None = None
    mails: list[Mail] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    mail_refusals: list[str] = field(default_factory=list)
    refused_recipients: dict[str, str] = field(default_factory=dict)
    refusals_at: dict[str, list[str]] = field(default_factory=dict)
    hang_ups: int = 0
    cut_offs: int = 0
    next_hop: tuple[str, int] | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _thread: threading.Thread | None = None
    _server: asyncio.Server | None = None

    async def handle_MAIL(  # aiosmtpd's name
        self, _server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        """Say yes to a sender, or refuse."""
        if self.users is not None and not session.authenticated:
            return "530 5.7.0 Authentication required"
        if self.mail_refusals:
            return self.mail_refusals.pop(0)
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        """Say yes, or what this recipient gets instead."""
        if address in self.refused_recipients:
            return self.refused_recipients[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Keep a mail, or refuse it."""
        if self.refusals:
            return self.refusals.pop(0)
        if self.cut_offs:
            self.cut_offs -= 1
            server.transport.abort()
            return "451 the line is cut"
        if self.next_hop is not None:
            loop = asyncio.get_running_loop()
            said = await loop.run_in_executor(None, self._hand_on, self.next_hop, envelope)
            if said is not None:
                return said
        message = message_from_bytes(envelope.content, policy=default)
        self.mails.append(
            Mail(
                self.clock.now(),
                envelope.mail_from,
                tuple(envelope.rcpt_tos),
                message,
                tls=session.ssl is not None or self.implicit_tls,
                user=session.auth_data if session.authenticated else None,
            )
        )
        if self.hang_ups:
            self.hang_ups -= 1
            server.transport.abort()
        return "250 OK"

    def _hand_on(self, next_hop: tuple[str, int], envelope: Any) -> str | None:
        """Give it to the mailboxes' server. Returns what that said against it."""
        try:
            with smtplib.LMTP(*next_hop, timeout=HAND_ON_SECONDS_MAX) as line:
                refused = line.sendmail(envelope.mail_from, envelope.rcpt_tos, envelope.content)
        except (smtplib.SMTPException, OSError) as error:
            return f"451 4.4.1 not handed on: {type(error).__name__}"
        return f"451 4.3.0 not taken by {len(refused)}" if refused else None

    def start(self) -> None:
        """Return when it accepts; `port` is the real one then. Raises RuntimeError where it does not, and
        ImportError where aiosmtpd is missing (it comes with the extra [demo])."""
        import aiosmtpd.smtp  # noqa: F401 # here, and not at the first mail

        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(self._loop, ready), daemon=True)
        self._thread.start()
        if not ready.wait(START_SECONDS_MAX) or self._server is None:
            raise RuntimeError(f"the mail server did not start on {self.host}:{self.port}")

    def stop(self) -> None:
        """Close it; whoever is connected is cut off."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        if loop.is_running():
            loop.call_soon_threadsafe(loop.stop)
        thread.join(STOP_SECONDS_MAX)
        self._loop = self._thread = self._server = None

    def _serve(self, loop: asyncio.AbstractEventLoop, ready: threading.Event) -> None:
        asyncio.set_event_loop(loop)
        try:
            tls = self.tls if self.implicit_tls else None
            server = loop.run_until_complete(
                loop.create_server(lambda: self._session(loop), self.host, self.port, ssl=tls)
            )
            self._server = server
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            loop.run_forever()
            server.close()
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        finally:
            ready.set()
            loop.close()

    def _session(self, loop: asyncio.AbstractEventLoop) -> Any:
        from aiosmtpd.smtp import SMTP, AuthResult  # only the demo and the tests have it

        def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> Any:
            name = data.login.decode("utf-8", "replace")
            known = (self.users or {}).get(name)
            right = known is not None and data.password == known.encode()
            return AuthResult(success=right, handled=right, auth_data=name)

        starttls = self.tls if not self.implicit_tls else None
        return _with_refusals(SMTP, self.refusals_at)(
            self,
            hostname="localhost",
            data_size_limit=SIZE_BYTES_MAX,
            tls_context=starttls,
            require_starttls=starttls is not None,
            auth_require_tls=starttls is not None,
            authenticator=authenticate if self.users is not None else None,
            loop=loop,
        )

    def __enter__(self) -> MailSink:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _with_refusals(smtp: type[Any], refusals_at: Mapping[str, list[str]]) -> type[Any]:
    """aiosmtpd's server, which refuses a verb as often as it is told to. It answers to no handler before the
    greeting, or in STARTTLS and RSET, in words of ours."""

    def refusing(verb: str) -> Any:
        async def answer(server: Any, arg: str | None) -> Any:
            if refusals_at.get(verb):
                said = refusals_at[verb].pop(0)
                await server.push(said)
                if said.startswith("421"):
                    # RFC 5321, 3.8: who says 421 closes.
                    server.transport.close()
                return None
            return await getattr(smtp, f"smtp_{verb}")(server, arg)

        return answer

    async def push(server: Any, status: str | bytes) -> None:
        greeting = isinstance(status, str) and status.startswith("220 ") and server.session.host_name is None
        if greeting and refusals_at.get("CONNECT"):
            status = refusals_at["CONNECT"].pop(0)
        await smtp.push(server, status)

    verbs = {f"smtp_{verb}": refusing(verb) for verb in VERBS}
    return type("RefusingSMTP", (smtp,), {**verbs, "push": push})
