"""What somebody wrote in a mail: the words of its text or HTML, without what they quote or sign with. Pure.

It is cut conservatively: what cannot be told from the writer's own words stays. Sources: RFC 3676 (4.3: "-- "
before a signature; 4.5: ">" before a quoted line), and the lines that Outlook, Gmail, Apple Mail and
Thunderbird put above what they quote.
"""

from __future__ import annotations

import base64
import quopri
import re
from html import unescape

TEXT_LENGTH_MAX = 20_000
_LINE_LENGTH_MAX = 500
_SIGNATURE_LINES_MAX = 15
_BLANKS = re.compile(r"\s+")
_EMPTY_LINES = re.compile(r"\n{3,}")
_RULE = re.compile(r"_{20,}")
_RAW = {tag: re.compile(rf"</{tag}[^<>]*+>", re.I) for tag in ("script", "style", "title", "template")}
_MARK = re.compile(r"<(?:!--|(/?)([A-Za-z][A-Za-z0-9]{0,20})\b([^<>]*+)>|[!?/][^<>]*+>)")
_ATTRIBUTE = re.compile(r"""\b(class|id|style)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.I)
_VOID = frozenset(("br", "hr", "img", "meta", "link", "input", "wbr", "area", "base", "col", "source"))
_BREAKS = frozenset(
    "p div br tr li ul ol table h1 h2 h3 h4 h5 h6 hr pre section article header footer".split()
)
_QUOTES = re.compile(r"gmail_quote|gmail_attr|yahoo_quoted|moz-cite-prefix|protonmail_quote|gmail_signature")
_QUOTE_IDS = frozenset(("appendonsend", "divrplyfwdmsg", "mail-editor-reference-message-container"))

_ATTRIBUTION = re.compile(
    r"(?:On|Am|Le|El|Il|Op|Em|Den|Dnia|W dniu)\b.{6,300}"
    r"(?:wrote|schrieb|écrit|escribió|scritto|schreef|escreveu|skrev|napisał)\b.{0,80}:\s*$",
    re.I,
)
_SEPARATOR = re.compile(
    r"(?:-{2,}\s*(?:Original Message|Ursprüngliche Nachricht|Message d'origine|Mensaje original|"
    r"Messaggio originale|Oorspronkelijk bericht|Mensagem original)\s*-{2,})\s*$",
    re.I,
)
_HEADING = re.compile(r"\*?(?:From|Von|De|Da|Van)\s*:\*?\s.{3,}", re.I)
_HEADING_NEXT = re.compile(
    r"\*?(?:Sent|Date|To|Subject|Gesendet|Datum|An|Betreff|Envoyé|À|Objet|Enviado|Para|Asunto|Inviato|A|Oggetto|"
    r"Verzonden|Aan|Onderwerp|Assunto)\s*:\*?\s",
    re.I,
)
_PHONE = re.compile(
    r"(?:Sent from my \w|Sent from Outlook|Get Outlook for |Von meinem \w+ gesendet|Envoyé de mon \w|"
    r"Enviado desde mi \w|Inviato da(?:l mio)? \w|Verzonden vanaf mijn \w|Enviado do meu \w).{0,60}$",
    re.I,
)


def decoded(raw: bytes, encoding: str, charset: str) -> str:
    """A part's text. What is cut off, wrongly encoded or in a charset that nobody knows costs its letters at
    most, never the mail."""
    if encoding == "base64":
        letters = re.sub(rb"[^A-Za-z0-9+/]", b"", raw)
        whole = len(letters) - (len(letters) % 4 == 1)  # one letter alone says nothing
        raw = base64.b64decode(letters[:whole] + b"=" * (-whole % 4))
    elif encoding == "quoted-printable":
        raw = quopri.decodestring(raw)
    if charset in ("", "us-ascii", "ascii", "utf-8", "utf8", "unknown-8bit"):
        try:
            return _clean(raw.decode("utf-8"))
        except UnicodeDecodeError as error:
            if error.start < len(raw) - 3:  # and not only cut off within its last letter
                charset = "windows-1252" if charset not in ("utf-8", "utf8") else "utf-8"
    try:
        return _clean(raw.decode(charset or "utf-8", "replace"))
    except (LookupError, ValueError, TypeError):  # not a charset, or a codec that makes no text
        return _clean(raw.decode("utf-8", "replace"))


def _clean(text: str) -> str:
    """The text without what no database holds: NUL, and halves of surrogate pairs."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    return text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")


