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
from collections.abc import Callable, Collection, Iterator, Mapping
from enum import StrEnum
from itertools import accumulate
from typing import Any

import re2

from rules.plain import PlainText, fold, make_plain

LENGTH_MAX = 5_000
"""Characters of a masked text at most; what is longer is cut, and ends with an ellipsis."""

_ROUNDS_MAX = 4
_SIGNS = frozenset("@0123456789")  # one of them is in all that can be found
_SIGN = re.compile(rb"[@\d]")


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


_EMAIL = _compile(
    r"[\w.!#$%&'*+=?^`{|}~-]{1,64}@(?:[A-Za-z\d][A-Za-z\d-]{0,62}\.){1,6}(?:xn--[a-z\d-]{2,20}|[A-Za-z]{2,24})"
)
_IBAN = _compile(r"[A-Za-z]{2}\d{2}[ -]?[A-Za-z\d]")
_CARD = _compile(r"\d(?:[ -]?\d){12,}")
# A number as people write one: groups with at most two separators between them. What it is, is asked then.
_PHONE = _compile(r"(?:\+|\(\+?)?\d(?:[ ()./-]{0,3}\d){6,}")
_LINK = _compile(r"(?i)\b(?:https?://|www\.)[^\s<>\"]+")
_LINKED_PHONE = _compile(r"(?i)(?:wa\.me/|phone=|tel:)(?:\+|%2b)?\d(?:[-.]?\d){6,14}")
_DATE = _compile(
    r"(?:19|20)\d{2}[-/.]\d{1,2}[-/.]\d{1,2}(?:[T ]\d{1,2}:\d{2})?"
    r"|(?:0?[1-9]|[12]\d|3[01])[-/.](?:0?[1-9]|[12]\d|3[01])[-/.](?:(?:19|20)\d{2}|\d{2})"
    r"|\d{1,2}:\d{2}(?::\d{2})?"
)

