"""What the tests of the App Store connector share: an app with reviewers and a developer, and a bench."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from connectors.app_store import AppStoreConnector, Settings, build
from connectors.contract import Surroundings
from simulator.app_store_api import make_app_store_app
from simulator.serve import Served
from simulator.world import FixedClock, Form, Person, Platform, World, Writing
from wire.http import HttpOptions

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
APP, KEY_ID, ISSUER = "1234567890", "ABC123DEFG", "57246542-96fe-1a63-e053-0824d011072a"


@cache
def key_pair() -> tuple[str, str]:
    """A team's private and public key in PEM, made for these tests."""
    private = ec.generate_private_key(ec.SECP256R1())
    kept = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    shown = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return kept.decode(), shown.decode()


class Town:
    """An app, who reviews it, and its developer."""

    def __init__(self) -> None:
        self.clock = FixedClock(NOON)
        self.world = World(self.clock)
        self.ann = self.world.add_person(Person(Platform.APP_STORE, "1", "ann", "ann from Ulm"))
        self.developer = self.world.add_person(Person(Platform.APP_STORE, "2", "acme", "Acme", brand="acme"))

    def write(self, author: Person, text: str, ago: float, **more: Any) -> Writing:
        at = self.clock.now() - timedelta(seconds=ago)
        id = self.world.new_id(Platform.APP_STORE, at)
        return self.world.write(Writing(Platform.APP_STORE, id, Form.POST, author, text, at, root=id, **more))

    def review(self, text: str, *, ago: float = 0, stars: int = 1, **more: Any) -> Writing:
        return self.write(self.ann, text, ago, likes=stars, **more)

    def answer(self, text: str, to: Writing, *, ago: float = 0) -> Writing:
        return self.write(self.developer, text, ago, parent=to.id)

    @contextmanager
    def served(self, **options: Any) -> Iterator[str]:
        """The API's URL, while it runs."""
        public = options.pop("public_key", key_pair()[1])
        app = make_app_store_app(
            self.world, app_id=APP, key_id=KEY_ID, issuer_id=ISSUER, public_key=public, **options
        )
        with Served(app) as server:
            yield server.url


class Desk:
    """Builds connectors against some URL, with a key from the environment as a config would."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.state = tmp_path / "state"
        self.monkeypatch = monkeypatch

    def connector(
        self, url: str, town: Town, *, key: str | None = None, look_back: float = 86400, **settings: Any
    ) -> AppStoreConnector:
        self.monkeypatch.setenv("APP_STORE_KEY", key_pair()[0] if key is None else key)
        given = {
            "handle": "acmehelp",
            "app_id": APP,
            "issuer_id": ISSUER,
            "key_id": KEY_ID,
            "private_key": {"env": "APP_STORE_KEY"},
            "api_url": url,
            "lag_margin": "10s",
        }
        whole = Settings.model_validate(given | settings)
        return build(
            whole,
            Surroundings(
                brand="acme",
                account=whole.label,
                keywords=(),
                brand_handles=frozenset({"acmehelp"}),
                clock=town.clock.now,
                state_folder=self.state,
                http=HttpOptions(),
                look_back_seconds=look_back,
            ),
        )


class AppStoreBench:
    """What tests/contract/test_connectors.py needs."""

    incoming, path = "reviews", "/customerReviews"
    signs_in: frozenset[str] = frozenset()

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.town = Town()
        self.desk = Desk(tmp_path, monkeypatch)
        self.clock = self.town.clock
        self.secrets = (key_pair()[0], "eyJ")

    def ask(self, text: str, ago: float) -> Writing:
        return self.town.review(text, ago=ago)

    def answer(self, to: Writing, ago: float) -> Writing:
        return self.town.answer("we look into it", to, ago=ago)

    def message_id(self, writing: Writing) -> str:
        return writing.id

    def edit(self, writing: Writing, text: str) -> None:
        self.town.world.edit(writing, self.clock.now(), text)

    def served(self, faults: Any) -> Any:
        return self.town.served(faults=faults, page_max=10)

    def connector(self, url: str, look_back: float = 86400) -> AppStoreConnector:
        return self.desk.connector(url, self.town, look_back=look_back)
