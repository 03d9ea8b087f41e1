"""What a mail means, in our words: pure functions from its headers and its text to a message.

All of it was written by strangers: a mail that cannot be read is rejected alone, with its reason and never
with a word of it. Sources: RFC 5322 (headers, threads), RFC 2047 (encoded words), RFC 3834 (Auto-Submitted),
RFC 2919 (List-Id), [MS-OXCMAIL] (X-Auto-Response-Suppress), and how Google Groups passes mails on
(X-Original-From).
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.errors import HeaderParseError
from email.header import decode_header

from connectors.email.structure import Part, Unreadable
from rules.message import Author, Kind, Message

FIELDS = (
    "FROM TO CC REPLY-TO SUBJECT DATE MESSAGE-ID IN-REPLY-TO REFERENCES AUTO-SUBMITTED PRECEDENCE LIST-ID "
    "LIST-UNSUBSCRIBE RETURN-PATH X-AUTO-RESPONSE-SUPPRESS X-AUTOREPLY X-AUTORESPOND X-ORIGINAL-FROM "
    "X-MAILER USER-AGENT X-RESPONSE-MONITOR-KEY"
)
SUBJECT_LENGTH_MAX = 500
NAMED_MAX = 10
_ADDRESSED_MAX = 20
_HEADER_LENGTH_MAX = 10_000
_NAME_LENGTH_MAX = 200
_MESSAGE_ID = re.compile(r"<([^<>\s]{1,500})>")
_UNFOLD = re.compile(r"\r?\n(?=[ \t])")
_ADDRESS = re.compile(r"[^\s<>(),;:\"\x00-\x1f\x7f]{1,254}")
_BARE = re.compile(r"[^\s@]+@[^\s@]+")
_ADDRESS_TOKEN = re.compile(
    r'"(?:[^"\\]|\\.)*+"|\((?:[^()\\]|\\.)*+\)|<[^<>]*+>|[,;]|[^",;()<>]++|.', re.DOTALL
)
_ROBOTS = re.compile(r"(?:mailer-daemon|postmaster|bounces?)(?:[@+-]|$)")
_NO_REPLY = re.compile(r"(?:no|do-?not|not?)[._-]?reply")
_AGAIN = re.compile(r"(?:\s*(?:re|aw|sv|antw|rv|res|odp)(?:\[\d+\])?:\s*)+", re.I)
_BULK = frozenset(("bulk", "junk", "list", "auto_reply"))


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads: what a message needs to know beside what the mail says. `own` are all addresses of the
    brand; `ours`: all mails are the brand's, since they are in the folder of what was sent."""

    brand: str
    account: str
    own: frozenset[str]
    ours: bool

    @property
    def domains(self) -> frozenset[str]:
        """Where the brand's addresses are."""
        return frozenset(address.rpartition("@")[2] for address in self.own)


@dataclass(frozen=True, slots=True)
class Person:
    """Who a header names."""

    address: str
    name: str | None


def read_headers(raw: bytes) -> dict[str, str]:
    """The headers by name (lower case), unfolded; the first of each. Lines that are none are passed over."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    found: dict[str, str] = {}
    for line in _UNFOLD.sub("", text.replace("\0", "")).splitlines():
        name, colon, value = line.partition(":")
        if colon:
            found.setdefault(name.strip().lower(), value.strip()[:_HEADER_LENGTH_MAX])
    return found


def message_of(
    headers: Mapping[str, str], text: str, parts: Sequence[Part], at: datetime, reader: Reader
) -> Message | None:
    """The mail as a message; None for what is no part of any conversation: our own alerts, and what somebody
    of the brand sends to its own mailbox without answering anything. `at` is when the server got it, `text`
    what is in it. Raises Unreadable."""
    if "x-response-monitor-key" in headers:
        return None  # An alert that quotes a customer must not become a case of its own.
    writer = _writer(headers, reader)
    brand = reader.ours or writer.address in reader.own
    found_id = _MESSAGE_ID.search(headers.get("message-id", ""))
    id = found_id[1] if found_id else _made_up_id(headers, text)
    above = _MESSAGE_ID.findall(headers.get("references", ""))
    answered = _MESSAGE_ID.findall(headers.get("in-reply-to", ""))
    parent = next((i for i in (*answered[:1], *above[-1:]) if i != id), None)
    if brand and not reader.ours and parent is None:
        return None
    root = next((i for i in (*above[:1], *answered[:1]) if i != id), id)
    return Message(
        brand=reader.brand,
        connector="email",
        account=reader.account,
        id=id,
        kind=Kind.EMAIL,
        conversation=root,
        author=Author(
            id=writer.address,
            name=writer.name,
            brand=brand,
            automated=_is_automated(headers, writer, reader),
        ),
        text=_whole(headers, text, parts, first=parent is None),
        created_at=at,
        parent=parent,
        to=_addressed(headers, reader, brand),
        public=False,
        client=_clean(decode(headers.get("user-agent") or headers.get("x-mailer") or ""))[:100] or None,
    )


def decode(value: str) -> str:
    """RFC 2047's encoded words as text; what is wrongly encoded stays as it is."""
    if "=?" not in value:
        return value
    try:
        parts = decode_header(value)
    except (HeaderParseError, ValueError, binascii.Error):
        return value
    said = []
    for part, charset in parts:
        if isinstance(part, str):
            said.append(part)
            continue
        try:
            said.append(part.decode(charset or "utf-8", "replace"))
        except (LookupError, ValueError, TypeError):
            said.append(part.decode("latin-1"))
    return "".join(said)