_NAME = r"(?:[A-Z][A-Za-z\d'-]{0,30}|St\.)"
_POSTED = (  # what may follow a street: a flat, a town with its postal code
    r"(?:,? (?:(?i:flat|apt|apartment|unit|suite|piso|bat|appt)\.? ?|#)[A-Za-z\d]{1,6})?"
    rf"(?:,?[ \n](?:{_NAME}[, ]{{1,2}}){{0,4}}"
    r"(?:(?i:[a-z]{1,2}\d[a-z\d]? ?\d[a-z]{2})|[A-Z]{2},? \d{5}(?:-\d{4})?))?"
    rf"(?:,?[ \n](?:D-|F-|E-)?\d{{5}},? (?:(?:Bad|San|Santa|Le|La|Les|Los|Las|Saint|New) )?{_NAME}"
    rf"(?: (?:am|an der|im|in der|sur|de la|de|del|la|en) {_NAME})?)?"
)
_STREETS_SURE = r"(?i:street|road|rd|avenue|ave|lane|boulevard|blvd|crescent|terrace|highway|parkway|pkwy)"
_STREETS = (
    r"(?:Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Boulevard|Blvd|Crescent|Cres|Terrace|Highway|Hwy|Parkway|Pkwy"
    r"|Gardens|Grove|Mews|Parade)"
)
_STREETS_MAYBE = (
    r"(?:Drive|Dr|Close|Court|Ct|Way|Place|Pl|Square|Sq|Hill|Park|Row|Walk|Circle|Cir|Trail|Green)"
)
_HOUSE = r"(?:(?i:flat|apt|apartment|unit) [A-Za-z\d]{1,5},? )?\d{1,5}[A-Za-z]?(?:[-/]\d{1,5}[A-Za-z]?)?,? "
_ADDRESSES_EN = (
    _compile(rf"{_HOUSE}(?:[NSEW]\.? )?(?:{_NAME} ){{1,3}}{_STREETS}\b\.?{_POSTED}"),
    _compile(rf"{_HOUSE}(?:[A-Za-z'-]{{2,20}} ){{1,2}}{_STREETS_SURE}\b\.?{_POSTED}"),
    # "1 Infinite Loop, Cupertino, CA 95014": no word for a street, and the town with its code says it all.
    _compile(
        rf"{_HOUSE}(?:{_NAME} ){{0,3}}{_NAME}, (?:{_NAME}[, ]{{1,2}}){{1,3}}[A-Z]{{2}},? \d{{5}}(?:-\d{{4}})?"
    ),
)
_ADDRESS_EN_MAYBE = _compile(rf"{_HOUSE}(?:{_NAME} ){{1,3}}{_STREETS_MAYBE}\b\.?{_POSTED}")
_NUMBER_DE = r"\d{1,4}(?: ?[a-zA-Z]\b)?(?:[-/]\d{1,4}[a-z]?)?"
_ADDRESSES_DE = (
    _compile(rf"(?i:[A-Za-z-]{{2,40}}(?:strasse|str\.?))[ ]?{_NUMBER_DE}{_POSTED}"),
    _compile(
        r"(?:[A-Z][A-Za-z-]{1,30}(?:weg|allee|platz|gasse|ring|damm|ufer|chaussee)"
        r"|[A-Z][A-Za-z-]{1,30}(?:er|-) ?(?:Strasse|Str\.|Weg|Allee|Platz|Gasse|Ring|Damm|Ufer)"
        r"|(?:[A-Z][A-Za-z-]{1,30}-)+(?:Strasse|Str\.|Weg|Allee|Platz))"
        rf" {_NUMBER_DE}{_POSTED}"
    ),
    _compile(
        r"(?:Am|An der|Im|In der|In den|Unter den|Auf dem|Auf der|Zum|Zur) (?:[A-Z][a-z-]{1,20}(?:en|er) )?"
        rf"[A-Z][A-Za-z-]{{1,30}} {_NUMBER_DE},?[ \n](?:D-)?\d{{5}} {_NAME}"
    ),
)
# "Lange Strasse 5": the first word may also be no name at all ("Diese Strasse 5 Mal").
_ADDRESS_DE_MAYBE = _compile(
    rf"[A-Z][a-z]{{2,20}}e (?:Strasse|Str\.|Gasse|Allee|Reihe) {_NUMBER_DE}{_POSTED}"
)
_NO_NAME_DE = frozenset(
    "alle beide deine diese eine einige eure ganze ihre jede jene keine manche meine seine solche unsere "
    "viele welche".split()
)
_OF_FR = r"(?:(?i:de la|de l'|de|du|des|d'|la|le|les|l') ?)?"
_NUMBER_FR = r"\d{1,4}(?: ?(?i:bis|ter|quater)\b)?,? "
_MORE_FR = rf"(?:[ -](?:de|du|des|la|le|les|et|{_NAME})){{0,4}}"
_ADDRESSES_FR = (
    _compile(
        rf"{_NUMBER_FR}(?i:rue|avenue|av\.|boulevard|bd\.?|allee|impasse|chemin|quai) {_OF_FR}"
        rf"[A-Za-z'-]{{2,30}}{_MORE_FR}{_POSTED}"
    ),
    _compile(rf"{_NUMBER_FR}(?i:place|cours|route|passage|square) {_OF_FR}{_NAME}{_MORE_FR}{_POSTED}"),
)
_OF_ES = r"(?:(?i:de la|de los|de las|del|de|la|los|las) )?"
_MORE_ES = rf"(?: (?:de|del|la|las|los|y|{_NAME})){{0,4}}"
_NUMBER_ES = (
    r",? (?i:no\.? ?|num\.? ?|numero )?\d{1,4}(?:[A-Za-z]\b| [A-Z]\b)?(?:, ?\d{1,2}[oa](?: ?[A-Z]\b)?)?"
)
_ADDRESSES_ES = (
    _compile(rf"(?i:calle|c/|avenida|avda\.?) ?{_OF_ES}[A-Za-z'-]{{2,30}}{_MORE_ES}{_NUMBER_ES}{_POSTED}"),
    _compile(
        rf"(?i:plaza|pza\.?|paseo|carrer|camino|ronda|carretera|travesia|av\.) {_OF_ES}{_NAME}{_MORE_ES}"
        rf"{_NUMBER_ES}{_POSTED}"
    ),
)

