"""Email over SMTP: one mail for all who read one clock, text and HTML, one thread a subject, TLS verified.

What may live here: SMTP's settings, the mail's headers and body, and what a server's replies mean. Sources:
RFC 5321 (4xx is worth another try, 5xx is not; 4.5.3.1.10: 552 to one recipient after others is), RFC 5322
(Message-ID, References), RFC 3834 (Auto-Submitted), RFC 2919 (List-Id), RFC 3207 (STARTTLS), RFC 4954 (AUTH).
Gmail's rules of conversations: the same subject, and References that name the same mail.
"""

from __future__ import annotations

import hashlib
import re
import smtplib
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from alerts.contract import ChannelSurroundings, Preview, Receipt
from alerts.render import Rendered, calls
from rules.alert import Addressee, Alert, Reach, Stage
from wire.errors import EdgeError, Malformed, NotAllowed, Refused, RetryAt
from wire.exchange import Bounds, bounded, connect, reason, tls_context
from wire.redact import Redactor, inert
from wire.secret import Secret, SecretMissing

if TYPE_CHECKING:
    import socket
    from datetime import datetime


SUBJECT_LENGTH_MAX = 150
SAID_LENGTH_MAX = 160
MISSED_LENGTH_MAX = 1000
PREHEADER_LENGTH_MAX = 200
REPLY_BYTES_MAX = 64 * 1024
_ADDRESS = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
)


def _mailbox(value: str) -> str:
    _, address = parseaddr(value)
    if not value.isprintable() or not _ADDRESS.fullmatch(address) or ".." in address:
        raise ValueError('expected an address such as "care@acme.example" or "Care <care@acme.example>"')
    return value


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError('expected a time zone such as "Europe/Berlin"') from None
    return name


def _recipient(value: Any) -> Any:
    return {"address": value} if isinstance(value, str) else value


Mailbox = Annotated[str, Field(max_length=320), AfterValidator(_mailbox)]


class Recipient(BaseModel):
    """One of `recipients`: an address alone, or { address = "…", time_zone = "…" }."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    address: Mailbox
    time_zone: Annotated[str, AfterValidator(_zone)] | None = None


class Settings(BaseModel):
    """[channels.NAME] with type = "smtp"."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    type: Literal["smtp"] = Field(default="smtp", description="This kind of channel.")
    host: str = Field(
        min_length=1, max_length=253, pattern=r"^[A-Za-z0-9.:_-]+$", description="The mail server."
    )
    port: int = Field(default=587, ge=1, le=65535, description="Its port: 587 for starttls, 465 for tls.")
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description='How the line is protected; "none" only to this machine.'
    )
    username: str | None = Field(
        default=None, min_length=1, max_length=320, description="Whom to log in as, if the server wants it."
    )
    password: Secret | None = Field(default=None, description="The password that goes with it.")
    sender: Mailbox = Field(description="From whom it is.")
    recipients: list[Annotated[Recipient, BeforeValidator(_recipient)]] = Field(
        min_length=1,
        max_length=50,
        description='To whom it goes: addresses, or { address = "lead@acme.example", time_zone = '
        '"America/New_York" } for who reads another clock than the team.',
    )
    subject: Literal["case", "state"] = Field(
        default="case",
        description='"case": the same in all mails of a case, which Gmail needs to keep them together; '
        '"state": each mail\'s own headline, such as "5 min late: …".',
    )

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        addresses = [_address(recipient.address).lower() for recipient in self.recipients]
        if len(set(addresses)) < len(addresses):
            raise ValueError("recipients: expected each address once")
        if (self.username is None) != (self.password is None):
            raise ValueError("expected username and password together, or neither")
        if self.security == "none" and not _is_loopback(self.host):
            raise ValueError('security: "none" is for this machine only; expected "starttls" or "tls"')
        return self


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host.lower() == "localhost"


def build(settings: Settings, surroundings: ChannelSurroundings) -> SmtpChannel:
    """The channel. Nothing is asked of the server yet."""
    return SmtpChannel(settings, surroundings)


