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

from simulator.town import Town, make_town

WARM_UP_SECONDS = 8.0
MEASURED_SECONDS = 30.0


def _config(town: Town, folder: Path) -> str:
    """A small shop's monitor.toml: one brand, two accounts on X, one on Reddit, Slack and mail."""
    keys = ("consumer_key", "consumer_secret", "access_token", "access_token_secret")
    accounts = []
    for handle in ("acme", "acmehelp"):
        secrets = "\n".join(f'{key} = {{ env = "{f"DEMO_X_{handle}_{key}".upper()}" }}' for key in keys)
        accounts.append(f'[[brands.acme.x]]\nhandle = "{handle}"\napi_url = "{town.x_url}"\n{secrets}\n')
    return f"""\
[monitor]
state_folder = "{folder / "state"}"
[web]
enabled = false
[brands.acme]
keywords = ["Acme"]
{"".join(accounts)}
[[brands.acme.reddit]]
username = "acme_support"
api_url = "{town.reddit_url}"
auth_url = "{town.reddit_url}"
client_id = "{town.reddit_access.client_id}"
client_secret = {{ env = "DEMO_REDDIT_SECRET" }}
password = {{ env = "DEMO_REDDIT_PASSWORD" }}
user_agent = "response-monitor benchmark"
subreddits = ["{town.subreddit}"]
[channels.care-slack]
type = "slack"
api_url = "{town.slack_url}"
bot_token = {{ env = "DEMO_SLACK_TOKEN" }}
channel = "#care"
[channels.care-mail]
type = "smtp"
host = "127.0.0.1"
port = {town.mail_port}
security = "none"
sender = "monitor@acme.example"
recipients = ["care@acme.example"]
"""


def idle_daemon() -> dict[str, Any]:
    """Both connectors configured against a world where nobody writes, at the real time's pace."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        town = make_town(seed=1, empty=True)
        with town:
            config = folder / "monitor.toml"
            config.write_text(_config(town, folder), "utf-8")
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
