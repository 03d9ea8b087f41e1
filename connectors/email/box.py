"""Talking to one mailbox: a connection that was greeted, protected and logged in, and what its answers mean.

What may live here: IMAP's commands and errors. Nothing is ever changed: folders are opened with EXAMINE, and
contents asked for with BODY.PEEK. Sources: RFC 9051 and RFC 3501, RFC 5530 (response codes), RFC 6154
(roles of folders), RFC 8314 (TLS). Limits in words of their own: Exchange Online ("Request is throttled.
Suggested Backoff Time: 299910 milliseconds", imap_tools issue 135), Gmail ("Too many simultaneous
connections", "Account exceeded command or bandwidth limits"), Dovecot ("Maximum number of connections …
exceeded").
"""

from __future__ import annotations

import hashlib
import imaplib
import re
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from connectors.email.settings import Settings
from connectors.email.structure import Piece
from wire.errors import EdgeError, Malformed, NotAllowed, Refused, RetryAt
from wire.exchange import Bounds, bounded, connect, reason, tls_context
from wire.http import HttpOptions
from wire.redact import Redactor, inert
from wire.secret import SecretMissing

if TYPE_CHECKING:
    import socket

    from imap_tools.mailbox import BaseMailBox

UIDS_MAX = 100_000
LITERAL_BYTES_MAX = 1024 * 1024
LIMITED_FOR = timedelta(minutes=5)
"""How long we wait where a server limits us and does not say for how long."""

LIMITED_MAX = timedelta(hours=24)
SAID_LENGTH_MAX = 200

LOG_IN_AGAIN = timedelta(minutes=10)
"""How long a password that was refused is not tried again: servers lock accounts, and addresses out."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DENIED = frozenset(
    ("AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED", "EXPIRED", "PRIVACYREQUIRED", "CONTACTADMIN", "NOPERM")
)
_MISSING = frozenset(("NONEXISTENT", "TRYCREATE", "CANNOT"))
_LATER = frozenset(("UNAVAILABLE", "INUSE", "SERVERBUG", "CORRUPTION"))
_LIMITS = frozenset(("LIMIT", "OVERQUOTA", "THROTTLED"))
_DATE = re.compile(rb" ?(\d{1,2})-([A-Za-z]{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)")
_CODE = re.compile(r"\[([A-Z-]{1,40})[ \]]", re.I)
_LIMITED = re.compile(
    r"throttl|too many|maximum number of connections|rate.?limit|exceeded (?:command|bandwidth|rate)", re.I
)
_UNAVAILABLE = re.compile(r"unavailable|temporar|try again|internal (?:server )?error", re.I)
_BACKOFF = re.compile(r"Backoff Time:\s*(\d{1,12})\s*milliseconds", re.I)


class Overrun(Malformed):
    """More was sent than we take."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A folder that was opened: while `validity` is the same, its numbers mean the same mails. `next` is the
    number that the next mail will have, where the server says so."""

    name: str
    validity: int
    next: int | None


class Box:
    """An open mailbox, for as long as one poll takes."""

    def __init__(self, mailbox: BaseMailBox, explaining: Callable[[str], Any]) -> None:
        self._mailbox = mailbox
        self._explaining = explaining

    def find(self, folder: str) -> str:
        """The name of a folder that is given by its role; a name stays what it is. Raises wire.errors."""
        if not folder.startswith("\\"):
            return folder
        with self._explaining("LIST"):
            folders = self._mailbox.folder.list()
        for one in folders:
            if folder.lower() in (flag.lower() for flag in one.flags):
                return one.name
        raise NotAllowed(
            f"no folder is marked {folder} on this server; give its name instead, such as "
            'sent_folder = "Sent"'
        )

    def open(self, name: str) -> Opened:
        """Open a folder for reading only. Raises wire.errors."""
        client = self._mailbox.client
        with self._explaining(f"EXAMINE {inert(name, 60)}"):
            self._mailbox.folder.set(name, readonly=True)
            validity = _number(client, "UIDVALIDITY")
            if validity is None:
                raise Malformed("the server does not say the UIDVALIDITY of its folder")
            return Opened(name, validity, _number(client, "UIDNEXT"))

    def newer(self, than: int, since: date) -> list[int]:
        """The numbers above that one of mails that came on that day or later, and are no drafts; ascending,
        at most 100,000. Raises wire.errors."""
        day = f"{since.day:02d}-{_MONTHS[since.month - 1]}-{since.year:04d}"
        with self._explaining("SEARCH"):
            said = self._mailbox.uids(f"UID {than + 1}:* SINCE {day} UNDRAFT", charset=None)
        found = {int(uid) for uid in said if uid.isascii() and uid.isdigit() and len(uid) <= 10}
        # RFC 9051, 9 (seq-range): "n:*" is never empty, it holds the last mail even where that is below n.
        return sorted(uid for uid in found if uid > than)[:UIDS_MAX]

    def fetch(self, uids: Sequence[int], what: str) -> list[Piece | None]:
        """What the server says of these mails, as imaplib has it. Raises wire.errors."""
        with self._explaining("FETCH"):
            kind, data = self._mailbox.client.uid("FETCH", ",".join(map(str, uids)), what)
            if kind != "OK":
                _fail(kind, data)
        return list(data)


class _Said(Exception):
    """NO or BAD, with the server's words."""


