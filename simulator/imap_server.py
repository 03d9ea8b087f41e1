"""A mail server that shows the world's mails over IMAP, for reading only, and what goes wrong with one.

Sources: RFC 3501 and RFC 9051 (commands and answers, 7.4.2 FETCH, BODYSTRUCTURE), RFC 6154 (\\Sent),
RFC 5530 (response codes), RFC 5322 (mails); words of limits as Exchange Online puts them. One mailbox an
account: INBOX holds what others wrote to it, "Sent Items" what it wrote. Faults befall commands by path
("/INBOX/FETCH", "/-/LOGIN"); commands that only read are noted as GET, all others by their names.
"""

from __future__ import annotations

import re
import socketserver
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.header import Header
from email.utils import format_datetime, formataddr
from types import TracebackType

from simulator.faults import Fault, FaultKind, Faults
from simulator.world import Person, Platform, World, Writing

LINE_BYTES_MAX = 64 * 1024
COMMANDS_MAX = 1000
FOLDERS = {"INBOX": "", "Sent Items": "\\Sent", "Drafts": "\\Drafts"}
_READING = frozenset(("CAPABILITY", "NOOP", "LIST", "EXAMINE", "SEARCH", "FETCH", "LOGOUT", "STATUS"))
_SECTION = re.compile(r"BODY(\.PEEK)?\[([^\]]*)\](?:<0\.(\d+)>)?")
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_ERRORS = {
    401: "NO [AUTHORIZATIONFAILED] on purpose",
    403: "NO [NOPERM] Permission denied, on purpose",
    500: "NO [SERVERBUG] Internal error occurred, on purpose",
    503: "NO [UNAVAILABLE] Temporary failure, on purpose",
}


@dataclass(frozen=True, slots=True)
class ImapAccess:
    """An account: whose mailbox, and the password."""

    owner: Person
    password: str = "imap-password-of-the-simulator"


