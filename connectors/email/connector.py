"""One mailbox: its two streams, what each asks of the server, and what a page of it means.

Nothing here sleeps, retries in a loop or asks the clock; a poll is one connection, and fetches one page of
mails at most.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar

from connectors.contract import (
    Capabilities,
    Cursor,
    Direction,
    Identity,
    Outbound,
    Page,
    Rejected,
    Stream,
    Surroundings,
)
from connectors.email.box import Box, Door, Overrun, internal_date
from connectors.email.parse import FIELDS, Reader, message_of, read_headers
from connectors.email.place import Mark, Place, begin
from connectors.email.settings import Settings
from connectors.email.structure import Part, Unreadable, answers, parts_of, read_fetch
from connectors.email.text import decoded, from_html, own_words
from rules.message import Message
from wire.errors import Malformed, NotAllowed, Refused

HEADER_BYTES_MAX = 16 * 1024
TEXT_BYTES_MAX = 64 * 1024
"""So much of a mail's text is fetched at most, as it is encoded. Attachments never are."""

TEXTS_MAX = 3
"""So many parts of a mail are read: some programs begin a new one after each picture."""

STUB_BYTES = 16
LOOK_BACK = timedelta(days=30)

CAPABILITIES = Capabilities(
    streams=(
        Stream("inbox", Direction.INBOUND, 60.0, private=True),
        Stream("sent", Direction.OUTBOUND, 60.0, private=True),
    ),
    outbound=Outbound.LISTED,
    look_back_seconds=LOOK_BACK.total_seconds(),
    automated_known=True,
)

_HEADERS = f"BODY.PEEK[HEADER.FIELDS ({FIELDS})]<0.{HEADER_BYTES_MAX}>"
_ASKED = f"(UID INTERNALDATE BODYSTRUCTURE {_HEADERS})"


@dataclass(slots=True)
class _Mail:
    """A mail of a page: what the server says of it, which parts hold its text, and what these say once they
    are fetched, by their numbers."""

    uid: int
    at: datetime
    headers: Mapping[str, str]
    parts: list[Part]
    texts: list[Part]
    said: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """All of it, in the order of the mail."""
        return "\n\n".join(words for part in self.texts if (words := self.said.get(part.number)))


@dataclass(slots=True)
class _Taken:
    """What was read so far in one poll."""

    place: Place
    messages: list[Message] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    reads: int = 0


class EmailConnector:
    """Keeps `connectors.contract.Connector`. Used by one thread at a time."""

    capabilities: ClassVar[Capabilities] = CAPABILITIES

    def __init__(self, settings: Settings, surroundings: Surroundings) -> None:
        self._settings = settings
        self._around = surroundings
        self._streams = _streams(settings)
        self._door = Door(settings, surroundings.http, surroundings.clock)
        self._narrow: set[str] = set()

    @property
    def streams(self) -> tuple[Stream, ...]:
        """Those that the settings switch on."""
        return tuple(self._streams.values())

    def identify(self, time_limit: float) -> Identity:
        """Whether we are let in, and whether the folders are there. Raises wire.errors."""
        settings, lacking = self._settings, []
        notes = ["a mail that is moved out of these folders before they are read is not seen"]
        with self._door.open(time_limit) as box:
            for stream in self._streams:
                for folder in self._folders(stream):
                    try:
                        box.open(box.find(folder))
                    except (NotAllowed, Refused) as error:
                        lacking.append(f"the folder {folder} ({error})")
        if not settings.sent:
            notes.append("sent = false: answers by email are not seen")
        return Identity(settings.handle, settings.handle, tuple(lacking), notes=tuple(notes))

    def poll(self, stream: str, cursor: Cursor | None, time_limit: float) -> Page:
        """The next mails of that stream's folders, at most a page. Raises wire.errors."""
        if stream not in self._streams:
            raise Refused(f"{self._settings.handle} has no stream {stream!r} (see its settings)")
        now = self._around.clock()
        seconds = min(self._around.look_back_seconds, CAPABILITIES.look_back_seconds)
        place, gap = begin(cursor, now, timedelta(seconds=seconds))
        taken = _Taken(place)
        with self._door.open(time_limit) as box:
            drained = self._read(box, stream, taken, now)
        return Page(
            messages=_each_once(taken.messages),
            cursor=taken.place.written(),
            has_more=not drained,
            rejected=tuple(taken.rejected),
            gap=gap,
            complete_through=now - self._settings.lag_margin if drained else None,
            reads=taken.reads,
        )

    def look_up(self, ids: Sequence[str], time_limit: float) -> Page:
        """Nothing: a mail that was sent can be neither changed nor taken back, and where a colleague files or
        deletes it says nothing of its writer."""
        return Page((), {})

    def close(self) -> None:
        """Nothing is kept open."""

    def _folders(self, stream: str) -> Sequence[str]:
        return self._settings.folders if stream == "inbox" else [self._settings.sent_folder]

    def _read(self, box: Box, stream: str, taken: _Taken, now: datetime) -> bool:
        """Read each folder on from its mark; whether all were read to their ends."""
        around, settings = self._around, self._settings
        own = {settings.handle, *settings.aliases, *(h.lower() for h in around.brand_handles)}
        reader = Reader(around.brand, around.account, frozenset(own), ours=stream == "sent")
        room = 1 if stream in self._narrow else settings.page_size
        for name in dict.fromkeys(box.find(folder) for folder in self._folders(stream)):
            opened = box.open(name)
            mark = taken.place.opened(name, opened.validity, now)
            news: list[int] = []
            if opened.next is None or opened.next > mark.uid + 1:
                news = box.newer(mark.uid, (mark.since - timedelta(days=1)).date())
            page = news[:room]
            room -= len(page)
            try:
                self._take(box, page, mark, reader, taken, now)
            except Overrun:
                if len(page) > 1:
                    self._narrow.add(stream)  # each alone at the next attempt
                    raise
                # Alone it is still too much: it must not hold up the others for ever.
                taken.rejected.append(Rejected(None, "a mail whose description is too large"))
                whole = False  # the line is of no more use
            else:
                whole = len(page) == len(news)
            last = max((mark.uid, *page[-1:]))
            if not whole:
                taken.place = taken.place.moved(name, replace(mark, uid=last))
                return False
            # What came up to the opening is read, or was none of ours.
            last = max(last, (opened.next or 1) - 1)
            taken.place = taken.place.moved(name, replace(mark, uid=last, read_at=now))
        self._narrow.discard(stream)
        return True

    def _take(
        self, box: Box, uids: Sequence[int], mark: Mark, reader: Reader, taken: _Taken, now: datetime
    ) -> None:
        """Fetch these mails, and what they say."""
        if not uids:
            return
        mails = _described(box.fetch(uids, _ASKED), taken, frozenset(uids))
        taken.reads += len(mails)
        wanted = [mail for mail in mails if mail.at >= mark.since]
        _fetch_texts(box, wanted)
        for mail in wanted:
            try:
                message = message_of(mail.headers, mail.text, mail.parts, min(mail.at, now), reader)
            except Unreadable as error:
                taken.rejected.append(Rejected(None, str(error)))
            else:
                if message is not None:
                    taken.messages.append(message)


