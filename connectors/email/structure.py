"""What a server's FETCH answer says: its parentheses as lists, and which parts a mail has. Pure.

Sources: RFC 9051 and RFC 3501, 7.4.2 (FETCH, BODYSTRUCTURE), 9 (formal syntax). The lines come as imaplib
hands them over: bytes, with each literal beside the line that announced it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

DEPTH_MAX = 100
PARTS_MAX = 200
NAME_LENGTH_MAX = 200
PIECES_MAX = 20

_TOKEN = re.compile(rb'\s*(?:([()])|"((?:[^"\\]|\\.)*+)"|([^\s()"\[]*\[[^\]]*\](?:<\d+>)?|[^\s()"]+))')
_LITERAL = re.compile(rb"\{\d+\+?\}$")
_ATOM_NUMBER = re.compile(rb"\d{1,18}")

Piece = bytes | tuple[bytes, bytes]


class Unreadable(Exception):
    """Why an answer, or one mail, could not be understood."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a mail that is no container: its number as FETCH wants it, its type ("text/plain"), in which
    charset and encoding it comes, how many bytes it has, and its file's name as it is written there."""

    number: str
    type: str
    charset: str
    encoding: str
    size: int
    name: str | None
    attached: bool


def answers(pieces: Iterable[Piece | None]) -> Iterator[Sequence[Piece]]:
    """The answers to one command, each with its literals."""
    one: list[Piece] = []
    for piece in pieces:
        if piece is None:
            continue
        one.append(piece)
        if not isinstance(piece, tuple):
            yield one
            one = []
    if one:
        yield one


def read_fetch(answer: Sequence[Piece]) -> Mapping[str, Any]:
    """One FETCH answer: what was asked for (upper case) → its value: bytes, a list of values, or None for
    NIL. Raises Unreadable."""
    values = _read(answer)
    if not values or not isinstance(values[-1], list):
        raise Unreadable("an answer without its parentheses")
    flat = values[-1]
    found: dict[str, Any] = {}
    for name, value in zip(flat[::2], flat[1::2], strict=False):
        if isinstance(name, bytes):
            found[name.decode("ascii", "replace").upper()] = value
    return found


def _read(answer: Sequence[Piece]) -> list[Any]:
    """The values of an answer, nested as its parentheses are."""
    top: list[Any] = []
    stack = [top]
    for piece in answer:
        line, literal = piece if isinstance(piece, tuple) else (piece, None)
        if literal is not None:
            line = _LITERAL.sub(b"", line)
        at = 0
        while (token := _TOKEN.match(line, at)) is not None:
            at = token.end()
            bracket, quoted, atom = token.groups()
            if bracket == b"(":
                if len(stack) > DEPTH_MAX:
                    raise Unreadable("parentheses nested too deep")
                inner: list[Any] = []
                stack[-1].append(inner)
                stack.append(inner)
            elif bracket == b")":
                if len(stack) == 1:
                    raise Unreadable("a parenthesis too many")
                stack.pop()
            elif quoted is not None:
                stack[-1].append(re.sub(rb"\\(.)", rb"\1", quoted) if b"\\" in quoted else quoted)
            else:
                stack[-1].append(None if atom.upper() == b"NIL" else atom)
        if line[at:].strip():
            raise Unreadable("a quoted text without its end")
        if literal is not None:
            stack[-1].append(literal)
    if len(stack) > 1:
        raise Unreadable("an answer that breaks off")
    return top


def parts_of(structure: Any) -> list[Part]:
    """The parts of a BODYSTRUCTURE that are no containers, in their order; at most 200, whatever there is.
    A mail that is attached is one part. Raises Unreadable."""
    if not isinstance(structure, list) or not structure:
        raise Unreadable("no BODYSTRUCTURE")
    found: list[Part] = []
    # A single part is numbered 1; those of a container by their place in it.
    waiting = [("" if isinstance(structure[0], list) else "1", structure)]
    while waiting and len(found) < PARTS_MAX:
        number, node = waiting.pop()
        if isinstance(node[0], list):
            inner: list[tuple[str, list[Any]]] = []
            for child in node:
                if not isinstance(child, list):
                    break
                if child:
                    inner.append((f"{number}.{len(inner) + 1}" if number else str(len(inner) + 1), child))
            waiting += reversed(inner[:PARTS_MAX])
        else:
            found.append(_part(number, node))
    return found


def _part(number: str, node: list[Any]) -> Part:
    """body-type-1part: type, subtype, parameters, id, description, encoding, octets, and then by type (lines
    of a text; envelope, structure and lines of a mail), MD5, disposition."""
    if len(node) < 7:
        raise Unreadable("a part that says too little of itself")
    main, sub = _word(node[0]), _word(node[1])
    parameters = _pairs(node[2])
    after = 8 if main == "text" else 10 if (main, sub) == ("message", "rfc822") else 7
    disposition = node[after + 1] if len(node) > after + 1 else None
    kind, more = "", {}
    if isinstance(disposition, list) and disposition:
        kind = _word(disposition[0])
        more = _pairs(disposition[1] if len(disposition) > 1 else None)
    name = _file_name(more, "filename") or _file_name(parameters, "name")
    size = node[6]
    return Part(
        number=number,
        type=f"{main}/{sub}",
        charset=_word(parameters.get("charset")),
        encoding=_word(node[5]),
        size=int(size) if isinstance(size, bytes) and _ATOM_NUMBER.fullmatch(size) else 0,
        name=name,
        # A text with a name is a file, unless it is all there is or stands first.
        attached=kind == "attachment" or main != "text" or (name is not None and number != "1"),
    )


def _file_name(pairs: Mapping[str, bytes], key: str) -> str | None:
    """A parameter's value as RFC 2231 writes it: plain, or with its charset and percent signs ("name*"), and
    perhaps in pieces ("name*0*", "name*1*")."""
    whole = pairs.get(key)
    if whole is not None:
        return whole[:NAME_LENGTH_MAX].decode("utf-8", "replace")
    pieces = [pairs[f"{key}*"]] if f"{key}*" in pairs else []
    for number in range(PIECES_MAX if not pieces else 0):
        piece = pairs.get(f"{key}*{number}", pairs.get(f"{key}*{number}*"))
        if piece is None:
            break
        pieces.append(piece)
    if not pieces:
        return None
    said = b"".join(pieces)[: 3 * NAME_LENGTH_MAX]
    charset, mark, rest = said.partition(b"'")
    if not mark or b"'" not in rest:
        return said.decode("utf-8", "replace")[:NAME_LENGTH_MAX]
    raw = unquote_to_bytes(rest.partition(b"'")[2])
    try:
        return raw.decode(charset.decode("ascii", "replace") or "utf-8", "replace")[:NAME_LENGTH_MAX]
    except (LookupError, ValueError, TypeError):
        return raw.decode("utf-8", "replace")[:NAME_LENGTH_MAX]


def _word(value: Any) -> str:
    return value.decode("ascii", "replace").lower()[:NAME_LENGTH_MAX] if isinstance(value, bytes) else ""


def _pairs(value: Any) -> dict[str, bytes]:
    """A parenthesized list of names and values."""
    if not isinstance(value, list):
        return {}
    pairs = zip(value[::2], value[1::2], strict=False)
    return {_word(name): said for name, said in pairs if isinstance(said, bytes)}