@dataclass(slots=True)
class MailFolders:
    """The numbers that mails have in the folders of one mailbox. They stay, whoever restarts the server."""

    world: World
    owner: Person
    validity: int = 1_700_000_000
    numbers: dict[str, dict[str, int]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def mails(self, folder: str) -> list[tuple[int, Writing]]:
        """What is in a folder now, by number."""
        shown = self.world.shown(Platform.EMAIL, self.world.clock.now(), lambda w: self._is_in(folder, w))
        with self.lock:
            known = self.numbers.setdefault(folder, {})
            found = list(shown)
            for writing in found:
                known.setdefault(writing.id, len(known) + 1)
            return sorted(((known[w.id], w) for w in found), key=lambda pair: pair[0])

    def next(self, folder: str) -> int:
        """The number that the next mail will have."""
        return len(self.numbers.get(folder, {})) + 1

    def _is_in(self, folder: str, writing: Writing) -> bool:
        if folder == "INBOX":
            return writing.recipient == self.owner
        return folder == "Sent Items" and writing.author == self.owner


def message_id(id: str) -> str:
    """A mail's Message-ID, without its brackets."""
    return f"{id}@mail.example"


def headers_of(writing: Writing) -> list[tuple[str, str]]:
    """The mail's headers."""
    to = writing.recipient
    said = [
        ("Return-Path", "<>" if writing.author.automated else f"<{writing.author.id}>"),
        ("From", formataddr((writing.author.name, writing.author.id))),
        ("To", formataddr((to.name, to.id)) if to is not None else "undisclosed-recipients:;"),
        ("Subject", Header(writing.title or "A question", "utf-8").encode()),
        ("Date", format_datetime(writing.claimed_at or writing.created_at)),
        ("Message-ID", f"<{message_id(writing.id)}>"),
    ]
    if writing.parent is not None:
        said.append(("In-Reply-To", f"<{message_id(writing.parent)}>"))
        above = dict.fromkeys((writing.root, writing.parent))
        said.append(("References", " ".join(f"<{message_id(id)}>" for id in above)))
    if writing.author.automated:
        said.append(("Auto-Submitted", "auto-replied"))
    return [*said, ("MIME-Version", "1.0"), ("Content-Type", 'text/plain; charset="utf-8"')]


class ImapServer:
    """The server on 127.0.0.1, in threads of its own, for as long as a test or a demo needs it."""

    def __init__(
        self, mailboxes: Sequence[tuple[ImapAccess, MailFolders]], faults: Faults | None = None
    ) -> None:
        self.mailboxes = mailboxes
        self.faults = faults
        outer = self

        class Line(socketserver.StreamRequestHandler):
            """One connection."""

            disable_nagle_algorithm = True

            def handle(self) -> None:
                _Session(outer, self.rfile.readline, self.wfile.write).run()

        self._server = _Server(("127.0.0.1", 0), Line)
        self.url = f"imap://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> ImapServer:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True


class _Cut(Exception):
    """The line is to end here."""


class _Session:
    """What one client asks, and hears."""

    def __init__(
        self, server: ImapServer, read: Callable[[int], bytes], write: Callable[[bytes], object]
    ) -> None:
        self._server = server
        self._read = read
        self._write = write
        self._mailbox: MailFolders | None = None
        self._folder: str | None = None

    def run(self) -> None:
        """Until the client goes, or is sent away."""
        try:
            self._write(b"* OK [CAPABILITY IMAP4rev1 SPECIAL-USE AUTH=PLAIN] ready\r\n")
            for _ in range(COMMANDS_MAX):
                line = self._read(LINE_BYTES_MAX).decode("utf-8", "replace").rstrip("\r\n")
                tag, _, rest = line.partition(" ")
                if not rest:
                    return
                name, _, arguments = rest.partition(" ")
                if name.upper() == "UID":
                    name, _, arguments = arguments.partition(" ")
                if not self._obey(tag, name.upper(), arguments):
                    return
        except (_Cut, OSError):
            return

    def _obey(self, tag: str, name: str, arguments: str) -> bool:
        """One command; whether there may be another."""
        path = f"/{self._folder or '-'}/{name}"
        reads = name in _READING and not any(m[1] is None for m in _SECTION.finditer(arguments))
        fault = None
        if self._server.faults is not None:
            self._server.faults.asked.append(("GET" if reads else name, path))
            fault = self._server.faults.next(path)
        untagged, said = self._answer(name, arguments)
        if fault is not None:
            untagged, said = self._befallen(fault, untagged, said)
        for piece in untagged:
            self._write(piece)
        if name == "LOGOUT":
            self._write(b"* BYE Logging out\r\n")
        self._write(f"{tag} {said}\r\n".encode())
        return name != "LOGOUT"

    def _answer(self, name: str, arguments: str) -> tuple[list[bytes], str]:
        words = [quoted.replace('\\"', '"') or plain for quoted, plain in _WORD.findall(arguments)]
        if name == "CAPABILITY":
            return [b"* CAPABILITY IMAP4rev1 SPECIAL-USE AUTH=PLAIN\r\n"], "OK done"
        if name in ("LOGOUT", "NOOP"):
            return [], "OK done"
        if name == "LOGIN":
            for access, folders in self._server.mailboxes:
                if words == [access.owner.id, access.password]:
                    self._mailbox = folders
                    return [], "OK Logged in"
            return [], "NO [AUTHENTICATIONFAILED] Authentication failed."
        if self._mailbox is None:
            return [], "BAD Error in IMAP command received by server."
        if name == "LIST":
            rows = [f'* LIST (\\HasNoChildren {role}) "/" "{name}"\r\n' for name, role in FOLDERS.items()]
            return [row.replace(" )", ")").encode() for row in rows], "OK List completed."
        if name == "EXAMINE" and words and words[0] in FOLDERS:
            return self._examined(words[0], self._mailbox)
        if name == "EXAMINE":
            return [], "NO [NONEXISTENT] Mailbox doesn't exist"
        if name == "SEARCH" and self._folder:
            numbers = " ".join(str(n) for n in self._found(arguments, self._mailbox.mails(self._folder)))
            return [f"* SEARCH {numbers}".rstrip().encode() + b"\r\n"], "OK Search completed."
        if name == "FETCH" and self._folder:
            mails = self._mailbox.mails(self._folder)
            return self._fetched(words[0], arguments, mails), "OK Fetch completed."
        return [], "BAD Error in IMAP command received by server."

    def _examined(self, folder: str, mailbox: MailFolders) -> tuple[list[bytes], str]:
        self._folder = folder
        count = len(mailbox.mails(folder))
        rows = (
            "FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)",
            "OK [PERMANENTFLAGS ()] Read-only mailbox.",
            f"{count} EXISTS",
            "0 RECENT",
            f"OK [UIDVALIDITY {mailbox.validity}] UIDs valid",
            f"OK [UIDNEXT {mailbox.next(folder)}] Predicted next UID",
        )
        return [f"* {row}\r\n".encode() for row in rows], "OK [READ-ONLY] Examine completed."

    @staticmethod
    def _found(keys: str, mails: Sequence[tuple[int, Writing]]) -> list[int]:
        """UID n:* (which holds the last mail even where that is below n) and SINCE."""
        first = re.search(r"UID (\d+):\*", keys)
        since = re.search(r"SINCE (\d{2}-\w{3}-\d{4})", keys)
        last = max((number for number, _ in mails), default=0)
        least = min(int(first[1]), last) if first else 0
        day = datetime.strptime(since[1], "%d-%b-%Y").replace(tzinfo=UTC) if since else None
        return [n for n, w in mails if n >= least and (day is None or w.created_at >= day)]

    @staticmethod
    def _fetched(numbers: str, asked: str, mails: Sequence[tuple[int, Writing]]) -> list[bytes]:
        wanted = {int(number) for number in numbers.split(",")}
        found = []
        for place, (number, writing) in enumerate(mails, 1):
            if number not in wanted:
                continue
            text = writing.text.replace("\n", "\r\n").encode("utf-8", "replace")
            said = f"* {place} FETCH (UID {number}".encode()
            if "INTERNALDATE" in asked:
                at = writing.created_at.astimezone(UTC)
                said += f' INTERNALDATE "{at:%d-%b-%Y %H:%M:%S} +0000"'.encode()
            if "BODYSTRUCTURE" in asked:
                lines = text.count(b"\n") + 1
                said += b' BODYSTRUCTURE ("TEXT" "PLAIN" ("CHARSET" "utf-8") NIL NIL "8BIT"'
                said += f" {len(text)} {lines} NIL NIL NIL NIL)".encode()
            for _, section, most in _SECTION.findall(asked):
                content = text
                if section.startswith("HEADER"):
                    names = section.partition("(")[2].rstrip(")").upper().split()
                    rows = [
                        f"{k}: {v}\r\n" for k, v in headers_of(writing) if not names or k.upper() in names
                    ]
                    content = "".join((*rows, "\r\n")).encode("utf-8", "replace")
                content = content[: int(most)] if most else content
                mark = "<0>" if most else ""
                said += f" BODY[{section}]{mark} {{{len(content)}}}\r\n".encode() + content
            found.append(said + b")\r\n")
        return found

    def _befallen(self, fault: Fault, untagged: list[bytes], said: str) -> tuple[list[bytes], str]:
        """The answer as the fault leaves it."""
        match fault.kind:
            case FaultKind.ERROR:
                return [], _ERRORS.get(fault.status, "NO on purpose")
            case FaultKind.RATE_LIMIT:
                seconds = dict(fault.headers).get("retry-after", "300")
                return [], f"NO Request is throttled. Suggested Backoff Time: {seconds}000 milliseconds"
            case FaultKind.HTML:
                return [b"<html><body><h1>We are over capacity</h1></body></html>\r\n"], said
            case FaultKind.DROP | FaultKind.DROP_AFTER:
                raise _Cut
            case FaultKind.HANG | FaultKind.DELAY:
                clock = self._server.mailboxes[0][1].world.clock
                time.sleep(fault.seconds / clock.rate)
            case FaultKind.TRUNCATED:
                # The first line of each, up to its middle: the answer breaks off, and the line stays.
                return [row[: row.index(b"\r\n") // 2] + b"\r\n" for row in untagged], said
            case FaultKind.DOUBLE:
                return [*reversed(untagged), *untagged], said
            case FaultKind.MALFORMED:
                broken = b'* 1 FETCH (UID 4711 INTERNALDATE "yesterday" BODYSTRUCTURE NIL)\r\n'
                return [*untagged[:1], broken, *untagged[1:]], said
        return untagged, said
