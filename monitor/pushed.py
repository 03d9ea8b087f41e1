"""What platforms push: checked by the connector, committed by the core, answered only then.

What may live here: what becomes of a delivery, and what its sender is told. A sender that is told anything
but a success sends it again, and what comes twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import TimeoutError as TookTooLong
from dataclasses import dataclass
from datetime import datetime

import structlog

from connectors.contract import Connector, Delivery, Received, Receiving
from monitor.core import Core
from monitor.ingest import Arrival, ingest
from monitor.poll import StreamRef, prepare
from monitor.store.database import StoreError
from monitor.store.store import Store
from wire.errors import EdgeError, Malformed, NotAllowed, Refused
from wire.redact import inert
from wire.secret import SecretMissing

COMMIT_SECONDS_MAX = 10.0
"""A store that takes longer is in trouble: the sender is asked to come again."""

RETRY_SECONDS = 30
SAID_LENGTH_MAX = 300
_STATUSES: Mapping[type[EdgeError], int] = {NotAllowed: 401, Malformed: 400, Refused: 422}

log = structlog.get_logger()


AccountKey = tuple[str, str, str]
"""Brand, connector, account."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the sender of a delivery is told. `retry_seconds`: when to send it again."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    retry_seconds: int | None = None


class Deliveries:
    """The addresses of the accounts to which something can be pushed. Any thread may deliver.

    `noted(key, outcome)` is told of each: "accepted", "forged", "malformed", "refused" or "failed".
    """

    def __init__(
        self,
        connectors: Mapping[AccountKey, Connector],
        core: Core,
        now: Callable[[], datetime],
        noted: Callable[[AccountKey, str], None],
        commit_seconds: float = COMMIT_SECONDS_MAX,
    ) -> None:
        self._receiving = {key: c for key, c in connectors.items() if isinstance(c, Receiving)}
        self._core = core
        self._now = now
        self._noted = noted
        self._commit_seconds = commit_seconds

    def deliver(self, key: AccountKey, delivery: Delivery) -> Answer:
        """Take in what was sent. Never raises."""
        connector = self._receiving.get(key)
        if connector is None:
            return Answer(404)
        try:
            received = connector.receive(delivery)
        except (EdgeError, SecretMissing) as error:
            status = 503 if isinstance(error, SecretMissing) else _STATUSES.get(type(error), 503)
            outcome = {401: "forged", 400: "malformed", 422: "refused"}.get(status, "failed")
            return self._not_taken(key, outcome, status, str(error))
        except Exception as error:
            # A connector that breaks its contract: nothing was kept, and the type is enough to find it.
            return self._not_taken(key, "failed", 500, f"the connector failed with {type(error).__name__}")
        try:
            self._core.ask(lambda store: self._keep(store, key, connector, received)).result(
                self._commit_seconds
            )
        except (StoreError, TookTooLong, RuntimeError) as error:
            return self._not_taken(key, "failed", 503, f"not stored: {error or type(error).__name__}")
        self._noted(key, "accepted")
        return Answer(received.status, received.answer, received.content_type)

    def _keep(self, store: Store, key: AccountKey, connector: Connector, received: Received) -> None:
        """Each page in a transaction of its own: what is sent again because a later one failed is there."""
        now = self._now()
        for name, page in received.pages.items():
            stream = next(stream for stream in connector.streams if stream.name == name)
            row = prepare(store, StreamRef(*key, stream), now)
            # Where the stream stands does not change: it is told by being asked.
            source = f"{row.account}/{name} pushed"
            ingest(store, self._core.policy, Arrival(*key, source, page, quiet_before=row.first_mark), now)

    def _not_taken(self, key: AccountKey, outcome: str, status: int, why: str) -> Answer:
        self._noted(key, outcome)
        said = inert(why, SAID_LENGTH_MAX)
        log.warning("delivery not taken", account="/".join(key), outcome=outcome, error=said)
        # Who cannot prove to be the platform is told nothing but that.
        body = b"" if status in (401, 500, 503) else f"{said}\n".encode()
        return Answer(status, body, retry_seconds=RETRY_SECONDS if status == 503 else None)
