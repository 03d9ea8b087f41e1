"""What both HTTP libraries stand on: whom we trust, and what may be said of an address."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.raw import certificate
from wire.exchange import connect, origin, redirect_origin, tls_context


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://hooks.slack.com/services/T0/B0/hush?hush#hush", "https://hooks.slack.com:443"),
        ("http://me:hush@[::1]:8080/hush", "http://[::1]:8080"),
        ("HTTP://API.X.com", "http://api.x.com:80"),
        ("https://bücher.example/hush", "https://bücher.example:443"),
        ("https://evil\x1b]0;hush\x07/", "an address that is not a URL"),
        ("https://a:hush/", "an address that is not a URL"),
        ("ftp://a/hush", "an address that is not a URL"),
        ("hush", "an address that is not a URL"),
    ],
)
def test_only_the_origin_of_an_address_is_said(url: str, said: str) -> None:
    """A webhook's address is a secret: logs and alerts name its host and nothing more."""
    assert origin(url) == said


@given(st.text(), st.text())
def test_any_address_can_be_spoken_of(url: str, location: str) -> None:
    """No address, wherever it comes from, breaks the message about it or puts control letters into it."""
    for said in (origin(url), origin(f"http://{url}"), redirect_origin("http://a/b", location)):
        assert said.isprintable()


def test_the_systems_authorities_are_trusted_and_ours_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An own CA comes in addition; on a machine without any, the ones of certifi stand in."""
    cert, _ = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    assert tls_context(None).cert_store_stats()["x509"] == 1
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "empty"))
    stand_ins = tls_context(None).cert_store_stats()["x509"]
    assert stand_ins > 20
    assert tls_context(cert).cert_store_stats()["x509"] == stand_ins + 1


def test_no_socket_is_opened_without_bounds() -> None:
    """A connection that nothing bounds cannot be made by mistake."""
    with pytest.raises(RuntimeError, match="needs the bounds"):
        connect("127.0.0.1", 1)
