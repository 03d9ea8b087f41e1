"""The one error vocabulary of both edges: each type says what the caller can do about it.

Their texts are shown to operators and logged, so they never hold a secret, a token or a DM's text.
"""

from __future__ import annotations

from datetime import datetime


class EdgeError(Exception):
    """Anything that went wrong between us and the outside."""


class RetryAt(EdgeError):
    """It may go through later: a rate limit, a time-out, a 5xx, a dropped connection.

    `at` is the time before which trying again is pointless or rude (None: the caller's own backoff
    decides). `limited` tells a rate limit, which is nobody's fault, from a failure. `accepted_unknown`
    is True where the other side may have taken the request before the line broke.
    """

    def __init__(
        self,
        reason: str,
        *,
        at: datetime | None = None,
        limited: bool = False,
        accepted_unknown: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.at = at
        self.limited = limited
        self.accepted_unknown = accepted_unknown


class Refused(EdgeError):
    """The other side understood and said no, and will say no again: trying again changes nothing."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotAllowed(EdgeError):
    """A credential or a permission is missing, wrong or expired: a person must act. `missing` names what."""

    def __init__(self, missing: str) -> None:
        super().__init__(missing)
        self.missing = missing


class Malformed(EdgeError):
    """The answer could not be understood (HTML instead of JSON, a truncated body). `what` names what."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what
