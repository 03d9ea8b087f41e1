"""Email over SMTP: text and HTML, one thread a subject, TLS verified.

Sources: RFC 5322 (Message-ID, References), RFC 3834 (Auto-Submitted), RFC 2919 (List-Id), RFC 5321 (4xx is
worth another try, 5xx is not).
"""

from __future__ import annotations

import hashlib
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from ipaddress import ip_address
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from alerts.contract import ChannelSurroundings, Receipt
from alerts.render import Rendered, render
from rules.alert import Alert
from wire.errors import EdgeError, NotAllowed, Refused, RetryAt
from wire.exchange import tls_context
from wire.redact import inert
from wire.secret import Secret

SUBJECT_MAX = 150


def _mailbox(value: str) -> str:
    _, address = parseaddr(value)
    if "@" not in address or any(c in value for c in "\r\n") or not value.isprintable():
        raise ValueError('expected an address such as "care@acme.example"')
    return value


Mailbox = Annotated[str, Field(max_length=254), AfterValidator(_mailbox)]


class Settings(BaseModel):
    """[channels.NAME] with type = "smtp"."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    type: Literal["smtp"] = Field(default="smtp", description="This kind of channel.")
    host: str = Field(min_length=1, max_length=253, description="The mail server.")
    port: int = Field(default=587, ge=1, le=65535, description="Its port: 587 for starttls, 465 for tls.")
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description='How the line is protected; "none" only to this machine.'
    )
    username: str | None = Field(default=None, description="Whom to log in as, if the server wants it.")
    password: Secret | None = Field(default=None, description="The password that goes with it.")
    sender: Mailbox = Field(description="From whom it is.")
    recipients: list[Mailbox] = Field(min_length=1, max_length=50, description="To whom it goes.")

    @model_validator(mode="after")
    def _sensible(self) -> Settings:
        if (self.username is None) != (self.password is None):
            raise ValueError("expected username and password together, or neither")
        if self.security == "none" and not _is_loopback(self.host):
            raise ValueError('security: "none" is for this machine only; expected "starttls" or "tls"')
        return self


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


def build(settings: Settings, surroundings: ChannelSurroundings) -> SmtpChannel:
    """The channel. Nothing is asked of the server yet."""
    return SmtpChannel(settings, surroundings)


class SmtpChannel:
    """One set of recipients, told by one message."""

    def __init__(self, settings: Settings, surroundings: ChannelSurroundings) -> None:
        self._settings = settings
        self._surroundings = surroundings

    @property
    def recipient(self) -> str:
        first = parseaddr(self._settings.recipients[0])[1]
        more = len(self._settings.recipients) - 1
        return f"{first} and {more} more" if more else first

    @property
    def updates(self) -> bool:
        return False

    def send(self, alert: Alert, previous: Receipt | None, time_limit: float) -> Receipt:
        """Hand it to the server. A refusal of some recipients is noted in the receipt."""
        said = render(alert, self._surroundings.zone)
        message = self._compose(alert, said, previous)
        with self._connected(time_limit) as server, self._told("MAIL", accepted_unknown=True):
            refused = server.send_message(message, self._settings.sender, list(self._settings.recipients))
        references = " ".join(filter(None, (str(message["References"] or ""), str(message["Message-ID"]))))
        remote = {"message_id": str(message["Message-ID"]), "references": references}
        if refused:
            remote["refused"] = ", ".join(sorted(refused))[:500]
        return Receipt(self._surroundings.clock(), remote)

    def check(self, time_limit: float) -> str:
        with self._connected(time_limit) as server, self._told("NOOP"):
            server.noop()
        return f"{self._settings.host} takes mail for {self.recipient}"

    def close(self) -> None:
        """Nothing is kept open."""

    def _compose(self, alert: Alert, said: Rendered, previous: Receipt | None) -> EmailMessage:
        domain = parseaddr(self._settings.sender)[1].rpartition("@")[2]
        root = f"<{_digest(alert.subject)}.subject@{domain}>"
        message = EmailMessage(policy=SMTP)
        prefix = "Re: " if previous is not None else ""
        message["Subject"] = prefix + inert(said.thread_title, SUBJECT_MAX)
        message["From"] = self._settings.sender
        message["To"] = ", ".join(self._settings.recipients)
        message["Date"] = format_datetime(alert.at)
        message["Message-ID"] = f"<{_digest(alert.key)}.alert@{domain}>"
        # Every mail of a subject points at the same root, so that they thread even if one is lost.
        earlier = previous.remote.get("references", "") if previous is not None else ""
        message["References"] = earlier or root
        message["In-Reply-To"] = previous.remote.get("message_id", root) if previous is not None else root
        message["List-Id"] = f"response-monitor alerts <alerts.response-monitor.{domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message["X-Auto-Response-Suppress"] = "All"
        message["X-Response-Monitor-Key"] = alert.key
        text = _unicode(said.text)
        message.set_content(text)
        message.add_alternative(_html(alert, said), subtype="html")
        return message

    @contextmanager
    def _connected(self, time_limit: float) -> Iterator[smtplib.SMTP]:
        """A connection that is greeted, protected and logged in, and ends when the time is up."""
        settings = self._settings
        server: smtplib.SMTP | None = None
        with _Deadline(time_limit) as deadline:
            try:
                with self._told("connecting"):
                    server = self._connect(time_limit)
                    deadline.watch(server)
                    if settings.security == "starttls":
                        server.starttls(context=tls_context(self._surroundings.http.ca_file))
                    if settings.username is not None and settings.password is not None:
                        server.login(settings.username, settings.password.reveal())
                yield server
            finally:
                if server is not None:
                    with suppress(smtplib.SMTPException, OSError):
                        server.quit()
                    with suppress(OSError):
                        server.close()

    def _connect(self, time_limit: float) -> smtplib.SMTP:
        settings = self._settings
        if settings.security == "tls":
            context = tls_context(self._surroundings.http.ca_file)
            return smtplib.SMTP_SSL(settings.host, settings.port, timeout=time_limit, context=context)
        return smtplib.SMTP(settings.host, settings.port, timeout=time_limit)

    @contextmanager
    def _told(self, what: str, *, accepted_unknown: bool = False) -> Iterator[None]:
        """smtplib's exceptions in the edges' words; what the server said is shown, what we said is not."""
        host = f"{self._settings.host}:{self._settings.port}"
        try:
            yield
        except smtplib.SMTPAuthenticationError as error:
            raise NotAllowed(
                f"{host} does not let {self._settings.username} in ({error.smtp_code})"
            ) from None
        except smtplib.SMTPRecipientsRefused as error:
            raise _by_code(
                min(code for code, _ in error.recipients.values()), f"{host}: all recipients"
            ) from None
        except smtplib.SMTPResponseException as error:
            raise _by_code(error.smtp_code, f"{host}: {what}", error.smtp_error) from None
        except smtplib.SMTPNotSupportedError:
            raise NotAllowed(f"{host} offers no such protection or login; check `security`") from None
        except ssl.SSLCertVerificationError as error:
            raise NotAllowed(f"{host}: its certificate is not trusted ({error.verify_message})") from None
        except (smtplib.SMTPException, OSError) as error:
            raise RetryAt(
                f"{host}: {type(error).__name__} while {what}", accepted_unknown=accepted_unknown
            ) from None


def _by_code(code: int, what: str, words: Any = b"") -> EdgeError:
    said = words.decode("utf-8", "replace") if isinstance(words, bytes) else str(words)
    text = f"{what}: {code} {inert(said, 120)}".rstrip()
    return RetryAt(text) if 400 <= code < 500 else Refused(text)


class _Deadline:
    """smtplib's time-out is per operation: when the whole time is up, the socket is shut down."""

    def __init__(self, seconds: float) -> None:
        self._server: smtplib.SMTP | None = None
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def watch(self, server: smtplib.SMTP) -> None:
        self._server = server

    def _end(self) -> None:
        found = getattr(self._server, "sock", None)
        if isinstance(found, socket.socket):
            with suppress(OSError):
                found.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> _Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._timer.cancel()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _unicode(text: str) -> str:
    """Text that a mail can carry: no lone surrogates, no NUL, no bare carriage returns."""
    clean = text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "")
    return clean.replace("\r\n", "\n").replace("\r", "\n")


def _html(alert: Alert, said: Rendered) -> str:
    from importlib.resources import files

    from jinja2 import Environment

    source = files("alerts").joinpath("templates/email.html.j2").read_text("utf-8")
    template = Environment(autoescape=True).from_string(source)
    link = said.link if said.link is not None and said.link.startswith(("https://", "http://")) else None
    return _unicode(template.render(said=said, stage=alert.stage.value, link=link))
