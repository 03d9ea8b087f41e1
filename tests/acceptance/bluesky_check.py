"""The Bluesky connector against a real PDS and AppView, whose address is given; run by bluesky.sh.

Accounts are made and posts written over the same XRPC that an app uses; what the connector hands over is
compared with what was written.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connectors.bluesky import BlueskyConnector, Settings, build
from connectors.contract import Cursor, Page, Surroundings
from rules.message import Message
from wire.errors import EdgeError
from wire.http import HttpClient, HttpOptions

SECONDS_MAX = 30.0
PASSWORD = "a-long-password-of-a-test"


class Account:
    """Somebody with an account on the server, writing as an app does."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._client = HttpClient(HttpOptions())
        self._token = ""
        self.handle = f"{name}.test"
        given = {"handle": self.handle, "email": f"{name}@example.test", "password": PASSWORD}
        made = self.call("com.atproto.server.createAccount", given)
        self.did, self._token = made["did"], made["accessJwt"]

    def call(self, method: str, body: Any) -> Any:
        """A procedure of the server. Raises RuntimeError where it fails."""
        headers = {"authorization": f"Bearer {self._token}"} if self._token else {}
        reply = self._client.request(
            "POST", f"{self._url}/xrpc/{method}", headers=headers, json=body, time_limit=20
        )
        if reply.status != 200:
            raise RuntimeError(f"{method} was answered with {reply.status}: {reply.body[:300]!r}")
        return json.loads(reply.body or b"null")

    def write(self, text: str, *, on: dict[str, Any] | None = None, **record: Any) -> dict[str, Any]:
        """A post, or a reply to one. Gives its reference, and under "root" that of its thread."""
        record |= {"$type": "app.bsky.feed.post", "text": text}
        record.setdefault("createdAt", datetime.now(UTC).isoformat().replace("+00:00", "Z"))
        if on is not None:
            record["reply"] = {"root": on["root"], "parent": {"uri": on["uri"], "cid": on["cid"]}}
        made = self.call(
            "com.atproto.repo.createRecord",
            {"repo": self.did, "collection": "app.bsky.feed.post", "record": record},
        )
        ref = {"uri": made["uri"], "cid": made["cid"]}
        return {**ref, "root": ref if on is None else on["root"]}

    def mention(self, who: Account, text: str, **record: Any) -> dict[str, Any]:
        """A post that begins with somebody's handle."""
        named = f"@{who.handle}"
        facet = {
            "index": {"byteStart": 0, "byteEnd": len(named)},
            "features": [{"$type": "app.bsky.richtext.facet#mention", "did": who.did}],
        }
        return self.write(f"{named} {text}", facets=[facet], **record)

    def delete(self, uri: str) -> None:
        """Take a post back."""
        key = uri.rpartition("/")[2]
        self.call(
            "com.atproto.repo.deleteRecord",
            {"repo": self.did, "collection": "app.bsky.feed.post", "rkey": key},
        )


class Heard:
    """What the connector handed over so far, stream by stream, with a new connector for every page."""

    def __init__(self, make: Callable[[], BlueskyConnector]) -> None:
        self._make = make
        self._cursors: dict[str, Cursor] = {}
        self.messages: dict[str, dict[str, Message]] = {}

    def poll(self, stream: str) -> None:
        """Read a stream to its end."""
        for _ in range(20):
            page: Page = self._make().poll(stream, self._cursors.get(stream), 10)
            self._cursors[stream] = json.loads(json.dumps(page.cursor))
            known = self.messages.setdefault(stream, {})
            known.update({m.id: m for m in page.messages})
            assert not page.rejected and page.gap is None, (page.rejected, page.gap)
            if not page.has_more:
                return
        raise AssertionError(f"{stream} never came to its end")

    def wait(self, stream: str, uri: str) -> Message:
        """That post, when the stream brings it."""
        began = time.monotonic()
        while time.monotonic() - began < SECONDS_MAX:
            self.poll(stream)
            if uri in self.messages[stream]:
                print(f"  {stream}: after {time.monotonic() - began:.1f} s")
                return self.messages[stream][uri]
            time.sleep(0.2)
        raise AssertionError(f"{stream} never brought {uri}")


def connector(url: str, brand: Account, password: str) -> BlueskyConnector:
    """The connector as a config would build it."""
    os.environ["BLUESKY_CHECK_PASSWORD"] = password
    given = {"handle": brand.handle, "app_password": {"env": "BLUESKY_CHECK_PASSWORD"}, "api_url": url}
    return build(
        Settings.model_validate(given),
        Surroundings(
            brand="acme",
            account=brand.handle,
            keywords=("kettlewerk",),
            brand_handles=frozenset({brand.handle}),
            clock=lambda: datetime.now(UTC),
            state_folder=Path(),
            http=HttpOptions(),
            look_back_seconds=3600,
        ),
    )


def check(url: str) -> None:
    """The whole exchange. Raises AssertionError where the connector saw something else than was written."""
    brand, ann, bo = (Account(url, name) for name in ("acmehelp", "annie", "bobby"))
    password = brand.call("com.atproto.server.createAppPassword", {"name": "monitor"})["password"]
    kept = connector(url, brand, password)
    heard = Heard(lambda: kept)
    who = kept.identify(10)
    assert (who.id, who.handle) == (brand.did, brand.handle)
    # There is no chat service in this network: that is said, and hinders nothing else.
    assert any(note.startswith("direct messages could not be asked for") for note in who.notes), who

    asked = ann.mention(brand, "my kettle leaks", langs=["en"])
    message = heard.wait("notifications", asked["uri"])
    assert message.inbound and message.handles == (brand.handle,) and message.language == "en"
    assert message.author.id == ann.did and message.author.handle == ann.handle
    heard.wait("search", asked["uri"])

    named = bo.write("a kettlewerk pot burnt my hand")  # this network's search knows no phrases
    heard.wait("search", named["uri"])

    answer = brand.write("we are sorry", on=asked)
    seen = heard.wait("own", answer["uri"])
    assert not seen.inbound and (seen.parent, seen.conversation) == (asked["uri"], asked["uri"])
    assert seen.to == (ann.did,)

    again = ann.write("still leaks", on=answer)
    reply = heard.wait("notifications", again["uri"])
    assert (reply.parent, reply.conversation) == (answer["uri"], asked["uri"])

    quote = bo.write(
        "look at this",
        embed={"$type": "app.bsky.embed.record", "record": {k: answer[k] for k in ("uri", "cid")}},
    )
    assert heard.wait("notifications", quote["uri"]).parent == answer["uri"]

    liar = ann.mention(brand, "from 2030", createdAt="2030-01-01T00:00:00.000Z")
    assert heard.wait("notifications", liar["uri"]).created_at <= datetime.now(UTC)
    after = bo.mention(brand, "after the liar")
    heard.wait("notifications", after["uri"])

    bo.delete(named["uri"])
    began, page = time.monotonic(), kept.look_up([named["uri"], asked["uri"]], 10)
    while not page.gone and time.monotonic() - began < SECONDS_MAX:
        time.sleep(0.2)
        page = kept.look_up([named["uri"], asked["uri"]], 10)
    assert [g.id for g in page.gone] == [named["uri"]] and [m.id for m in page.messages] == [asked["uri"]]

    texts = sorted(m.text for m in heard.messages["notifications"].values())
    assert len(texts) == 5, texts
    kept.close()


if __name__ == "__main__":
    try:
        check(sys.argv[1])
    except (AssertionError, EdgeError, RuntimeError) as error:
        sys.exit(f"bluesky_check: {type(error).__name__}: {error}")
    print("bluesky_check: the connector saw what was written")
