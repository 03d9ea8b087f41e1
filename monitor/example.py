"""An invented public complaint, taken in as a real one would be: what `alerts route` and `alerts preview`
show to somebody who has no case at hand. It lives in a store of its own, which is gone afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from connectors.contract import Page
from monitor.config import Config
from monitor.ingest import Arrival, ingest
from monitor.policy import Policy
from monitor.store.cases import Row
from monitor.store.store import Store, open_store
from rules.message import Author, Kind, Message

CUSTOMER = Author("example-customer", "example_customer", name="Example Customer", followers=1234)
TEXT = (
    "{handle} my order has not arrived for two weeks and nobody answers me. This is unacceptable, "
    "I want a refund!"
)
ANSWERED_AFTER = timedelta(minutes=12)


@contextmanager
def invented_case(
    config: Config, policy: Policy, now: datetime, *, answered: bool = False
) -> Iterator[tuple[Store, Row]]:
    """A store with one case, written `now` to the first account of the config; `answered`: 12 minutes later.

    Raises LookupError where the config has no account that a public post could be written to.
    """
    account = next(iter(config.accounts()), None)
    if account is None:
        raise LookupError("the config has no account that somebody could write to")
    where = (account.brand, account.connector)
    now = now.replace(microsecond=0)
    asked = Message(
        *where,
        id="example-1",
        conversation="example-1",
        author=CUSTOMER,
        text=TEXT.format(handle=f"@{account.handle}"),
        created_at=now,
        handles=(account.handle,),
        account=account.label,
        kind=Kind.POST,
        url="https://example.com/example_customer/1",
    )
    reply = Message(
        *where,
        id="example-2",
        conversation="example-1",
        author=Author(account.handle, account.handle, brand=True),
        text="We are sorry, and look into it at once.",
        created_at=now + ANSWERED_AFTER,
        parent="example-1",
        account=account.label,
        kind=Kind.POST,
    )
    with TemporaryDirectory(prefix="response-monitor-") as folder:
        store = open_store(Path(folder) / "example.db")
        try:
            for message in (asked, reply) if answered else (asked,):
                arrival = Arrival(*where, account.label, "an example", Page((message,), {}))
                ingest(store, policy, arrival, message.created_at)
            yield store, next(iter(store.cases.everything()))
        finally:
            store.close()
