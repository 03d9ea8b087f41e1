"""What a stranger's words give away of a person, masked: email addresses, phone, card and bank account
numbers, postal addresses.

May hold what finds such things in a text, and nothing that knows who is told. Precise rather than greedy: a
masked order number costs a care agent a look-up, so where a number may be either, the words around it decide.
Every expression is RE2 (linear in the text whatever it holds) and bounded, so that hostile texts cost no more
than plain ones. Sources: ISO/IEC 7812-1 (cards, Luhn), ISO 13616 and SWIFT's registry (IBANs), ITU-T E.164
(international numbers), RFC 5321 (lengths of addresses).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from typing import Any

import re2

LENGTH_MAX = 8_000
"""Characters of a masked text at most; what is longer is cut, and ends with an ellipsis."""

_ROUNDS_MAX = 4


class Private(StrEnum):
    """What can be masked."""

    EMAIL = "email"
    PHONE = "phone"
    CARD = "card"
    IBAN = "iban"
    ADDRESS = "address"


MASKS: Mapping[Private, str] = {
    Private.EMAIL: "[email]",
    Private.PHONE: "[phone]",
    Private.CARD: "[card]",
    Private.IBAN: "[IBAN]",
    Private.ADDRESS: "[address]",
}
"""What stands in its place."""

BLANKS: Mapping[Private, str] = dict.fromkeys(Private, " ")
"""In its place nothing: for counting words, where a mask would be counted as one."""

EVERYTHING = frozenset(Private)

_IBAN_LENGTHS = {
    country: int(length)
    for country, length in (
        (entry[:2], entry[2:])
        for entry in """
        AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28
        EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27
        JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18
        NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28
        TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30
        """.split()
    )
}


def _compile(expression: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    return re2.compile(expression.encode("utf-8"), options)


_WORD = r"[\pL\pM\d]"
_EMAIL = _compile(
    rf"[\pL\pM\d.!#$%&'*+=?^_`{{|}}~-]{{1,64}}@(?:{_WORD}[\pL\pM\d-]{{0,62}}\.){{1,6}}(?:xn--[a-z\d-]{{2,20}}|\pL{{2,24}})"
)
_IBAN = _compile(r"[A-Za-z]{2}\d{2}[ -]?[A-Za-z\d]")
_CARD = _compile(r"\d(?:[ .-]?\d){12,}")
# A number as people write one: groups with at most two separators between them. What it is, is asked then.
_PHONE = _compile(r"(?:\+|\(\+?)?\d(?:[ ()./-]{0,3}\d){6,}")
_LINK = _compile(r"(?i)\b(?:https?://|www\.)[^\s<>\"]{1,2000}")
_LINKED_PHONE = _compile(r"(?i)(?:wa\.me/|phone=|tel:)(?:\+|%2b)?\d(?:[-.]?\d){6,14}")
_DATE = _compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:[T ]\d{1,2}:\d{2})?"
    r"|(?:0?[1-9]|[12]\d|3[01])[-/.](?:0?[1-9]|[12]\d|3[01])[-/.](?:(?:19|20)\d{2}|\d{2})"
    r"|\d{1,2}:\d{2}(?::\d{2})?"
)

_NAME = r"\p{Lu}[\pL\pM\d'’.-]{0,30}"
_POSTED = (  # what may follow a street: a flat, a town with its postal code
    r"(?:,? (?:(?i:flat|apt|apartment|unit|suite|piso|bât|appt)\.? ?|#)[\pL\d]{1,6})?"
    rf"(?:,?[ \n](?:{_NAME}[, ]{{1,2}}){{0,4}}"
    r"(?:(?i:[a-z]{1,2}\d[a-z\d]? ?\d[a-z]{2})|[A-Z]{2},? \d{5}(?:-\d{4})?))?"
    rf"(?:,?[ \n](?:D-|F-|E-)?\d{{5}},? {_NAME}(?: (?:am|an|a\.|im|sur|de|la|{_NAME})){{0,3}})?"
)
_STREETS_SURE = r"(?i:street|road|rd|avenue|ave|lane|boulevard|blvd|crescent|terrace|highway|parkway|pkwy)"
_STREETS = (
    r"(?:Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Boulevard|Blvd|Crescent|Cres|Terrace|Highway|Hwy|Parkway|Pkwy"
    r"|Gardens|Grove|Mews|Parade)"
)
_STREETS_MAYBE = (
    r"(?:Drive|Dr|Close|Court|Ct|Way|Place|Pl|Square|Sq|Hill|Park|Row|Walk|Circle|Cir|Trail|Green)"
)
_HOUSE = r"(?:(?i:flat|apt|apartment|unit) [\pL\d]{1,5},? )?\d{1,5}[A-Za-z]?(?:[-/]\d{1,5}[A-Za-z]?)?,? "
_ADDRESSES_EN = (
    _compile(rf"{_HOUSE}(?:[NSEW]\.? )?(?:{_NAME} ){{1,3}}{_STREETS}\b\.?{_POSTED}"),
    _compile(rf"{_HOUSE}(?:[\pL'’-]{{2,20}} ){{1,2}}{_STREETS_SURE}\b\.?{_POSTED}"),
)
_ADDRESS_EN_MAYBE = _compile(rf"{_HOUSE}(?:{_NAME} ){{1,3}}{_STREETS_MAYBE}\b\.?{_POSTED}")
_NUMBER_DE = r"\d{1,4}(?: ?[a-zA-Z]\b)?(?:[-/]\d{1,4}[a-z]?)?"
_ADDRESSES_DE = (
    _compile(rf"(?i:[\pL-]{{2,40}}(?:straße|strasse|str\.?))[ ]?{_NUMBER_DE}{_POSTED}"),
    _compile(
        r"(?:\p{Lu}[\pL-]{1,30}(?:weg|allee|platz|gasse|ring|damm|ufer|chaussee)"
        r"|\p{Lu}[\pL-]{1,30}(?:er|-) ?(?:Straße|Strasse|Str\.|Weg|Allee|Platz|Gasse|Ring|Damm|Ufer)"
        r"|(?:\p{Lu}[\pL-]{1,30}-)+(?:Straße|Str\.|Weg|Allee|Platz))"
        rf" {_NUMBER_DE}{_POSTED}"
    ),
    _compile(
        r"(?:Am|An der|Im|In der|In den|Unter den|Auf dem|Auf der|Zum|Zur) \p{Lu}[\pL-]{1,30}"
        rf" {_NUMBER_DE},?[ \n](?:D-)?\d{{5}} {_NAME}"
    ),
)
_OF_FR = r"(?:(?i:de la|de l['’]|de|du|des|d['’]|la|le|les|l['’]) ?)?"
_NUMBER_FR = r"\d{1,4}(?: ?(?i:bis|ter|quater)\b)?,? "
_MORE_FR = rf"(?:[ -](?:de|du|des|la|le|les|et|{_NAME})){{0,4}}"
_ADDRESSES_FR = (
    _compile(
        rf"{_NUMBER_FR}(?i:rue|avenue|av\.|boulevard|bd\.?|allée|impasse|chemin|quai) {_OF_FR}"
        rf"[\pL'’-]{{2,30}}{_MORE_FR}{_POSTED}"
    ),
    _compile(rf"{_NUMBER_FR}(?i:place|cours|route|passage|square) {_OF_FR}{_NAME}{_MORE_FR}{_POSTED}"),
)
_OF_ES = r"(?:(?i:de la|de los|de las|del|de|la|los|las) )?"
_MORE_ES = rf"(?: (?:de|del|la|las|los|y|{_NAME})){{0,4}}"
_NUMBER_ES = (
    r",? (?i:n[º°o]\.? ?|núm\.? ?|número )?\d{1,4}(?: ?[A-Za-z]\b)?(?:, ?\d{1,2}[ºª°](?: ?[A-Za-z]\b)?)?"
)
_ADDRESSES_ES = (
    _compile(rf"(?i:calle|c/|avenida|avda\.?) ?{_OF_ES}[\pL'’·-]{{2,30}}{_MORE_ES}{_NUMBER_ES}{_POSTED}"),
    _compile(
        rf"(?i:plaza|pza\.?|paseo|carrer|camino|ronda|carretera|travesía|av\.) {_OF_ES}{_NAME}{_MORE_ES}"
        rf"{_NUMBER_ES}{_POSTED}"
    ),
)

# "3 lost on the road", "calle con 3": words that are in no street's name where small letters are allowed.
_NO_STREET = frozenset(
    """
    a about after an and at by days down each for from hour hours in into is km later min mins miles more my
    of off on or other our per people than that the their this times to up was weeks years your
    a al con desde durante en hace me no para por que se sin sobre un una y
    à au avec en est et où pour qui sur un une
    der die das den dem des ein eine einer meiner unserer deiner ganzen ganze nächste nächsten
    """.split()
)
# "Heimweg 2 Stunden", "calle Mayor 3 días": a number of something is no house's.
_UNITS = re.compile(
    r" ?(?:€|\$|£|%|(?:euros?|eur|usd|gbp|uhr|stunden?|tage?n?|minuten?|mal|wochen?|monaten?|jahren?|km|kg|"
    r"h|hours?|days?|minutes?|times|weeks?|months?|years?|x|pm|am|heures?|jours?|semaines?|mois|fois|ans|"
    r"d[ií]as?|horas?|minutos?|semanas?|meses|veces|años?|people|personen|personas|personnes)\b)",
    re.IGNORECASE,
)
_LEADS_TO_ADDRESS = re.compile(
    r"(?:^|[\n:,;]|\b(?:at|to|is|on|in|near|of|address|lives?))[ ]*$", re.IGNORECASE
)
_REFERENCE = re.compile(
    r"(?:#|№|\b(?:order|orders|ref|refs|reference|ticket|case|tracking|invoice|booking|parcel|shipment|"
    r"customer|account|serial|model|isbn|imei|sku|item|article|claim|policy|contract|flight|gutschein|"
    r"bestell\w*|auftrag\w*|rechnung\w*|sendung\w*|paket\w*|kunden\w*|vertrag\w*|vorgang\w*|"
    r"commande|facture|colis|suivi|dossier|client|contrat|réservation|"
    r"pedido|factura|env[ií]o|seguimiento|reserva|cliente|expediente|contrato)\b[ .:#-]*"
    r"(?:(?:no|nos|nr|num|number|nummer|id|code|is|was|ist|war|lautet|est|es|n[º°]|numéro|número|de|"
    r"my|mein|meine)\b[ .:#º°-]*){0,3})$",
    re.IGNORECASE,
)
_CALLS = re.compile(
    r"\b(?:tel|tél|phone|telephone|call|calls?|ring|text|mobile|cell|whatsapp|sms|fax|handy\w*|telefon\w*|"
    r"mobil\w*|handynummer|anruf\w*|anrufen|erreichbar|rückruf\w*|téléphone|portable|appel\w*|joignable|"
    r"teléfono|tel[eé]fonos?|móvil|llam\w+|llámame|number|nummer|numéro|número|reach)\b[^\d\n]{0,24}$",
    re.IGNORECASE,
)
_BEFORE = 48  # bytes that are looked at for such words


@dataclass(frozen=True, slots=True)
class _Plain:
    """A text made plain for matching: `data` is UTF-8 with digits, spaces, dashes and letters of other shapes
    made ASCII, and without what nobody sees; `where` has for each byte, and for the end, the character of the
    text that it came from."""

    data: bytes
    where: tuple[int, ...] | range

    def before(self, at: int) -> str:
        """The words that lead to a place."""
        return self.data[max(0, at - _BEFORE) : at].decode("utf-8", "replace")

    def after(self, at: int) -> str:
        return self.data[at : at + _BEFORE].decode("utf-8", "replace")


_Span = tuple[int, int]


def mask(text: str, kinds: Collection[Private] = EVERYTHING, masks: Mapping[Private, str] = MASKS) -> str:
    """The text with what it gives away masked: "mail me at [email]".

    Order numbers, @handles, dates, times, prices and links stay. Linear time; masking what was masked changes
    nothing; at most 8,000 characters; never raises, whatever the text is (lone surrogates stay as they are).
    `masks` say what stands in place of each kind.
    """
    text = _cut(text)
    if not kinds:
        return text
    for _ in range(_ROUNDS_MAX):
        masked = _mask_once(text, kinds, masks)
        if masked == text:
            return text
        text = masked
    # What was taken out may let something else be seen for what it is. That it goes on for so long is no
    # accident, and nothing of ours can be found where there are neither digits nor "@".
    return "".join(
        "•" if letter == "@" or letter.isnumeric() or _fold(letter) == "@" else letter for letter in text
    )


def _cut(text: str) -> str:
    return text if len(text) <= LENGTH_MAX else text[: LENGTH_MAX - 1] + "…"


def _mask_once(text: str, kinds: Collection[Private], masks: Mapping[Private, str]) -> str:
    plain = _make_plain(text)
    taken = bytearray(len(plain.data))  # what belongs to something already
    found: list[tuple[int, int, Private]] = []
    for kind, find in _FINDERS:
        # A number in an email address is no phone number, also where email addresses may be shown.
        for start, end in find(plain):
            if any(taken[start:end]):
                continue
            taken[start:end] = b"\1" * (end - start)
            if kind is not None and kind in kinds:
                found.append((plain.where[start], plain.where[end - 1] + 1, kind))
    parts: list[str] = []
    at = 0
    for start, end, kind in sorted(found):
        parts += [text[at:start], masks[kind]]
        at = end
    return _cut("".join([*parts, text[at:]])) if found else text


def _make_plain(text: str) -> _Plain:
    if text.isascii():
        return _Plain(text.encode("ascii"), range(len(text) + 1))
    data, where = bytearray(), []
    for index, letter in enumerate(text):
        folded = letter if letter.isascii() else _fold(letter)
        encoded = folded.encode("utf-8")
        data += encoded
        where += [index] * len(encoded)
    return _Plain(bytes(data), (*where, len(text)))


def _fold(letter: str) -> str:
    """A letter as it is matched: "＠" is "@", a no-break space is a space, and "٣" is "3"."""
    category = unicodedata.category(letter)
    if category == "Nd":
        return str(unicodedata.decimal(letter))
    if category in ("Cf", "Cc"):
        return ""  # it is shown nowhere, so it parts nothing
    if category == "Cs":
        return "\N{REPLACEMENT CHARACTER}"
    if category in ("Zs", "Pd"):
        return " " if category == "Zs" else "-"
    compatible = unicodedata.normalize("NFKC", letter)
    return compatible if len(compatible) == 1 and compatible.isascii() else letter


def _find(expression: Any, plain: _Plain, accept: Callable[[int, int], _Span | None]) -> Iterator[_Span]:
    """What occurs and is accepted. After what is not, the search goes on one byte further: the first find may
    be none and hide the second. Every expression is bounded, so this stays linear."""
    at = 0
    while (match := expression.search(plain.data, at)) is not None:
        start, end = match.span()
        span = accept(start, end)
        if span is not None:
            yield span
        at = start + 1 if span is None else max(span[1], start + 1)


def _stands_alone(data: bytes, start: int, end: int) -> bool:
    """Whether neither a letter nor a digit goes on at either end."""
    before = data[max(0, start - 1) : start]
    after = data[end : end + 1]
    return not (_goes_on(before) or _goes_on(after))


def _goes_on(byte: bytes) -> bool:
    return byte.isalnum() or byte == b"_" or byte >= b"\x80"


def _emails(plain: _Plain) -> Iterator[_Span]:
    data = plain.data

    def accept(start: int, end: int) -> _Span | None:
        # "@jane@mastodon.example" is a handle, "jane@acme" too short to be an address.
        if data[max(0, start - 1) : start] == b"@":
            return None
        while data[start : start + 1] in (b".", b"'", b"`", b"*", b"=", b"?", b"&", b"{", b"/"):
            start += 1
        return (start, end) if data[start : start + 1] != b"@" else None

    at = 0
    while (match := _EMAIL.search(data, at)) is not None:
        start, end = match.span()
        span = accept(start, end)
        if span is not None:
            yield span
        # A handle is passed over as a whole: its tail is no address either.
        at = end


def _ibans(plain: _Plain) -> Iterator[_Span]:
    data = plain.data

    def accept(start: int, _end: int) -> _Span | None:
        length = _IBAN_LENGTHS.get(data[start : start + 2].decode("ascii").upper())
        if length is None or _goes_on(data[max(0, start - 1) : start]):
            return None
        letters, at = bytearray(), start
        while len(letters) < length and at < len(data):
            one = data[at : at + 1]
            if one.isalnum():
                letters += one
            elif one not in (b" ", b"-") or not data[at - 1 : at].isalnum():
                return None
            at += 1
        if len(letters) < length or _goes_on(data[at : at + 1]):
            return None
        turned = (letters[4:] + letters[:4]).decode("ascii").upper()
        number = int("".join(str(int(letter, 36)) for letter in turned))
        return (start, at) if number % 97 == 1 else None

    return _find(_IBAN, plain, accept)


def _cards(plain: _Plain) -> Iterator[_Span]:
    data, after = plain.data, 0
    while (match := _CARD.search(data, after)) is not None:
        start, end = match.span()
        after = end
        yield from _cards_in(data, start, end)


def _cards_in(data: bytes, start: int, end: int) -> Iterator[_Span]:
    """The cards in a run of groups of digits. Expiry dates and the like may stand right beside a card, so that
    every group may begin and every group end one; sums over all that went before make each look a short one."""
    places = [at for at in range(start, end) if data[at : at + 1].isdigit()]
    digits = [data[at] - 48 for at in places]
    doubled = [2 * digit - 9 * (digit > 4) for digit in digits]
    # Luhn's sum doubles every second digit from the right: which they are depends on where the card ends.
    sums = [
        [0, *accumulate(doubled[i] if i % 2 == odd else digits[i] for i in range(len(digits)))]
        for odd in (0, 1)
    ]
    begins = [i for i, at in enumerate(places) if i == 0 or places[i - 1] != at - 1]
    ends = {*begins[1:], len(digits)}
    free = 0
    for first in begins:
        if first < free or _goes_on(data[max(0, places[first] - 1) : places[first]]):
            continue
        for length in range(min(19, len(digits) - first), 12, -1):
            last = first + length
            luhn = sums[last % 2][last] - sums[last % 2][first]
            if last not in ends or luhn % 10 or not _is_issued(digits[first:last]):
                continue
            stop = places[last - 1] + 1
            if _goes_on(data[stop : stop + 1]):
                continue
            free = last
            yield places[first], stop
            break


def _is_issued(digits: list[int]) -> bool:
    """Whether card numbers begin so (ISO/IEC 7812: 3 to 6 are banks' and travel's, 22 to 27 Mastercard's and
    Mir's), and are no row of one digit. Of other numbers, one in ten would pass Luhn's check too."""
    head = digits[0] * 1000 + digits[1] * 100 + digits[2] * 10 + digits[3]
    return len(set(digits)) > 1 and (
        digits[0] in (3, 4, 5, 6) or 2200 <= head <= 2204 or 2221 <= head <= 2720
    )


def _links(plain: _Plain) -> Iterator[_Span]:
    return _find(_LINK, plain, lambda start, end: (start, end))


def _dates(plain: _Plain) -> Iterator[_Span]:
    data = plain.data

    def accept(start: int, end: int) -> _Span | None:
        # "01.23.45.67.89" is no date, "06/12/34 …" neither: digits go on.
        before, after = data[max(0, start - 2) : start], data[end : end + 2]
        if before[-1:].isdigit() or (before[-1:] in b"-/.+" and before[:1].isdigit()):
            return None
        goes_on = after[:1].isdigit() or (after[:1] in (b"-", b"/", b".") and after[1:].isdigit())
        return None if goes_on else (start, end)

    return _find(_DATE, plain, accept)


def _linked_phones(plain: _Plain) -> Iterator[_Span]:
    def accept(start: int, end: int) -> _Span | None:
        head = re.match(rb"(?:wa\.me/|phone=|tel:)", plain.data[start:end], re.IGNORECASE)
        return None if head is None else (start + head.end(), end)

    return _find(_LINKED_PHONE, plain, accept)


_NATIONAL = re.compile(
    r"0[1-9](?:[ ()./-]{0,3}\d){7,10}"  # Europe: a nought leads, 9 to 12 digits
    r"|(?:1[ .-]?)?\(?[2-9]\d{2}(?:\) ?|[ .-])[2-9]\d{2}[ .-]\d{4}"  # North America
    r"|[6-9]\d{2}(?P<s>[ .-])\d{3}(?P=s)\d{3}|[6-9]\d{2}(?P<p>[ .-])\d{2}(?P=p)\d{2}(?P=p)\d{2}"  # Spain
    r"|9\d(?P<q>[ .-])\d{3}(?P=q)\d{2}(?P=q)\d{2}"
)
_ABROAD = re.compile(r"(?:\+|00)[ (]{0,2}[1-9](?:[ ()./-]{0,3}\d){6,14}")


def _phones(plain: _Plain) -> Iterator[_Span]:
    data, after = plain.data, 0
    while (match := _PHONE.search(data, after)) is not None:
        start, end = match.span()
        after = end
        yield from _phones_in(plain, start, end)


def _phones_in(plain: _Plain, start: int, end: int) -> Iterator[_Span]:
    """The phone number that a run of digits and separators is, or begins with or ends with a date beside."""
    data = plain.data
    # A date beside a number is none of it.
    for first, last in _pieces(data, start, end):
        if not _stands_alone(data, first, last) or data[max(0, first - 1) : first] == b"@":
            continue
        said = data[first:last].decode("ascii")
        if said.startswith("(") and ")" not in said:
            first, said = first + 1, said[1:]
        if said.count(".") == 1 and re.fullmatch(r"\d+\.\d+", said):
            continue  # a number with decimals
        if _is_phone(plain, first, last, said):
            yield first, last


def _pieces(data: bytes, start: int, end: int) -> Iterator[_Span]:
    """A run, parted where a date stands in it: "07700 900123 12.03.2026"."""
    at = start
    position = start
    while (match := _DATE.search(data, position)) is not None and match.start() < end:
        first, last = match.span()
        position = first + 1
        alone = not data[max(0, first - 1) : first].isdigit() and not data[last : last + 1].isdigit()
        beside = data[last : last + 1] in (b"-", b"/", b".") and data[last + 1 : last + 2].isdigit()
        linked = first > start and data[first - 1 : first] in (b"-", b"/", b".", b"(", b"+")
        if last > end or not alone or beside or linked or b":" in data[first:last]:
            continue
        position = last
        yield from _trimmed(data, at, first)
        at = last
    yield from _trimmed(data, at, end)


def _trimmed(data: bytes, start: int, end: int) -> Iterator[_Span]:
    while start < end and data[start : start + 1] in (b" ", b")", b".", b"/", b"-"):
        start += 1
    while start < end and not data[end - 1 : end].isdigit():
        end -= 1
    if end - start >= 7:
        yield start, end


def _is_phone(plain: _Plain, start: int, end: int, said: str) -> bool:
    """International numbers are what they are; national ones as each country writes them; any other digits
    only where the words before say so. What is called an order's or a parcel's number is one."""
    digits = sum(map(str.isdigit, said))
    before = plain.before(start)
    if _ABROAD.fullmatch(said) and 8 <= digits - 2 * said.startswith("00") <= 15:
        return said.startswith("+") or not _REFERENCE.search(before)
    if _REFERENCE.search(before) or re.match(r" ?(?:€|\$|£|%|eur|usd|gbp)", plain.after(end), re.IGNORECASE):
        return False
    if before.rstrip()[-1:] in ("€", "$", "£"):
        return False
    return bool(_NATIONAL.fullmatch(said)) or (7 <= digits <= 13 and bool(_CALLS.search(before)))


def _addresses(plain: _Plain) -> Iterator[_Span]:
    for expression in (*_ADDRESSES_EN, *_ADDRESSES_DE, *_ADDRESSES_FR, *_ADDRESSES_ES):
        yield from _find(expression, plain, lambda start, end: _address(plain, start, end))
    yield from _find(_ADDRESS_EN_MAYBE, plain, lambda start, end: _maybe_address(plain, start, end))


def _address(plain: _Plain, start: int, end: int) -> _Span | None:
    data = plain.data
    if not _stands_alone(data, start, end) or data[max(0, start - 1) : start] in (b"@", b"#", b"/"):
        return None
    said = data[start:end].decode("utf-8", "replace")
    if _REFERENCE.search(plain.before(start)) or (said[-1:].isdigit() and _UNITS.match(plain.after(end))):
        return None
    # Small words are weighed only up to the number or the street's own word, not in the town that follows.
    words = re.findall(r"[^\W\d_][^\W\d_'’]*", re.split(r"[,\n]", said)[0])
    small = [word for word in words[:4] if word[0].islower()]
    return None if any(word in _NO_STREET for word in small) else (start, end)


def _maybe_address(plain: _Plain, start: int, end: int) -> _Span | None:
    """Names such as "2 Disney Park": an address only where something leads to one, or a town follows."""
    span = _address(plain, start, end)
    if span is None:
        return None
    said = plain.data[start:end].decode("utf-8", "replace")
    known = bool(re.search(r"\d", said.split(" ", 1)[-1])) or bool(
        _LEADS_TO_ADDRESS.search(plain.before(start))
    )
    return span if known and not re.match(r"[ -]?thr", plain.after(end), re.IGNORECASE) else None


_FINDERS: tuple[tuple[Private | None, Callable[[_Plain], Iterator[_Span]]], ...] = (
    (Private.EMAIL, _emails),
    (Private.PHONE, _linked_phones),
    (None, _links),
    (Private.IBAN, _ibans),
    (Private.CARD, _cards),
    (None, _dates),
    (Private.PHONE, _phones),
    (Private.ADDRESS, _addresses),
)
"""In the order in which they may claim a part of the text; None: what stays as it is."""
