"""The idle daemon: its memory, and what of a core it takes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from monitor.demo import config_text
from simulator.town import make_town

WARM_UP_SECONDS = 8.0
MEASURED_SECONDS = 30.0


def idle_daemon() -> dict[str, Any]:
    """Both connectors configured against a world where nobody writes, at the real time's pace."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        town = make_town(seed=1, empty=True)
        with town:
            config = folder / "monitor.toml"
            config.write_text(config_text(town, folder), "utf-8")
            process = subprocess.Popen(
                [sys.executable, "-m", "monitor", "run", "--config", str(config)],
                env={**os.environ, **town.secrets()},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                time.sleep(WARM_UP_SECONDS)  # measuring takes real time
                before = _cpu_seconds(process.pid)
                time.sleep(MEASURED_SECONDS)  # measuring takes real time
                used = _cpu_seconds(process.pid) - before
                rss = _rss_mebibytes(process.pid)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(30)
    return {
        "resident MiB (aim ≤ 80)": round(rss, 1),
        "share of a core, percent (aim ≤ 0.2)": round(100 * used / MEASURED_SECONDS, 2),
    }


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / float(os.sysconf("SC_CLK_TCK"))


def _rss_mebibytes(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0