class _Session(smtplib.SMTP):
    """smtplib on a bounded socket: its own time-out is per operation, which a slow server renews for ever.

    `_get_socket` is where smtplib's own subclass for TLS steps in, too.
    """

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self._tls = tls
        # A name is given, since smtplib would look one up, for as long as the resolver likes.
        super().__init__(local_hostname="localhost")

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock = connect(host, port)
        here = str(sock.getsockname()[0])
        # RFC 5321, 4.1.3: a client without a name of its own gives its address.
        self.local_hostname = f"[IPv6:{here}]" if ":" in here else f"[{here}]"
        return sock if self._tls is None else self._tls.wrap_socket(sock, server_hostname=host)


@dataclass(frozen=True, slots=True)
class _Mail:
    """A mail for those who read the same clock. `remote` is what the next mail of their thread needs."""

    addresses: tuple[str, ...]
    content: bytes
    remote: Mapping[str, str]


@dataclass(slots=True)
class _Reach:
    """Who was reached by an alert, over all attempts, and why the others were not: those in `left_out` never
    will be. `before` is what earlier attempts said of such; they are in `refused` with them."""

    reached: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    before: str = ""
    left_out: dict[str, str] = field(default_factory=dict)
    put_off: dict[str, str] = field(default_factory=dict)
    errors: list[EdgeError] = field(default_factory=list)

    def left(self, mail: _Mail) -> list[str]:
        """Who is still to be told by this mail."""
        return [
            a
            for a in mail.addresses
            if not any(a in them for them in (self.reached, self.refused, self.left_out))
        ]

    def miss(self, address: str, why: str, *, for_now: bool) -> None:
        """This one was not reached: for now, or for good."""
        (self.put_off if for_now else self.left_out)[address] = why

    def fail(self, addresses: Sequence[str], error: EdgeError) -> None:
        """None of these was reached."""
        self.errors.append(error)
        for address in addresses:
            self.miss(address, str(error), for_now=isinstance(error, RetryAt | Malformed))

    def raise_if_nobody(self) -> None:
        """Raise what went wrong if nobody was reached: what may go better later before what will not."""
        if not self.reached and self.errors:
            raise min(self.errors, key=lambda error: not isinstance(error, RetryAt))

    def receipt(self, at: datetime, remote: Mapping[str, str]) -> Receipt:
        """What the next attempt, and the operator, need to know."""
        known = {"reached": " ".join(self.reached), "refused": " ".join([*self.refused, *self.left_out])}
        put_off = ", ".join(f"{address} ({why})" for address, why in self.put_off.items())
        left_out = [self.before, *(f"{address} ({why})" for address, why in self.left_out.items())]
        missed = ", ".join(filter(None, left_out))
        return Receipt(at, {**remote, **known}, put_off[:MISSED_LENGTH_MAX], missed[:MISSED_LENGTH_MAX])


