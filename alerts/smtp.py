"""Email over SMTP: one mail to all recipients, text and HTML, one thread a subject, TLS verified.

What may live here: SMTP's settings, the mail's headers and body, and what a server's replies mean. Sources:
RFC 5321 (4xx is worth another try, 5xx is not), RFC 5322 (Message-ID, References), RFC 3834 (Auto-Submitted),
RFC 2919 (List-Id), RFC 3207 (STARTTLS), RFC 4954 (AUTH).
"""

from __future__ import annotations

import hashlib
import re
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from alerts.contract import ChannelSurroundings, Preview, Receipt
from alerts.render import WORST_TITLE, Rendered, calls, render
from rules.alert import Alert, Stage
from wire.errors import EdgeError, Malformed, NotAllowed, Refused, RetryAt
from wire.exchange import Bounds, bounded, connect, reason, tls_context
from wire.redact import Redactor, inert
from wire.secret import Secret, SecretMissing

if TYPE_CHECKING:
    import socket

SUBJECT_LENGTH_MAX = 150
SAID_LENGTH_MAX = 160
REPLY_BYTES_MAX = 64 * 1024
_ADDRESS = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
)


def _mailbox(value: str) -> str:
    _, address = parseaddr(value)
    if not value.isprintable() or not _ADDRESS.fullmatch(address) or ".." in address:
        raise ValueError('expected an address such as "care@acme.example" or "Care <care@acme.example>"')
    return value


Mailbox = Annotated[str, Field(max_length=320), AfterValidator(_mailbox)]


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
    recipients: list[Mailbox] = Field(min_length=1, max_length=50, description="To whom it goes.")

    @model_validator(mode="after")
    def _sensible(self) -> Self:
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


class SmtpChannel:
    """One set of recipients, told by one mail.

    A receipt's `remote` has `message_id`, `references` and `title` for the mails that follow, and `left_out`
    with the recipients that the server did not take.
    """

    def __init__(self, settings: Settings, surroundings: ChannelSurroundings) -> None:
        self._settings = settings
        self._surroundings = surroundings
        self._tls = tls_context(surroundings.http.ca_file)
        self._place = f"{settings.host}:{settings.port}"
        self._redactor = Redactor(self._secrets)

    @property
    def recipient(self) -> str:
        first = _address(self._settings.recipients[0])
        more = len(self._settings.recipients) - 1
        return f"{first} and {more} more" if more else first

    @property
    def updates(self) -> bool:
        return False

    def send(self, alert: Alert, previous: Receipt | None, time_limit: float) -> Receipt:
        """Hand one mail for all recipients to the server.

        Where the server takes it for some recipients only, it is delivered to those, and the receipt names
        the others: trying again would tell the first ones twice.
        """
        message = self._compose(alert, render(alert, self._surroundings.zone), previous)
        with self._session(time_limit) as session:
            left_out = self._hand_over(session, message.as_bytes(policy=SMTP))
        remote = {
            "message_id": str(message["Message-ID"]),
            "references": str(message["References"]),
            "title": str(message["Subject"]).removeprefix("Re: "),
        }
        if left_out:
            remote["left_out"] = ", ".join(left_out)[:1000]
        return Receipt(self._surroundings.clock(), remote)

    def preview(self, alert: Alert) -> Preview:
        """The mail's HTML, to be opened in a browser."""
        return Preview("html", _html(alert, render(alert, self._surroundings.zone)))

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

    def _hand_over(self, session: _Session, content: bytes) -> list[str]:
        """The mail transaction of RFC 5321, 3.3. Returns the recipients that were not taken, and why."""
        settings = self._settings
        with self._explaining("MAIL"):
            _expect(session.mail(_address(settings.sender)), 250)
        refused: list[tuple[str, int, bytes]] = []
        with self._explaining("RCPT"):
            for recipient in settings.recipients:
                code, words = session.rcpt(_address(recipient))
                if code not in (250, 251):
                    refused.append((_address(recipient), code, words))
                if code == 421:
                    break
            if len(refused) == len(settings.recipients) or any(code == 421 for _, code, _ in refused):
                # If one may be taken later, the mail is worth another try.
                _, code, words = min(refused, key=lambda each: each[1])
                raise smtplib.SMTPResponseException(code, words)
        with self._explaining("DATA"):
            _expect(session.docmd("DATA"), 354)
            session.send(_stuffed(content))
        # From here on the server may have it, whatever becomes of its answer.
        with self._explaining("the mail itself", accepted_unknown=True):
            _expect(session.getreply(), 250)
        return [f"{address} ({code} {self._clean(words)})" for address, code, words in refused]

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

    def _compose(self, alert: Alert, said: Rendered, previous: Receipt | None) -> EmailMessage:
        """The mail. The same alert always has the same Message-ID, so that a server which looks sees that
        a double is one."""
        domain = _address(self._settings.sender).rpartition("@")[2]
        earlier = previous.remote if previous is not None and alert.stage is not Stage.TEST else {}
        # Every mail of a subject refers to the same root, which nobody ever sent: so they belong together
        # even where one is missing.
        root = f"<subject-{_digest(alert.subject)}@{domain}>"
        parent = earlier.get("message_id", root)
        title = _subject(earlier.get("title") or said.thread_title)
        message = EmailMessage(policy=SMTP)
        message["Subject"] = f"Re: {title}" if earlier else title
        message["From"] = self._settings.sender
        message["To"] = ", ".join(self._settings.recipients)
        message["Date"] = format_datetime(alert.at)
        message["Message-ID"] = f"<alert-{_digest(alert.key)}@{domain}>"
        message["In-Reply-To"] = parent
        message["References"] = root if parent == root else f"{root} {parent}"
        message["List-Id"] = f"Response monitor <alerts.{domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message["X-Auto-Response-Suppress"] = "All"
        if calls(alert):
            message["Importance"] = "high"
        message["X-Response-Monitor-Key"] = _header(alert.key)
        message["X-Response-Monitor-Stage"] = alert.stage.value
        message.set_content(f"{said.mark} {said.text}\n", cte="quoted-printable")
        message.add_alternative(_html(alert, said), subtype="html", cte="quoted-printable")
        return message


def _html(alert: Alert, said: Rendered) -> str:
    """The mail's HTML; the template escapes everything that it is given."""
    from importlib.resources import files

    from jinja2 import Environment, StrictUndefined

    source = files("alerts").joinpath("templates/email.html.j2").read_text("utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    # A storm that is over is good news, whichever stage says so.
    over = alert.storm is not None and alert.storm.over_at is not None
    stage = Stage.CLEARED if over else alert.stage
    return environment.from_string(source).render(said=said, stage=stage.value, worst_title=WORST_TITLE)


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