def _described(pieces: Iterable[Any], taken: _Taken, asked: frozenset[int]) -> list[_Mail]:
    """The mails in the order of their numbers. What cannot be read is rejected; where nothing can, the answer
    as a whole is nonsense. Raises Malformed."""
    found: dict[int, _Mail] = {}
    wrong: list[str] = []
    broken = 0
    for answer in answers(pieces):
        try:
            said = read_fetch(answer)
        except Unreadable as error:
            broken += 1
            wrong.append(str(error))
            continue
        if "BODYSTRUCTURE" not in said:
            continue  # A server may tell of other mails whenever it likes (RFC 9051, 7: unilateral data).
        try:
            mail = _mail(said)
            if mail.uid in asked:
                found[mail.uid] = mail
        except Unreadable as error:
            wrong.append(str(error))
    if broken and not found:
        raise Malformed(f"the server described no mail in a way that can be read: {wrong[0]}")
    taken.rejected += [Rejected(None, reason) for reason in wrong]
    return [found[uid] for uid in sorted(found)]


def _mail(said: Mapping[str, Any]) -> _Mail:
    uid, at = _uid(said), internal_date(said.get("INTERNALDATE"))
    if not uid:
        raise Unreadable("no number of a mail")
    if at is None:
        raise Unreadable("no INTERNALDATE")
    parts = parts_of(said["BODYSTRUCTURE"])
    raw = next((value for name, value in said.items() if name.startswith("BODY[HEADER")), None)
    headers = read_headers(raw) if isinstance(raw, bytes) else {}
    plain, html = (
        [part for part in parts if part.type == f"text/{kind}" and not part.attached and part.size]
        for kind in ("plain", "html")
    )
    # A plain text of a few letters beside HTML is mostly one that says to look at the HTML, or nothing.
    stub = html and sum(part.size for part in plain) < STUB_BYTES
    return _Mail(uid, at, headers, parts, (html if stub else plain or html)[:TEXTS_MAX])


def _uid(said: Mapping[str, Any]) -> int:
    """The number of the mail that an answer is about; 0 where it does not say."""
    uid = said.get("UID")
    return int(uid) if isinstance(uid, bytes) and uid.isdigit() and len(uid) <= 10 else 0


def _fetch_texts(box: Box, mails: Sequence[_Mail]) -> None:
    """The beginning of each mail's texts: one question for all mails that have one in the same place."""
    places: dict[str, dict[int, tuple[_Mail, Part]]] = {}
    for mail in mails:
        for part in mail.texts:
            places.setdefault(part.number, {})[mail.uid] = (mail, part)
    for number, by_uid in places.items():
        pieces = box.fetch(sorted(by_uid), f"(UID BODY.PEEK[{number}]<0.{TEXT_BYTES_MAX}>)")
        for answer in answers(pieces):
            try:
                said = read_fetch(answer)
            except Unreadable as error:
                raise Malformed(f"the server gave a text that breaks off: {error}") from None
            raw = next((value for name, value in said.items() if name.startswith(f"BODY[{number}]")), None)
            found = by_uid.get(_uid(said))
            if found is not None and isinstance(raw, bytes):
                of, part = found
                text = decoded(raw, part.encoding, part.charset)
                of.said[number] = own_words(from_html(text) if part.type == "text/html" else text)


def _streams(settings: Settings) -> dict[str, Stream]:
    chosen = {
        "inbox": (settings.inbox, settings.inbox_every),
        "sent": (settings.sent, settings.sent_every),
    }
    return {
        s.name: replace(s, every_seconds=chosen[s.name][1].total_seconds())
        for s in CAPABILITIES.streams
        if chosen[s.name][0]
    }


def _each_once(messages: Iterable[Message]) -> tuple[Message, ...]:
    """A mail may be in two folders: once is enough."""
    found: dict[str, Message] = {}
    for message in messages:
        found.setdefault(message.id, message)
    return tuple(found.values())


def build(settings: Settings, surroundings: Surroundings) -> EmailConnector:
    """The connector of one mailbox. Nothing is opened yet. Raises ValueError for a CA file that is none."""
    return EmailConnector(settings, surroundings)