def from_html(html: str) -> str:
    """The words of HTML, a line a block, without what mail programs mark as quoted; all of them where
    nothing else would be left."""
    return _words_of(html, False) or _words_of(html, True)


def _words_of(html: str, quoted_too: bool) -> str:
    """The words between the tags, in time that grows with the length alone (html.parser's grows with its
    square where tags are left open). An attribute that holds an angle bracket ends its tag there."""
    said: list[str] = []
    skipped, depth, at = "", 0, 0
    while (mark := _MARK.search(html, at)) is not None:
        if not skipped:
            said.append(_unescaped(html[at : mark.start()]))
        at = mark.end()
        slash, tag, attributes = mark[1], (mark[2] or "").lower(), mark[3] or ""
        if mark[0] == "<!--":
            end = html.find("-->", at)
            at = len(html) if end < 0 else end + 3
        elif tag in _RAW and not slash:
            close = _RAW[tag].search(html, at)
            at = len(html) if close is None else close.end()
        elif skipped:
            depth += 0 if tag != skipped else -1 if slash else 1
            skipped = skipped if depth else ""
        elif tag in _BREAKS:
            said.append("\n")
        if tag and not (slash or skipped or tag in _VOID) and _is_aside(tag, attributes, quoted_too):
            skipped, depth = tag, 1
    if not skipped:
        said.append(_unescaped(html[at:]))
    lines = (_BLANKS.sub(" ", line).strip() for line in "".join(said).split("\n"))
    return _EMPTY_LINES.sub("\n\n", "\n".join(lines)).strip()


def _unescaped(data: str) -> str:
    """Text between tags, on one line, without entities."""
    data = _BLANKS.sub(" ", data)
    try:
        return unescape(data) if "&" in data else data
    except ValueError:  # a reference to a letter whose number has thousands of digits
        return data


def _is_aside(tag: str, attributes: str, quoted_too: bool) -> bool:
    """Whether what this tag begins is hidden, or quoted."""
    given = {m[1].lower(): m[2] or m[3] or m[4] or "" for m in _ATTRIBUTE.finditer(attributes[:2000])}
    if "display:none" in given.get("style", "").replace(" ", "").lower():
        return True
    if quoted_too:
        return False
    cited = tag == "blockquote" or _QUOTES.search(given.get("class", "")) is not None
    return cited or given.get("id", "").lower() in _QUOTE_IDS


def own_words(text: str) -> str:
    """What the writer wrote: without the mail that they answer, without the signature. All of it where
    nothing would be left. At most 20,000 characters."""
    lines = [line.strip() for line in text.split("\n")]
    quoted = [number for number, line in enumerate(lines) if line.startswith(">")]
    worded = [number for number, line in enumerate(lines) if line and not line.startswith(">")]
    last_quoted, last_worded = max(quoted, default=-1), max(worded, default=-1)
    kept: list[str] = []
    passed = 0
    for number, line in enumerate(lines):
        if number < passed:
            continue
        if line == "--" and len(lines) - number <= _SIGNATURE_LINES_MAX:
            break
        short = line[:_LINE_LENGTH_MAX]
        if _SEPARATOR.match(short):
            break
        following = next((n for n in lines[number + 1 : number + 4] if n), "")[:_LINE_LENGTH_MAX]
        if _HEADING.match(short) and _HEADING_NEXT.match(following):
            break
        introduced = _introduced_in(short, lines, number)
        if introduced:
            if last_worded < last_quoted or last_quoted < number:
                break
            passed = number + introduced  # Somebody who answers below the question goes on after it.
            continue
        if not (line.startswith(">") or _RULE.fullmatch(short) or _PHONE.match(short)):
            kept.append(line)
    own = _EMPTY_LINES.sub("\n\n", "\n".join(kept)).strip()
    return (own or text.strip())[:TEXT_LENGTH_MAX]


def _introduced_in(short: str, lines: list[str], number: int) -> int:
    """In how many lines a quotation is introduced here ("On … wrote:", perhaps over two), if at all: what
    follows is marked as quoted, or nothing follows, since it was marked in the HTML."""
    rest = lines[number + 1 : number + 5]
    over = 1
    if not _ATTRIBUTION.match(short):
        if not rest or not _ATTRIBUTION.match(f"{short} {rest[0][:_LINE_LENGTH_MAX]}"):
            return 0
        over = 2
    following = next((line for line in rest[over - 1 :] if line), "")
    return over if not following or following.startswith(">") else 0
