"""Who and what is muted: authors and phrases that nobody is alerted about, by an operator's word or by the
config. What may live here: finding the mutes that a case falls under, and when it is to be looked at again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

import re2

from monitor.store.cases import Mute
from monitor.store.cases import Row as CaseRow
from monitor.store.store import Reader
from rules.case import Clock

AUTHOR, PHRASE = "author", "phrase"
BY_CONFIG = "the config"
"""Who muted what stands in [alerts]: it holds as long as it stands there."""


class Mutes:
    """Those that hold now, ready to be asked of many cases."""

    def __init__(self, mutes: Sequence[Mute]) -> None:
        self._mutes = tuple(mutes)

    @cached_property
    def _any_phrase(self) -> Any:
        """A matcher for all muted phrases at once, whatever their case: most texts hold none."""
        phrases = [re2.escape(m.value) for m in self._mutes if m.what == PHRASE]
        return re2.compile("(?i)" + "|".join(phrases)) if phrases else None

    def of(self, reader: Reader, row: CaseRow) -> tuple[Mute, ...]:
        """Those that the case falls under: its author's, and those of phrases in what waits for an answer."""
        if not self._mutes:
            return ()
        case = row.case
        mine = [m for m in self._mutes if m.brand in ("", case.place.brand)]
        names = {case.place.customer.lower(), (case.customer_handle or "").lower()}
        found = [m for m in mine if m.what == AUTHOR and plain_author(m.value) in names]
        if self._any_phrase is not None:
            message = reader.messages(row.scope).read(case.waiting_message_id or case.first_message_id)
            if message is not None and self._any_phrase.search(message.text):
                found += [m for m in mine if m.what == PHRASE and _holds(message.text, m.value)]
        return tuple(found)


def plain_author(name: str) -> str:
    """An author's id or handle, as mutes are compared."""
    return name.strip().lower().removeprefix("@")


def is_same(one: Mute, other: Mute) -> bool:
    """Whether two mutes are of the same author or phrase, of the same brand."""
    if (one.brand, one.what) != (other.brand, other.what):
        return False
    if one.what == AUTHOR:
        return plain_author(one.value) == plain_author(other.value)
    return one.value.casefold() == other.value.casefold()


def why_muted(mutes: Sequence[Mute]) -> str | None:
    """Why nobody is alerted, in words; None where nothing is muted."""
    if not mutes:
        return None
    first = mutes[0]
    return f"the author, by {first.who}" if first.what == AUTHOR else f"a phrase in it, by {first.who}"


def muted_until(mutes: Sequence[Mute]) -> datetime | None:
    """When the last of these ends; None: never, or there are none."""
    ends = [m.until for m in mutes]
    known = [end for end in ends if end is not None]
    return max(known) if known and len(known) == len(ends) else None


def kept_back(clocks: Sequence[Clock], now: datetime) -> tuple[list[Clock], datetime | None]:
    """The clocks of which people would have been told by now, and when they would be of the next one. What is
    over its first stage is counted once."""
    first = [(c, c.warnings[0][1] if c.warnings else c.due_at) for c in clocks]
    known = [(c, at) for c, at in first if at is not None]
    return [c for c, at in known if at <= now], min((at for _, at in known if at > now), default=None)


def _holds(text: str, phrase: str) -> bool:
    return re2.search("(?i)" + re2.escape(phrase), text) is not None