# "3 lost on the road", "calle con 3": words that are in no street's name where small letters are allowed.
_NO_STREET = frozenset(
    """
    a about after an and at by days down each for from hour hours in into is km later min mins miles more my
    of off on or other our per people than that the their this times to up was way weeks years your
    al con desde durante en hace me no para por que se sin sobre un una y
    au avec est et ou pour qui sur une
    """.split()
)
# "Heimweg 2 Stunden", "calle Mayor 3 dias": a number of something is no house's.
_UNITS = re.compile(
    r" ?(?:\$|%|(?:euros?|eur|usd|gbp|uhr|stunden?|tage?n?|minuten?|mal|wochen?|monaten?|jahren?|km|kg|"
    r"h|hours?|days?|minutes?|times|weeks?|months?|years?|x|pm|am|heures?|jours?|semaines?|mois|fois|ans|"
    r"dias?|horas?|minutos?|semanas?|meses|veces|anos?|people|personen|personas|personnes)\b)",
    re.IGNORECASE,
)
_LEADS_TO_ADDRESS = re.compile(r"\b(?:at|to|near|address(?: is|:)?|lives? (?:at|on|in)) *$", re.IGNORECASE)
_REFERENCE = re.compile(
    r"(?:#|\b(?:order|orders|ref|refs|reference|ticket|case|tracking|invoice|booking|parcel|shipment|"
    r"customer|account|serial|model|isbn|imei|sku|item|article|claim|policy|contract|flight|gutschein|"
    r"bestell\w*|auftrag\w*|rechnung\w*|sendung\w*|paket\w*|kunden\w*|vertrag\w*|vorgang\w*|"
    r"commande|facture|colis|suivi|dossier|client|contrat|reservation|"
    r"pedido|factura|envio|seguimiento|reserva|cliente|expediente|contrato)\b[ .:#-]*"
    r"(?:(?:no|nos|nr|num|number|nummer|id|code|is|was|ist|war|lautet|est|es|numero|de|"
    r"my|mein|meine)\b[ .:#-]*){0,3})$",
    re.IGNORECASE,
)
_CALLS = re.compile(
    r"\b(?:tel|phone|telephone|call|calls?|ring|text|mobile|cell|whatsapp|sms|fax|handy\w*|telefon\w*|"
    r"mobil\w*|handynummer|anruf\w*|anrufen|erreichbar|ruckruf\w*|telephone|portable|appel\w*|joignable|"
    r"telefonos?|movil|llam\w+|llamame|number|nummer|numero|reach)\b[^\d\n]{0,24}$",
    re.IGNORECASE,
)


_Span = tuple[int, int]


