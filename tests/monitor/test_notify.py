"""Talking to systemd, over a real socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from monitor.notify import notify, watchdog_seconds


@contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.settimeout(5)
        listener.bind(address)
        yield listener


def test_states_reach_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd learns when the daemon is ready, reloads, stops, and that it is alive."""
    address = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with listening(address) as listener:
        for state in ("READY=1", "RELOADING=1", "STOPPING=1", "WATCHDOG=1", "STATUS=3 wait · Łódź\nREADY=1"):
            assert notify(state) is True
            assert listener.recv(4096) == state.encode()


def test_abstract_sockets_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A systemd that listens in the abstract namespace is reached as well."""
    name = f"response-monitor-test-{os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
    with listening(f"\0{name}") as listener:
        assert notify("READY=1") is True
        assert listener.recv(4096) == b"READY=1"


@pytest.mark.parametrize("address", [None, "", "relative/path", "/does/not/exist", "/" + "x" * 300])
def test_without_systemd_nothing_breaks(address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Started from a shell, or with a socket that is gone, the daemon goes on, unheard."""
    if address is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert notify("READY=1") is False


@pytest.mark.parametrize(
    ("microseconds", "pid", "expected"),
    [
        ("60000000", None, 60.0),
        ("500000", "ours", 0.5),
        ("60000000", "1", None),
        ("60000000", "", None),
        (None, None, None),
        ("0", None, None),
        ("-5", None, None),
        ("soon", None, None),
    ],
)
def test_watchdog_interval(
    microseconds: str | None, pid: str | None, expected: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon pets the watchdog in the unit's interval, and only if it is the process that is meant."""
    for name, value in (
        ("WATCHDOG_USEC", microseconds),
        ("WATCHDOG_PID", str(os.getpid()) if pid == "ours" else pid),
    ):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert watchdog_seconds() == expected