class SmtpChannel:
    """Its recipients, told by one mail for each time zone among them.

    A receipt's `remote` has `message_id`, `references` and `title` for the mails that follow (of another
    zone than the team's: with its name behind), and the addresses that were `reached` and `refused`.
    """

    def __init__(self, settings: Settings, surroundings: ChannelSurroundings) -> None:
        self._settings = settings
        self._surroundings = surroundings
        self._tls = tls_context(surroundings.http.ca_file)
        self._place = f"{settings.host}:{settings.port}"
        self._redactor = Redactor(self._secrets)
        # One mail for all who read the same clock, in the order of the config.
        self._readers: dict[str, list[str]] = {}
        for recipient in settings.recipients:
            zone = recipient.time_zone or surroundings.zone.key
            self._readers.setdefault(zone, []).append(_address(recipient.address))

    @property
    def recipient(self) -> str:
        first = _address(self._settings.recipients[0].address)
        more = len(self._settings.recipients) - 1
        return f"{first} and {more} more" if more else first

    @property
    def updates(self) -> bool:
        return False

    def send(self, alert: Alert, previous: Receipt | None, time_limit: float) -> Receipt:
        """Hand a mail for each zone's recipients to the server.

        Whom the server takes is told now; whom it puts off (4xx) is named in the receipt, and told when the
        alert is sent again with it; whom it refuses (5xx) is named as left out. It raises only if nobody was
        reached.
        """
        readers = self._readers if alert.addressee is None else self._alone(alert.addressee)
        mails = [self._compose(alert, zone, to, previous) for zone, to in readers.items()]
        remote = {name: value for mail in mails for name, value in mail.remote.items()}
        reach = _Reach()
        own = next(iter(mails[0].remote))
        if previous is not None and previous.remote.get(own) == remote[own]:
            reach.reached = previous.remote.get("reached", "").split()
            reach.refused = previous.remote.get("refused", "").split()
            reach.before = previous.left_out
        try:
            with self._session(time_limit) as session:
                self._hand_over_all(session, mails, reach)
        except EdgeError as error:
            reach.fail([address for mail in mails for address in reach.left(mail)], error)
        reach.raise_if_nobody()
        return reach.receipt(self._surroundings.clock(), remote)

    def reach(self, person: Addressee) -> Reach | None:
        """At their own address, as it stands among the recipients if they read what all do."""
        if person.email is None:
            return None
        mine = [a for readers in self._readers.values() for a in readers if a.lower() == person.email.lower()]
        return Reach(mine[0] if mine else person.email, hears_all=bool(mine))

    def preview(self, alert: Alert) -> Preview:
        """The mail's HTML, to be opened in a browser."""
        said = self._surroundings.render(alert)
        return Preview("html", self._html(alert, said))

    def check(self, time_limit: float) -> str:
        """Connect, protect and log in, as if there were something to send."""
        with self._session(time_limit) as session, self._explaining("NOOP"):
            _expect(session.noop(), 250)
        who = f" as {self._settings.username}" if self._settings.username else ""
        return f"{self._place} lets us in{who} ({self._settings.security}), for {self.recipient}"

    def close(self) -> None:
        """Nothing is kept open."""

    @contextmanager
    def _session(self, time_limit: float) -> Iterator[_Session]:
        """A connection that was greeted, protected and logged in; everything on it ends with the time."""
        settings = self._settings
        session = _Session(self._tls if settings.security == "tls" else None)
        with bounded(Bounds(time_limit, REPLY_BYTES_MAX)):
            try:
                with self._explaining("connecting"):
                    # smtplib keeps the name that the certificate must bear only when it is given early.
                    session._host = settings.host  # type: ignore[attr-defined]
                    _expect(session.connect(settings.host, settings.port), 220)
                    session.ehlo_or_helo_if_needed()
                if settings.security == "starttls":
                    with self._explaining("STARTTLS"):
                        _expect(session.starttls(context=self._tls), 220)
                        session.ehlo_or_helo_if_needed()
                if settings.username is not None and settings.password is not None:
                    password = self._reveal(settings.password)
                    with self._explaining("AUTH"):
                        session.login(settings.username, password)
                yield session
                # Said, but not waited for: what was accepted stays accepted.
                with suppress(smtplib.SMTPException, OSError):
                    session.putcmd("quit")
            finally:
                session.close()

    def _hand_over_all(self, session: _Session, mails: Sequence[_Mail], reach: _Reach) -> None:
        """Each mail in a transaction of its own. What goes wrong with one is noted, and the next is tried,
        unless the line cannot be trusted any more."""
        for number, mail in enumerate(mails):
            left = reach.left(mail)
            if not left:
                continue
            try:
                self._hand_over(session, mail.content, left, reach)
            except (RetryAt, Malformed) as error:
                reach.fail(left, error)
                later = [address for other in mails[number + 1 :] for address in reach.left(other)]
                for address in later:
                    reach.miss(address, "the line broke before", for_now=True)
                return
            except EdgeError as error:
                reach.fail(left, error)

    def _hand_over(self, session: _Session, content: bytes, addresses: Sequence[str], reach: _Reach) -> None:
        """The mail transaction of RFC 5321, 3.3. Raises where the mail as a whole is not taken."""
        with self._explaining("MAIL"):
            _expect(session.mail(_address(self._settings.sender)), 250)
        taken: list[str] = []
        missed: list[tuple[str, int, bytes]] = []
        with self._explaining("RCPT"):
            for address in addresses:
                code, words = session.rcpt(address)
                if code in (250, 251):
                    taken.append(address)
                    continue
                if code == 421:
                    raise smtplib.SMTPResponseException(code, words)
                # After others were taken 552 may mean "too many": the next attempt has fewer.
                missed.append((address, 452 if code == 552 and taken else code, words))
        if taken:
            with self._explaining("DATA"):
                _expect(session.docmd("DATA"), 354)
                session.send(_stuffed(content))
            # From here on the server may have it, whatever becomes of its answer.
            with self._explaining("the mail itself", accepted_unknown=True):
                _expect(session.getreply(), 250)
        reach.reached += taken
        for address, code, words in missed:
            reach.miss(address, f"{code} {self._clean(words)}", for_now=code < 500)
        if not taken:
            _, code, words = min(missed, key=lambda each: each[1])
            at = f"{self._place}, RCPT"
            error = smtplib.SMTPResponseException(code, words)
            reach.errors.append(self._answered("RCPT", at, error, False))
            with self._explaining("RSET"):
                _expect(session.rset(), 250)

    @contextmanager
    def _explaining(self, what: str, *, accepted_unknown: bool = False) -> Iterator[None]:
        """What goes wrong, in the edges' words. What the server said is repeated only without secrets, and
        while logging in not at all."""
        at = f"{self._place}, {what}"
        try:
            yield
        except EdgeError:
            raise
        except smtplib.SMTPNotSupportedError:
            raise NotAllowed(f"{at}: the server does not offer it; check `security` and `username`") from None
        except ssl.SSLCertVerificationError as error:
            raise NotAllowed(
                f"{self._place}: its certificate is not trusted{reason(error)}; check host or http.ca_file"
            ) from None
        except smtplib.SMTPResponseException as error:
            raise self._answered(what, at, error, accepted_unknown) from None
        except OSError as error:
            # smtplib's errors are OSErrors too. A time-out is to it a line that was closed, and its bare
            # SMTPException means that it found no way to log in.
            if type(error) is smtplib.SMTPException:
                raise NotAllowed(f"{at}: the server knows no way to log in that we know") from None
            late = isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError)
            why = "not done in time" if late else f"the line broke off{reason(error)}"
            raise RetryAt(f"{at}: {why}", accepted_unknown=accepted_unknown) from None
        except UnicodeError:
            raise NotAllowed(f"{at}: it holds letters that SMTP cannot carry") from None
        except ValueError:
            raise Malformed(f"{at}: an answer that is not SMTP") from None

    def _answered(
        self, what: str, at: str, error: smtplib.SMTPResponseException, accepted_unknown: bool
    ) -> EdgeError:
        """A reply that is no yes. 4xx may be a yes later; 5xx will not be."""
        code = error.smtp_code
        if not 400 <= code < 600:
            said = f"{at}: an answer that is not SMTP"
            return RetryAt(said, accepted_unknown=True) if accepted_unknown else Malformed(said)
        if what == "AUTH":
            if 400 <= code < 500:
                return RetryAt(f"{at}: {code}")
            return NotAllowed(f"{at}: {code}, the server does not take username and password; check them")
        text = f"{at}: {code} {self._clean(error.smtp_error)}".rstrip()
        if code in (530, 538):
            return NotAllowed(f"{text}; the server wants a login or TLS: check username and security")
        return Refused(text) if code >= 500 else RetryAt(text)

    def _clean(self, words: object) -> str:
        """A server's words: bounded, on one line, without our secrets."""
        said = words.decode("utf-8", "replace") if isinstance(words, bytes) else str(words)
        return inert(self._redactor.clean(inert(said, REPLY_BYTES_MAX)), SAID_LENGTH_MAX)

    def _secrets(self) -> list[str]:
        with suppress(SecretMissing):
            return [] if self._settings.password is None else [self._settings.password.reveal()]
        return []

    def _reveal(self, secret: Secret) -> str:
        try:
            return secret.reveal()
        except SecretMissing as error:
            raise NotAllowed(str(error)) from None

    def _alone(self, person: Addressee) -> Mapping[str, Sequence[str]]:
        """One person as the only reader, by the clock that they read where they are among the recipients."""
        own = self.reach(person)
        if own is None:
            raise Refused(f"no address of {person.name} is known")
        zones = [zone for zone, readers in self._readers.items() if own.recipient in readers]
        return {zones[0] if zones else self._surroundings.zone.key: [own.recipient]}

    def _compose(self, alert: Alert, zone: str, to: Sequence[str], previous: Receipt | None) -> _Mail:
        """The mail for who reads that clock. The same alert always has the same Message-ID there, so that a
        server which looks sees that a double is one."""
        said = self._surroundings.words.render(alert, ZoneInfo(zone))
        domain = _address(self._settings.sender).rpartition("@")[2]
        # The team's own zone has no name in it: so it was before there were others.
        mark = "" if zone == self._surroundings.zone.key else f" {zone}"
        earlier = previous.remote if previous is not None and alert.stage is not Stage.TEST else {}
        # Every mail of a subject refers to the same root, which nobody ever sent: so they belong together
        # even where one is missing.
        root = f"<subject-{_digest(alert.subject)}@{domain}>"
        message_id = f"<alert-{_digest(alert.key + mark)}@{domain}>"
        parent = earlier.get(f"message_id{mark}", root)
        if parent == message_id:
            # It is sent again, to who was put off: as it was.
            parent = earlier.get(f"references{mark}", root).split()[-1]
        title = _subject(earlier.get(f"title{mark}") or said.thread_title)
        references = root if parent == root else f"{root} {parent}"
        subject = title if parent == root else f"Re: {title}"
        if self._settings.subject == "state":
            subject = _subject(f"{said.mark} {said.headline}")
        message = EmailMessage(policy=SMTP)
        message["Subject"] = subject
        message["From"] = self._settings.sender
        everybody = ", ".join(recipient.address for recipient in self._settings.recipients)
        message["To"] = everybody if alert.addressee is None else ", ".join(to)
        message["Date"] = format_datetime(alert.at.astimezone(ZoneInfo(zone)))
        message["Message-ID"] = message_id
        message["In-Reply-To"] = parent
        message["References"] = references
        message["List-Id"] = f"Response monitor <alerts.{domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message["X-Auto-Response-Suppress"] = "All"
        if calls(alert):
            message["Importance"] = "high"
        message["X-Response-Monitor-Key"] = _header(alert.key)
        message["X-Response-Monitor-Stage"] = alert.stage.value
        message.set_content(f"{said.mark} {said.text}\n", cte="quoted-printable")
        message.add_alternative(self._html(alert, said), subtype="html", cte="quoted-printable")
        remote = {f"message_id{mark}": message_id, f"references{mark}": references, f"title{mark}": title}
        return _Mail(tuple(to), message.as_bytes(policy=SMTP), remote)

    def _html(self, alert: Alert, said: Rendered) -> str:
        """The mail's HTML; the template escapes everything that it is given."""
        return self._surroundings.words.html(alert, said, _preheader(said))


