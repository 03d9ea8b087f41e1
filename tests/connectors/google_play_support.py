"""What the tests of the Google Play connector share: an app with reviewers and a developer, and a bench."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from connectors.contract import Surroundings
from connectors.google_play import GooglePlayConnector, Settings, build
from simulator.google_play_api import make_google_play_app
from simulator.serve import Served
from simulator.world import FixedClock, Form, Person, Platform, World, Writing
from wire.http import HttpOptions

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
PACKAGE, EMAIL = "example.acme.home", "monitor@acme.iam.gserviceaccount.example"


@cache
def key_pair() -> tuple[str, str]:
    """A service account's private and public key in PEM, made for these tests."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    kept = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    shown = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return kept.decode(), shown.decode()


def key_file(**changes: Any) -> str:
    """The service account's file as Google hands it out."""
    known = {
        "type": "service_account",
        "project_id": "acme",
        "private_key_id": "0123456789abcdef",
        "private_key": key_pair()[0],
        "client_email": EMAIL,
        "token_uri": "https://evil.example/token",
    }
    return json.dumps(known | changes)


class Town:
    """An app, who reviews it, and its developer."""

    def __init__(self) -> None:
        self.clock = FixedClock(NOON)
        self.world = World(self.clock)
        self.ann = self.world.add_person(Person(Platform.GOOGLE_PLAY, "1", "ann", "Ann B"))
        self.acme = self.world.add_person(Person(Platform.GOOGLE_PLAY, "2", "acme", "Acme", brand="acme"))

    def write(self, author: Person, text: str, ago: float, **more: Any) -> Writing:
        at = self.clock.now() - timedelta(seconds=ago)
        id = self.world.new_id(Platform.GOOGLE_PLAY, at)
        made = Writing(Platform.GOOGLE_PLAY, id, Form.POST, author, text, at, root=id, **more)
        return self.world.write(made)

    def review(self, text: str, *, ago: float = 0, stars: int = 1, **more: Any) -> Writing:
        return self.write(self.ann, text, ago, likes=stars, **more)

    def answer(self, text: str, to: Writing, *, ago: float = 0) -> Writing:
        return self.write(self.acme, text, ago, parent=to.id)

    @contextmanager
    def served(self, **options: Any) -> Iterator[str]:
        """The API's URL, while it runs."""
        known = {"package": PACKAGE, "email": EMAIL, "public_key": key_pair()[1]}
        with Served(make_google_play_app(self.world, **(known | options))) as server:
            yield server.url


def name(writing: Writing) -> str:
    """The id under which we know a review."""
    return f"gp:AOqpTO{writing.id}"


class Desk:
    """Builds connectors against some URL, with a key from the environment as a config would."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.state = tmp_path / "state"
        self.monkeypatch = monkeypatch

    def connector(
        self, url: str, town: Town, *, key: str | None = None, look_back: float = 86400, **settings: Any
    ) -> GooglePlayConnector:
        self.monkeypatch.setenv("PLAY_KEY", key_file() if key is None else key)
        given = {
            "handle": "acmehelp",
            "package": PACKAGE,
            "service_account": {"env": "PLAY_KEY"},
            "api_url": url,
            "token_url": f"{url}/token",
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


class GooglePlayBench:
    """What tests/contract/test_connectors.py needs."""

    incoming, path = "reviews", "/reviews"
    signs_in = frozenset({"/token"})

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.town = Town()
        self.desk = Desk(tmp_path, monkeypatch)
        self.clock = self.town.clock
        self.secrets = (key_pair()[0][40:80], "ya29.")

    def ask(self, text: str, ago: float) -> Writing:
        return self.town.review(text, ago=ago)

    def answer(self, to: Writing, ago: float) -> Writing:
        return self.town.answer("we look into it", to, ago=ago)

    def message_id(self, writing: Writing) -> str:
        return name(writing)

    def edit(self, writing: Writing, text: str) -> None:
        self.town.world.edit(writing, self.clock.now(), text)

    def served(self, faults: Any) -> Any:
        return self.town.served(faults=faults, page_max=10)

    def connector(self, url: str, look_back: float = 86400) -> GooglePlayConnector:
        return self.desk.connector(url, self.town, look_back=look_back)
