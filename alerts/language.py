"""How a moment, a wait and a number are written in the team's language.

What may live here: dates, times, durations and numbers. "en" is the house's own form, which is short and
reads the same everywhere: a 24-hour clock, "Mon 02 Nov 13:00 CET", "2 h 05 min". Every other language is
written as the Unicode CLDR has it, by Babel, which is imported only then.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from wire.durations import say_duration

if TYPE_CHECKING:
    from babel import Locale

OURS = "en"
_EXAMPLES = 'expected a language such as "en", "en-US", "de" or "pt-BR"'


class Language:
    """A language by its tag ("de", "pt-BR"). Raises ValueError where nothing is known of it."""

    def __init__(self, tag: str = OURS) -> None:
        self._locale = None if tag == OURS else _locale(tag)

    def when(self, at: datetime, zone: ZoneInfo) -> str:
        """Day, time and zone: "Mon 02 Nov 13:00 CET"."""
        local = at.astimezone(zone)
        if self._locale is None:
            return f"{local:%a %d %b %H:%M %Z}"
        from babel.dates import format_skeleton, format_time, get_timezone_name

        day = format_skeleton("MMMEd", local, locale=self._locale)
        time = format_time(local, "short", tzinfo=zone, locale=self._locale)
        name = get_timezone_name(local, "short", locale=self._locale)
        # Where the language has no short name for it, "CET" says more than "+0100".
        return f"{day} {time} {f'{local:%Z}' if name[:1] in '+-' else name}"

    def clock(self, at: datetime, zone: ZoneInfo) -> str:
        """The time of day: "13:00"."""
        local = at.astimezone(zone)
        if self._locale is None:
            return f"{local:%H:%M}"
        from babel.dates import format_time

        return str(format_time(local, "short", tzinfo=zone, locale=self._locale))

    def weekday(self, at: datetime, zone: ZoneInfo) -> str:
        """The day of the week and the time: "Mon 13:00"."""
        local = at.astimezone(zone)
        if self._locale is None:
            return f"{local:%a %H:%M}"
        from babel.dates import format_date

        return f"{format_date(local, 'EEE', locale=self._locale)} {self.clock(at, zone)}"

    def duration(self, wait: timedelta | float) -> str:
        """A wait, or seconds, in at most two units: "40 s", "12 min", "2 h 05 min", "3 d 4 h". Never
        negative."""
        seconds = wait.total_seconds() if isinstance(wait, timedelta) else wait
        if self._locale is None:
            return say_duration(seconds)
        from babel.units import format_unit

        parts = _parts(seconds)
        return " ".join(format_unit(n, f"duration-{unit}", "short", locale=self._locale) for n, unit in parts)

    def number(self, number: float) -> str:
        """A number with the marks of thousands, and at most one decimal: "5,600"."""
        rounded = round(number, 1)
        if self._locale is None:
            return f"{rounded:,g}" if isinstance(rounded, float) else f"{rounded:,}"
        from babel.numbers import format_decimal

        return str(format_decimal(rounded, locale=self._locale))


def check_language(tag: str) -> str:
    """The tag as it is. Raises ValueError where nothing is known of the language."""
    Language(tag)
    return tag


def _locale(tag: str) -> Locale:
    from babel import Locale, UnknownLocaleError

    try:
        return Locale.parse(tag.replace("_", "-"), sep="-")
    except (UnknownLocaleError, ValueError):
        raise ValueError(_EXAMPLES) from None


def _parts(seconds: float) -> list[tuple[int, str]]:
    """The one or two units that say most, as `say_duration` picks them."""
    whole = max(0, int(seconds))
    if whole < 60:
        return [(whole, "second")]
    if whole < 3600:
        return [(whole // 60, "minute")]
    hours, minutes = divmod(whole // 60, 60)
    two = [(hours, "hour"), (minutes, "minute")]
    if hours >= 48:
        two = [(hours // 24, "day"), (hours % 24, "hour")]
    return two if two[1][0] else two[:1]