def _preheader(said: Rendered) -> str:
    """What mail programs show beside the subject before the mail is opened: the state, and what was written,
    so that who reads only that line knows what it is about."""
    quote = f" – “{' '.join(said.quote.split())}”" if said.quote is not None else ""
    return inert(f"{said.mark} {said.headline}{quote}", PREHEADER_LENGTH_MAX)


def _expect(reply: tuple[int, bytes], code: int) -> None:
    """Raise smtplib's own error unless the server said this."""
    if reply[0] != code:
        raise smtplib.SMTPResponseException(*reply)


def _stuffed(content: bytes) -> bytes:
    """RFC 5321, 4.5.2: a dot that begins a line is doubled; a line with a single dot ends the mail."""
    doubled = re.sub(rb"(?m)^\.", b"..", content)
    return doubled + (b"" if doubled.endswith(b"\r\n") else b"\r\n") + b".\r\n"


def _address(mailbox: str) -> str:
    return parseaddr(mailbox)[1]


def _subject(text: str) -> str:
    """Strangers' words as a subject: one line, and nothing that a mail library takes for an encoded word
    (it would decode line ends out of one, and so let headers be added)."""
    return inert(text, SUBJECT_LENGTH_MAX).replace("=?", "= ?")


def _header(key: str) -> str:
    """A key as a header can carry it: ASCII on one line, which keys are already, and no encoded word."""
    plain = "".join(letter if " " <= letter <= "~" else "_" for letter in key)
    return plain.replace("=?", "=_")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