def _fail(kind: str, data: Sequence[Any]) -> NoReturn:
    words = [d.decode("utf-8", "replace") for d in data if isinstance(d, bytes)]
    raise _Said(f"{kind} {' '.join(words)}")


def _number(client: imaplib.IMAP4, name: str) -> int | None:
    """A number that the server gave as a response code when the folder was opened."""
    said = client.untagged_responses.get(name, [None])[-1]
    return int(said) if isinstance(said, bytes) and said.isdigit() and len(said) <= 10 else None


class _Client(imaplib.IMAP4):
    """imaplib on a bounded socket: its own time-out is per operation, which a slow server renews for ever.
    `ended` tells that the other side closed the line."""

    def __init__(
        self, host: str, port: int, tls: ssl.SSLContext | None, born: Callable[[_Client], None]
    ) -> None:
        self._tls = tls
        self.ended = False
        born(self)  # Before it connects, so that whoever made it can ask it why that failed.
        super().__init__(host, port)

    def _create_socket(self, timeout: float | None = None) -> socket.socket:
        sock = connect(self.host, self.port)
        try:
            return sock if self._tls is None else self._tls.wrap_socket(sock, server_hostname=self.host)
        except BaseException:
            sock.close()
            raise

    def readline(self) -> bytes:
        line = super().readline()
        self.ended = self.ended or not line.endswith(b"\n")
        return line

    def read(self, size: int) -> bytes:
        """As imaplib's, which makes room for whatever is announced, and takes what breaks off for whole."""
        if size > LITERAL_BYTES_MAX:
            raise Overrun("the server announces a text that is larger than any that was asked for")
        data = super().read(size)
        if len(data) < size:
            self.ended = True
            raise self.abort("socket error: a literal that breaks off")
        return data