def mask(text: str, kinds: Collection[Private] = EVERYTHING, masks: Mapping[Private, str] = MASKS) -> str:
    """The text with what it gives away masked: "mail me at [email]".

    Order numbers, @handles, dates, times, prices and links stay. Linear time; masking what was masked changes
    nothing; at most 5,000 characters; never raises, whatever the text is (lone surrogates stay as they are).
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
    return "".join("•" if set(fold(letter)) & _SIGNS else letter for letter in text)


def _cut(text: str) -> str:
    return text if len(text) <= LENGTH_MAX else text[: LENGTH_MAX - 1] + "…"


def _mask_once(text: str, kinds: Collection[Private], masks: Mapping[Private, str]) -> str:
    plain = make_plain(text)
    if _SIGN.search(plain.data) is None:
        return text
    taken = bytearray(len(plain.data))  # what belongs to something already
    found: list[tuple[int, int, Private]] = []
    for kind, find in _FINDERS:
        if kind is Private.PHONE and kind not in kinds:
            continue  # nothing that comes later takes digits for what they are not
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


def _find(expression: Any, plain: PlainText, accept: Callable[[int, int], _Span | None]) -> Iterator[_Span]:
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
    return byte.isalnum() or byte == b"_"


def _emails(plain: PlainText) -> Iterator[_Span]:
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


def _ibans(plain: PlainText) -> Iterator[_Span]:
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


def _cards(plain: PlainText) -> Iterator[_Span]:
    data, after = plain.data, 0
    while (match := _CARD.search(data, after)) is not None:
        start, end = match.span()
        after = end
        yield from _cards_in(data, start, end)


def _cards_in(data: bytes, start: int, end: int) -> Iterator[_Span]:
    """The cards in a run of groups of digits. Expiry dates and the like may stand right beside a card, so
    that every group may begin and every group end one; sums over all that went before make that cheap."""
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
        if _DEVICE.search(data[max(0, places[first] - _DEVICE_LENGTH_MAX) : places[first]]):
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


def _links(plain: PlainText) -> Iterator[_Span]:
    return _find(_LINK, plain, lambda start, end: (start, end))


def _dates(plain: PlainText) -> Iterator[_Span]:
    data = plain.data

    def accept(start: int, end: int) -> _Span | None:
        # "01.23.45.67.89" is no date, "06/12/34 …" neither: digits go on.
        before, after = data[max(0, start - 1) : start], data[end : end + 2]
        if before.isdigit() or before in (b"-", b"/", b".", b"+") or after[:1].isdigit():
            return None
        return None if _continues(after) else (start, end)

    return _find(_DATE, plain, accept)


def _linked_phones(plain: PlainText) -> Iterator[_Span]:
    def accept(start: int, end: int) -> _Span | None:
        head = re.match(rb"(?:wa\.me/|phone=|tel:)", plain.data[start:end], re.IGNORECASE)
        return None if head is None else (start + head.end(), end)

    return _find(_LINKED_PHONE, plain, accept)


_NATIONAL = re.compile(
    # Europe: a nought leads 9 to 12 digits; without a separator 10, as order numbers may too.
    r"0[1-9]\d{8,10}|\(?0[1-9]\d*[ ()./-](?:[ ()./-]{0,3}\d){3,9}"
    r"|(?:1[ .-]?)?\(?[2-9]\d{2}(?:\) ?|[ .-])[2-9]\d{2}[ .-]\d{4}"  # North America
    r"|[6-9]\d{2}(?P<s>[ .-])\d{3}(?P=s)\d{3}|[6-9]\d{2}(?P<p>[ .-])\d{2}(?P=p)\d{2}(?P=p)\d{2}"  # Spain
    r"|9\d(?P<q>[ .-])\d{3}(?P=q)\d{2}(?P=q)\d{2}"
)
_MONEY = re.compile(r" ?(?:\$|%|eur\b|usd\b|gbp\b)", re.IGNORECASE)
_GROUP = re.compile(rb"\d+")
_GROUPS_MAX = 8
_SEPARATORS = b"+ ()./-"
_DEVICE = re.compile(rb"\bimei(?:[ -]?(?:no|nr|number|nummer))?[ .:#-]{0,3}$", re.IGNORECASE)
"""Leads to a telephone's own number, which has 15 digits and passes Luhn's check."""

_DEVICE_LENGTH_MAX = 20

_ABROAD = re.compile(r"(?:\+|00)[ (]{0,2}[1-9](?:[ ()./-]{0,3}\d){6,14}")


def _phones(plain: PlainText) -> Iterator[_Span]:
    data, after = plain.data, 0
    while (match := _PHONE.search(data, after)) is not None:
        start, end = match.span()
        after = end
        yield from _phones_in(plain, start, end)


def _phones_in(plain: PlainText, start: int, end: int) -> Iterator[_Span]:
    """The phone numbers in a run of groups of digits: it may be one, or hold several, a time and a date."""
    data = plain.data
    for first, last in _without_dates(data, start, end):
        groups = [(first + group.start(), first + group.end()) for group in _GROUP.finditer(data[first:last])]
        at, told = 0, 0
        while at < len(groups):
            begin = groups[at][0]
            # In the midst of a longer number nothing begins, except behind a phone number or a time.
            after_time = at == 1 and data[groups[0][0] - 1 : groups[0][0]] == b":"
            counts = range(min(_GROUPS_MAX, len(groups) - at), 0, -1)
            if not (
                _is_edge(groups, at - 1) or after_time or (at == told and data[begin : begin + 1] == b"0")
            ):
                counts = range(0)
            # The longest first; a number has few groups, so that each look is a short one.
            found = (
                n
                for n in counts
                if _ends(groups, at + n - 1, data) and _is_phone(plain, begin, groups[at + n - 1][1])
            )
            count = next(found, 0)
            if count:
                yield _with_sign(data, begin), groups[at + count - 1][1]
                told = at + count
            at += count or 1


def _is_edge(groups: list[_Span], index: int) -> bool:
    """Whether what stands after this group parts numbers: the run's end, or more than one separator."""
    return not 0 <= index < len(groups) - 1 or groups[index + 1][0] - groups[index][1] > 1


def _ends(groups: list[_Span], index: int, data: bytes) -> bool:
    """Whether a number may end with this group: what follows is another one, or short ("5 times")."""
    if _is_edge(groups, index):
        return True
    begin, stop = groups[index + 1]
    return stop - begin <= 2 or data[begin : begin + 1] == b"0"


def _with_sign(data: bytes, start: int) -> int:
    """Where a number begins that may have "+" or "(" before its first digit."""
    while start > 0 and data[start - 1 : start] in (b"+", b"("):
        start -= 1
    return start


def _without_dates(data: bytes, start: int, end: int) -> Iterator[_Span]:
    """A run, parted where a date stands in it: "07700 900123 12.03.2026"."""
    run, at, position = data[start : end + 2], 0, 0
    while (match := _DATE.search(run, position)) is not None and match.end() <= end - start:
        first, last = match.span()
        position = first + 1
        before, after = run[max(0, first - 1) : first], run[last : last + 2]
        if before in (b"", b" ") and not after[:1].isdigit() and not _continues(after):
            yield start + at, start + first
            at = position = last
    yield start + at, end