def people(value: str) -> list[Person]:
    """Whom a header names, at most 20 (RFC 5322, 3.4). A name that holds an unquoted comma stays one name,
    and an address in quotes is part of a name."""
    found: list[Person] = []
    words: list[str] = []
    address = ""
    for token in (*_ADDRESS_TOKEN.findall(value), ","):
        if token[0] == "<":
            address = token[1:-1].strip()
        elif token[0] == '"' and len(token) > 1:
            words.append(re.sub(r"\\(.)", r"\1", token[1:-1]))
        elif token not in (",", ";"):
            words += token.split() if token[0] not in '(<>")' else ()
        else:
            if not address:
                address = next((words.pop(n) for n, word in enumerate(words) if _BARE.fullmatch(word)), "")
            if _ADDRESS.fullmatch(address):
                name = _clean(decode(" ".join(words).replace(" ,", ",")))[:_NAME_LENGTH_MAX]
                found.append(Person(_clean(address).lower(), name or None))
            if address or token == ";":  # else the comma is part of a name
                words, address = [], ""
            elif token == ",":
                words.append(",")
        if len(found) == _ADDRESSED_MAX:
            break
    alone = [word for word in words if word != ","]
    if not found and len(alone) == 1 and _ADDRESS.fullmatch(alone[0]):
        found.append(Person(_clean(alone[0]).lower(), None))  # a user of the same machine: "MAILER-DAEMON"
    return found


def _writer(headers: Mapping[str, str], reader: Reader) -> Person:
    """Who wrote it. Contact forms and lists send from an address of the brand, or from one that nobody reads,
    and say elsewhere for whom."""
    senders = people(headers.get("from", ""))
    if not senders:
        raise Unreadable("no sender")
    first = senders[0]
    if reader.ours or not (first.address in reader.own or _NO_REPLY.match(first.address)):
        return first
    for name in ("x-original-from", "reply-to"):
        for other in people(headers.get(name, "")):
            if other.address not in reader.own and not _NO_REPLY.match(other.address):
                return other
    return first


def _is_automated(headers: Mapping[str, str], writer: Person, reader: Reader) -> bool:
    """Whether no person wrote it: it says so of itself, goes to many, or is a report of a mail server. A list
    of the brand's own domain is but how mails get to it."""
    if headers.get("auto-submitted", "no").partition(";")[0].strip().lower() != "no":
        return True
    if headers.get("x-auto-response-suppress", "none").lower() != "none":
        return True
    if "x-autoreply" in headers or "x-autorespond" in headers or headers.get("return-path") == "<>":
        return True
    if _ROBOTS.match(writer.address) or _NO_REPLY.match(writer.address):
        return True
    if headers.get("precedence", "").lower() == "auto_reply":
        return True
    list_id = headers.get("list-id", "").rstrip(" >").lower()
    if any(list_id.endswith((f".{domain}", f"<{domain}")) for domain in reader.domains):
        return False
    return bool(list_id) or "list-unsubscribe" in headers or headers.get("precedence", "").lower() in _BULK


def _addressed(headers: Mapping[str, str], reader: Reader, brand: bool) -> tuple[str, ...]:
    """Whom it is written to: of a customer's mail the brand's addresses, of ours the others."""
    for name in ("to", "cc"):
        named = dict.fromkeys(p.address for p in people(headers.get(name, "")))
        found = tuple(address for address in named if (address in reader.own) is not brand)
        if found:
            return found
    return ()


def _whole(headers: Mapping[str, str], text: str, parts: Sequence[Part], *, first: bool) -> str:
    """The subject where it is the first of a conversation, the text, and the names of what is attached."""
    subject = _clean(decode(headers.get("subject", "")))[:SUBJECT_LENGTH_MAX]
    said = [] if not subject or not (first or not text) else [_AGAIN.sub("", subject, count=1)]
    said += [text] if text else []
    attached = [_name(part) for part in parts if part.attached]
    if attached:
        more = f" and {len(attached) - NAMED_MAX} more" if len(attached) > NAMED_MAX else ""
        said.append(f"[attached: {', '.join(attached[:NAMED_MAX])}{more}]")
    return "\n\n".join(said)


def _name(part: Part) -> str:
    """What a file is called, else what it is."""
    return _clean(decode(part.name or ""))[:80] or part.type


def _made_up_id(headers: Mapping[str, str], text: str) -> str:
    """For a mail without one: the same in whatever folder it is, and after it was numbered anew."""
    said = [headers.get(name, "") for name in ("from", "to", "date", "subject")]
    whole = "\n".join((*said, text)).encode("utf-8", "replace")
    return f"{hashlib.sha256(whole).hexdigest()[:32]}@no-message-id"


def _clean(text: str) -> str:
    """On one line, without what no database holds: NUL, control letters, halves of surrogate pairs."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    return " ".join(text.split()) if text.isprintable() else " ".join(_CONTROL.sub(" ", text).split())


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
