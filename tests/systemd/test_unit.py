"""The unit file: systemd understands every line of it, and it is locked down."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.needs import needs

UNIT = Path(__file__).parents[2] / "systemd" / "response-monitor.service"
EXPOSURE_MAX = 1.5


def settings(text: str) -> dict[str, list[str]]:
    """The settings of the unit, each with its values in order."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if "=" in line and not line.startswith(("#", "[")):
            name, value = line.split("=", 1)
            found.setdefault(name, []).append(value)
    return found


def verify(folder: Path, text: str) -> tuple[int, str]:
    """What `systemd-analyze verify` says of a unit whose program is one that this machine has."""
    copy = folder / UNIT.name
    copy.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", text), encoding="utf-8")
    done = subprocess.run(
        [needs("systemd-analyze"), "verify", "--man=no", str(copy)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    """Nothing in the unit is mistyped or too new for Debian's systemd, which would pass over it silently."""
    text = UNIT.read_text(encoding="utf-8")
    assert verify(tmp_path, text) == (0, "")
    _, complaint = verify(tmp_path, text.replace("PrivateTmp=", "PrivateTemp="))
    assert "PrivateTemp" in complaint


def test_it_is_locked_down() -> None:
    """Someone who takes over the daemon through a hostile post can do little else on the machine."""
    done = subprocess.run(
        [needs("systemd-analyze"), "security", "--offline=true", "--no-pager", str(UNIT)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
    )
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert exposure is not None
    assert float(exposure[1]) <= EXPOSURE_MAX


def test_it_starts_reloads_and_restarts_as_the_docs_say() -> None:
    """The unit waits until the daemon is ready, reloads it by SIGHUP, watches it, and never gives up on it,
    but for a config that is wrong."""
    unit = settings(UNIT.read_text(encoding="utf-8"))
    assert unit["Type"] == ["notify"]
    assert unit["ExecStart"] == [
        "/opt/response-monitor/bin/response-monitor run --config /etc/response-monitor/monitor.toml"
    ]
    assert unit["ExecReload"] == ["kill -HUP $MAINPID"]
    assert unit["WatchdogSec"] == ["60"]
    assert unit["Restart"] == ["on-failure"]
    assert unit["StartLimitIntervalSec"] == ["0"]
    assert unit["RestartPreventExitStatus"] == ["2"]
    assert unit["DynamicUser"] == ["yes"]
    assert unit["StateDirectory"] == ["response-monitor"]
    assert unit["TimeoutStopSec"] == ["30"]


def test_secrets_come_as_credentials_only() -> None:
    """No secret is in the unit or its environment, where any user of the machine could read it."""
    unit = settings(UNIT.read_text(encoding="utf-8"))
    assert all(re.fullmatch(r"[\w-]+:/etc/response-monitor/[\w./-]+", c) for c in unit["LoadCredential"])
    assert "EnvironmentFile" not in unit
    assert not re.search(r"(?i)token|secret|password|key", " ".join(unit["Environment"]))