def _continues(after: bytes) -> bool:
    """Whether digits go on behind a separator: "01.23.45.67.89" is no date."""
    return after[:1] in (b"-", b"/", b".") and after[1:2].isdigit()


def _is_phone(plain: PlainText, digits_start: int, end: int) -> bool:
    """International numbers are what they are; national ones as each country writes them; any other digits
    only where the words before say so. What is called an order's or a parcel's number is one."""
    data = plain.data
    start = _with_sign(data, digits_start)
    digits = len(data[start:end].translate(None, _SEPARATORS))
    if not 7 <= digits <= 17:
        return False
    if not _stands_alone(data, start, end) or data[max(0, start - 1) : start] in (b"@", b"/", b"."):
        return False
    if _continues(data[end : end + 2]) and data[end : end + 1] != b"/":
        return False
    said, before = data[start:end].decode("ascii"), plain.before(start)
    if _ABROAD.fullmatch(said.removeprefix("(")) and 8 <= digits - 2 * said.startswith("00") <= 15:
        return "+" in said or not _REFERENCE.search(before)
    if not _NATIONAL.fullmatch(said if ")" in said else said.lstrip("(")):
        # A number with decimals is none, whatever the words before it say.
        if digits > 13 or "." in said or not _CALLS.search(before):
            return False
    elif said.endswith(("000 000", "000.000", "000-000")) or (
        said.lstrip("(")[0] == "0" and not 9 <= digits <= 12
    ):
        return False  # an amount, or too many digits for a number at home
    return not (_REFERENCE.search(before) or _MONEY.match(plain.after(end)) or before.rstrip()[-1:] == "$")


def _addresses(plain: PlainText) -> Iterator[_Span]:
    for expression in (*_ADDRESSES_EN, *_ADDRESSES_DE, *_ADDRESSES_FR, *_ADDRESSES_ES):
        yield from _find(expression, plain, lambda start, end: _address(plain, start, end))
    yield from _find(_ADDRESS_EN_MAYBE, plain, lambda start, end: _maybe_address(plain, start, end))
    yield from _find(_ADDRESS_DE_MAYBE, plain, lambda start, end: _maybe_german_address(plain, start, end))


def _address(plain: PlainText, start: int, end: int) -> _Span | None:
    data = plain.data
    if not _stands_alone(data, start, end) or data[max(0, start - 1) : start] in (b"@", b"#", b"/"):
        return None
    said = data[start:end].decode("ascii")
    if _REFERENCE.search(plain.before(start)) or (said[-1:].isdigit() and _UNITS.match(plain.after(end))):
        return None
    # Small words are weighed only up to the number or the street's own word, not in the town that follows.
    words = re.findall(r"\b[A-Za-z][A-Za-z']*", re.split(r"[,\n]", said)[0])
    small = [word for word in words[:4] if word[0].islower()]
    return None if any(word in _NO_STREET for word in small) else (start, end)


def _maybe_address(plain: PlainText, start: int, end: int) -> _Span | None:
    """Names such as "2 Disney Park": an address only where something leads to one, or a town follows."""
    span = _address(plain, start, end)
    if span is None:
        return None
    said = plain.data[start:end].decode("ascii")
    before, after = plain.before(start), plain.after(end)
    ends = re.match(r"[,.;!?\n]|$", after) is not None
    known = (
        re.search(r" .*\d", said) is not None  # a flat or a town's code
        or _LEADS_TO_ADDRESS.search(before) is not None
        or (ends and re.search(r"(?:^|[\n:,;])[ ]*$", before) is not None)
    )
    return span if known and not re.match(r"[ -]?thr", after, re.IGNORECASE) else None


def _maybe_german_address(plain: PlainText, start: int, end: int) -> _Span | None:
    """Names such as "Lange Strasse 5": an address unless the first word is no name, or a noun follows."""
    first = plain.data[start:end].split(b" ", 1)[0].decode("ascii").lower()
    counted = re.match(r" [A-Z][a-z]", plain.after(end)) is not None and b"," not in plain.data[start:end]
    return None if first in _NO_NAME_DE or counted else _address(plain, start, end)


_FINDERS: tuple[tuple[Private | None, Callable[[PlainText], Iterator[_Span]]], ...] = (
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
