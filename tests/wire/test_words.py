"""The small vocabulary of the edges: durations, secrets, errors."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from wire.durations import Duration, parse_duration, say_duration
from wire.errors import EdgeError, Malformed, NotAllowed, Refused, RetryAt
from wire.secret import Secret, SecretMissing


class Settings(BaseModel):
    """A config as the house has them."""

    model_config = ConfigDict(hide_input_in_errors=True)

    token: Secret = Secret("env", "UNSET")
    wait: Duration = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), (" 12 h ", 43200), ("2d", 172800), ("1.5h", 5400), ("500ms", 0.5), ("0s", 0)],
)
def test_durations_are_read_as_people_write_them(text: str, seconds: float) -> None:
    """Each unit means what it says."""
    assert parse_duration(text) == timedelta(seconds=seconds)
    assert Settings(wait=text).wait == timedelta(seconds=seconds)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["", "15", 15, None, True, "m", "-5m", "1h30m", "5 minutes", "٥m", "nan s", ["5m"]]
)
def test_what_is_no_duration_is_refused_with_an_example(text: object) -> None:
    """A number without a unit is not guessed at, and the message shows what to write."""
    with pytest.raises(ValueError, match='such as "90s", "15m"'):
        parse_duration(text)


def test_a_duration_beyond_all_bounds_is_a_plain_error() -> None:
    """A duration that would leave the calendar is told like any other mistake in the config."""
    with pytest.raises(ValidationError, match="too long"):
        Settings(wait="999999999d")  # type: ignore[arg-type]
    assert parse_duration("36525d") == timedelta(days=36525)
    with pytest.raises(ValueError, match="expected a duration") as caught:
        parse_duration("9" * 100_000 + "s")
    assert len(str(caught.value)) < 200


@given(st.text())
def test_any_text_is_a_duration_or_a_plain_error(text: str) -> None:
    """No text in a config can break the reading of it."""
    try:
        assert parse_duration(text) >= timedelta(0)
    except ValueError as error:
        assert "expected" in str(error) or "too long" in str(error)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "0 s"), (0, "0 s"), (59.9, "59 s"), (60, "1 min"), (719, "11 min"), (3600, "1 h"),
        (7500, "2 h 05 min"), (172_799, "47 h 59 min"), (172_800, "2 d"), (273_600, "3 d 4 h"),
    ],
)  # fmt: skip
def test_durations_are_said_as_a_person_would(seconds: float, said: str) -> None:
    """An alert reads "2 h 05 min", never a negative time."""
    assert say_duration(seconds) == said


def test_a_secret_is_read_where_the_config_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Environment, file and systemd credential all work, and a rotated file is noticed."""
    monkeypatch.setenv("A_TOKEN", "from-env")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "x-token").write_text("from-file\r\n")
    assert Secret("env", "A_TOKEN").reveal() == "from-env"
    in_file = Secret("file", str(tmp_path / "x-token"))
    assert in_file.reveal() == "from-file"
    assert Secret("credential", "x-token").reveal() == "from-file"
    (tmp_path / "x-token").write_text(" rotated \n")
    assert in_file.reveal() == " rotated "


def test_a_missing_secret_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each way to miss a secret names the variable or file, and never what is in it."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.setenv("NOT_UTF8", "hush\udcff")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"hush\xff")
    (tmp_path / "huge").write_text("hush" * 20_000)
    cases = {
        Secret("env", "A_VARIABLE_THAT_IS_NOT_SET"): "A_VARIABLE_THAT_IS_NOT_SET is not set",
        Secret("env", "EMPTY"): "EMPTY is not set",
        Secret("env", "NOT_UTF8"): "NOT_UTF8 is not UTF-8",
        Secret("credential", "x"): "LoadCredential=x:",
        Secret("file", str(tmp_path / "none")): "none cannot be read: No such file",
        Secret("file", str(tmp_path)): "cannot be read: Is a directory",
        Secret("file", "a\x00b"): "cannot be read: not a path",
        Secret("file", str(tmp_path / "empty")): "empty is empty",
        Secret("file", str(tmp_path / "binary")): "cannot be read: not UTF-8",
        Secret("file", str(tmp_path / "huge")): "more than 65536 bytes",
    }
    for secret, word in cases.items():
        with pytest.raises(SecretMissing, match=word) as caught:
            secret.reveal()
        assert "hush" not in str(caught.value)


def test_a_secret_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither repr, str, pickle, JSON nor a copy of the config holds the value."""
    monkeypatch.setenv("A_TOKEN", "hush-hush")
    settings = Settings.model_validate({"token": {"env": "A_TOKEN"}})
    secret = settings.token
    shown = [
        repr(secret),
        str(secret),
        repr(settings),
        settings.model_dump_json(),
        repr(pickle.dumps(secret)),
    ]
    assert not any("hush" in text for text in shown)
    assert copy.deepcopy(secret) == secret == pickle.loads(pickle.dumps(secret))
    assert secret.reveal() == "hush-hush"
    assert secret != Secret("file", "A_TOKEN")
    assert len({secret, Secret("env", "A_TOKEN")}) == 1


@pytest.mark.parametrize("value", [
    "hush-hush", {"value": "hush-hush"}, {"env": ""}, {"env": 5}, {"env": "A", "file": "B"}, [], None, 5,
])  # fmt: skip
def test_a_secret_pasted_into_the_config_is_not_repeated(value: object) -> None:
    """Whoever pastes a token into the config is told where it belongs, without showing it again."""
    with pytest.raises(ValidationError, match="secrets are not written into the config") as caught:
        Settings.model_validate({"token": value})
    assert "hush" not in str(caught.value)


def test_a_secret_has_a_known_source() -> None:
    """A source that does not exist is a mistake of ours, found at once."""
    with pytest.raises(ValueError, match="env, file, credential"):
        Secret("vault", "x")


def test_every_error_of_the_edges_says_what_can_be_done() -> None:
    """Each error keeps what its catcher decides by, and its text is the reason itself."""
    at = datetime(2026, 3, 1, tzinfo=UTC)
    limited = RetryAt("rate limit", at=at, limited=True)
    assert (limited.at, limited.limited, limited.accepted_unknown, str(limited)) == (
        at,
        True,
        False,
        "rate limit",
    )
    assert RetryAt("dropped", accepted_unknown=True).accepted_unknown
    assert RetryAt("dropped").at is None
    assert Refused("no such channel").reason == str(Refused("no such channel"))
    assert NotAllowed("scope chat:write").missing == "scope chat:write"
    assert Malformed("HTML").what == "HTML"
    for kind in (RetryAt, Refused, NotAllowed, Malformed):
        assert issubclass(kind, EdgeError)


def test_a_secret_pasted_as_the_name_is_refused_and_not_repeated() -> None:
    """A webhook's URL in the place of the variable's name must not turn up in an error."""
    from pydantic import TypeAdapter, ValidationError

    with pytest.raises(ValidationError) as told:
        TypeAdapter(Secret).validate_python({"env": "https://hooks.example/hunter2"})
    assert "hunter2" not in str(told.value.errors(include_input=False))