class Door:
    """How one mailbox is opened. Asks for its secret anew each time."""

    def __init__(self, settings: Settings, http: HttpOptions, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._clock = clock
        self._bytes_max = http.body_bytes_max
        self._tls = None if settings.security == "none" else tls_context(http.ca_file)
        self._port = settings.port or (993 if settings.security == "tls" else 143)
        self._place = f"{settings.host}:{self._port}"
        self._client: _Client | None = None
        self._secret = ""
        self._refused: tuple[bytes, datetime, str] | None = None
        self._redactor = Redactor(lambda: (self._secret,))

    @contextmanager
    def open(self, seconds: float) -> Iterator[Box]:
        """The mailbox, logged in; all that is done inside shares this many seconds. Raises wire.errors."""
        with bounded(Bounds(seconds, self._bytes_max)) as bounds:
            try:
                yield self._log_in(bounds)
                # Said, but not waited for: nothing hangs on it.
                with suppress(imaplib.IMAP4.error, OSError):
                    if self._client is not None:
                        self._client.send(b"Z LOGOUT\r\n")
            finally:
                self._close()

    def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None and hasattr(client, "file"):  # else it never connected
            with suppress(imaplib.IMAP4.error, OSError):
                client.shutdown()

    def _log_in(self, bounds: Bounds) -> Box:
        try:
            from imap_tools.mailbox import BaseMailBox
        except ImportError:
            raise NotAllowed(
                "reading mailboxes needs imap-tools: pip install 'response-monitor[email]'"
            ) from None
        settings, door = self._settings, self

        class Line(BaseMailBox):
            """imap_tools on our bounded line."""

            def _get_mailbox_client(self) -> imaplib.IMAP4:
                return door._greeted()

        def explaining(what: str) -> Any:
            return self._explaining(what, bounds)

        secret = settings.password or settings.access_token
        try:
            self._secret = "" if secret is None else secret.reveal()
        except SecretMissing as error:
            raise NotAllowed(str(error)) from None
        now, print_ = self._clock(), hashlib.sha256(self._secret.encode()).digest()
        known = self._refused
        if known is not None and known[0] == print_ and now < known[1] <= now + LOG_IN_AGAIN:
            raise NotAllowed(known[2])
        with explaining("connecting"):
            mailbox = Line()
        try:
            self._identify(mailbox, explaining)
        except NotAllowed as error:
            self._refused = (print_, now + LOG_IN_AGAIN, str(error))
            raise
        self._refused = None
        return Box(mailbox, explaining)

    def _identify(self, mailbox: BaseMailBox, explaining: Callable[[str], Any]) -> None:
        settings = self._settings
        name = settings.username or settings.handle
        with explaining("LOGIN"):
            if settings.access_token is not None:
                mailbox.xoauth2(name, self._secret, initial_folder=None)
            elif name.isascii() and self._secret.isascii():
                mailbox.login(name, self._secret, initial_folder=None)
            else:
                mailbox.login_utf8(name, self._secret, initial_folder=None)

    def _greeted(self) -> imaplib.IMAP4:
        settings = self._settings
        tls = self._tls if settings.security == "tls" else None
        client = _Client(settings.host, self._port, tls, self._born)
        if settings.security == "starttls":
            if "STARTTLS" not in client.capabilities:
                raise NotAllowed(f"{self._place} does not offer STARTTLS; check port and security")
            client.starttls(self._tls)
        return client

    def _born(self, client: _Client) -> None:
        self._client = client

    @contextmanager
    def _explaining(self, what: str, bounds: Bounds) -> Iterator[None]:
        """What goes wrong, in the edges' words. What the server said is repeated only without secrets, and
        while logging in not at all."""
        from imap_tools.errors import UnexpectedCommandStatusError

        at = f"{self._place}, {what}"
        try:
            yield
        except EdgeError:
            raise
        except _Said as error:
            raise self._answered(what, at, str(error)) from None
        except UnexpectedCommandStatusError as error:
            kind, data = error.command_result[0], error.command_result[1]
            said = [d.decode("utf-8", "replace") for d in data if isinstance(d, bytes)]
            raise self._answered(what, at, f"{kind} {' '.join(said)}") from None
        except ssl.SSLCertVerificationError as error:
            raise NotAllowed(
                f"{self._place}: its certificate is not trusted{reason(error)}; check host or http.ca_file"
            ) from None
        except imaplib.IMAP4.error as error:
            raise self._broken(what, at, error, bounds) from None
        except OSError as error:
            if bounds.overrun:
                raise Overrun(f"{at}: the answer is too large") from None
            late = isinstance(error, TimeoutError)
            raise RetryAt(
                f"{at}: {'not done in time' if late else f'the line broke off{reason(error)}'}"
            ) from None
        except (ValueError, LookupError, TypeError, AttributeError):
            raise Malformed(f"{at}: an answer that is not IMAP") from None

    def _broken(self, what: str, at: str, error: Exception, bounds: Bounds) -> EdgeError:
        """imaplib's own errors: BAD, an answer that is none, BYE, or a line that is closed."""
        cause = error.__context__
        if bounds.overrun:
            return Overrun(f"{at}: the answer is too large")
        if isinstance(cause, TimeoutError) or bounds.seconds_left() <= 0:
            return RetryAt(f"{at}: not done in time")
        client = self._client
        goodbye = client.untagged_responses.get("BYE") if client is not None else None
        if goodbye and isinstance(goodbye[-1], bytes):
            return self._answered(what, at, f"BYE {goodbye[-1].decode('utf-8', 'replace')}")
        if isinstance(cause, OSError) or client is None or client.ended:
            return RetryAt(f"{at}: the line broke off{reason(error)}")
        if isinstance(error, imaplib.IMAP4.abort) or what == "connecting":
            return Malformed(f"{at}: an answer that is not IMAP")
        return self._answered(what, at, f"NO {error}")

    def _answered(self, what: str, at: str, said: str) -> EdgeError:
        """A reply that is no yes: by its response code (RFC 5530), else by what is known of its words."""
        now = self._clock()
        match = _CODE.search(said[:500])
        code = match[1].upper() if match else ""
        words = f": {inert(self._redactor.clean(said[:10_000]), SAID_LENGTH_MAX)}"
        backoff = _BACKOFF.search(said[:1000])
        if backoff or code in _LIMITS or _LIMITED.search(said[:1000]):
            waits = timedelta(milliseconds=int(backoff[1])) if backoff else LIMITED_FOR
            return RetryAt(
                f"{at}: the server limits us{words}", at=now + min(waits, LIMITED_MAX), limited=True
            )
        if code in _LATER or said.startswith("BYE") or (not code and _UNAVAILABLE.search(said[:1000])):
            return RetryAt(f"{at}{words}")
        if what == "LOGIN":
            return NotAllowed(
                f"{at}: the server does not let {self._settings.handle} in; check username and password "
                "(many providers want an app password, and IMAP to be switched on)"
            )
        if code in _DENIED or code in _MISSING or what.startswith("EXAMINE"):
            return NotAllowed(f"{at}{words}; check the folder's name and that the mailbox may read it")
        return Malformed(f"{at}{words}") if said.startswith("BAD") else Refused(f"{at}{words}")


def internal_date(value: Any) -> datetime | None:
    """INTERNALDATE ("02-Nov-2026 12:00:00 +0100"): when the server got the mail. None for what is none."""
    match = _DATE.fullmatch(value) if isinstance(value, bytes) else None
    if match is None:
        return None
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = (
        g.decode() for g in match.groups()
    )
    try:
        at = datetime(
            int(year),
            _MONTHS.index(month.title()) + 1,
            int(day),
            int(hour),
            int(minute),
            int(second),
            tzinfo=UTC,
        )
        offset = timedelta(hours=int(zone_hours), minutes=int(zone_minutes))
        return at + offset if sign == "-" else at - offset
    except (ValueError, OverflowError):
        return None
