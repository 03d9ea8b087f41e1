"""The pictures of docs/alerts.md: three mails as a browser shows them, on a phone and on a desk.

What may live here: the invented facts of three alerts, and how Debian's chromium makes pictures of them. Each
picture carries the digest of the HTML that it shows, so that a test can tell when it is out of date.

`python -m docs.pictures.draw_mails` draws them anew; it needs chromium, fonts-noto-color-emoji and pngquant.
"""

from __future__ import annotations

import hashlib
import html
import json
import os
import re
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from alerts.contract import ChannelSurroundings
from alerts.smtp import Settings, SmtpChannel
from rules.alert import Alert, CaseFacts, Stage, Storm, StormCase
from simulator.mail import MailSink
from simulator.world import FixedClock
from wire.http import HttpOptions

FOLDER = Path(__file__).parent
ZONE = ZoneInfo("Europe/Berlin")
WIDTHS = (360, 1200)
SECONDS_MAX = 60
COLOURS = "64"
NOON = datetime(2026, 3, 4, 11, 0, tzinfo=UTC)


def facts() -> dict[str, Alert]:
    """The alerts of the pictures, by name: nobody and nothing in them is real."""
    case = CaseFacts(
        case_id="kestrel/x/1897",
        brand="Kestrel Kettles",
        connector="x",
        account="kestrelhelp",
        public=True,
        customer="@mira_tea",
        followers=2140,
        reach=3900,
        text="@kestrelhelp third kettle in a month that leaks, and still no answer to my order K-20481.\n"
        "Is anybody there?",
        messages=2,
        reasons=('says that it still waits: "still no answer"', 'speaks of a defect: "leaks"'),
        complaint=True,
        priority="high",
        waiting_since=NOON - timedelta(minutes=20),
        target_name="public complaint",
        target_seconds=900.0,
        due_at=NOON - timedelta(minutes=5),
        url="https://x.example/mira_tea/status/1897",
    )
    breach = Alert("1897/breach", case.case_id, Stage.BREACH, NOON, case=case)
    answered = NOON + timedelta(minutes=3)
    outcome = "answered after 23 min by @kestrelhelp"
    over = replace(case, outcome=outcome, answered_at=answered)
    cleared = Alert("1897/cleared", case.case_id, Stage.CLEARED, answered, case=over)
    return {"breach": breach, "cleared": cleared, "storm": _storm()}


def _storm() -> Alert:
    begun = NOON - timedelta(minutes=10)
    names = (("@oskar_b", "x"), ("@tilda77", "x"), ("u/greenleaf_ben", "reddit"), ("@nuria_p", "x"))
    worst = tuple(
        StormCase(
            case_id=f"kestrel/{connector}/{2000 + number}",
            customer=name,
            connector=connector,
            priority="urgent" if number == 0 else "high",
            waiting_since=NOON - timedelta(minutes=26 - 2 * number),
            due_at=NOON - timedelta(minutes=16 - 3 * number),
            url=f"https://{connector}.example/{name.lstrip('@')}/{2000 + number}",
        )
        for number, (name, connector) in enumerate(names)
    )
    storm = Storm(
        brand="Kestrel Kettles",
        connectors=("reddit", "x"),
        since=begun,
        reached=54,
        waiting=42,
        answered=12,
        worst=worst,
        words=(("delivery", 31), ("refund", 12)),
    )
    return Alert("storm_7/0", "storm_7", Stage.STORM, NOON, storm=storm)


def pages() -> dict[str, str]:
    """The HTML of each mail as it arrives at a server, by the name of its alert."""
    arrived = {}
    with MailSink(FixedClock(NOON)) as sink:
        settings = {"host": sink.host, "port": sink.port, "security": "none", "sender": "m@acme.example"}
        made = Settings.model_validate({**settings, "recipients": ["care@acme.example"]})
        channel = SmtpChannel(made, ChannelSurroundings("care", ZONE, HttpOptions(), lambda: NOON))
        for name, alert in facts().items():
            channel.send(alert, None, SECONDS_MAX)
            arrived[name] = sink.mails[-1].part("html")
    return arrived


def digest(page: str) -> str:
    """What a picture carries of the page that it shows."""
    return hashlib.sha256(page.encode("utf-8")).hexdigest()


def measure(chromium: str, pages: Mapping[str, str], width: int) -> dict[str, tuple[int, int]]:
    """How wide and high each page is where the window is so wide: in pixels, scrolling included."""
    frames = "".join(_frame(page, width, 100, name) for name, page in pages.items())
    # What the script found is read out of the page's title.
    script = """<script>onload = () => { const found = {};
    for (const frame of document.querySelectorAll("iframe")) {
      const seen = frame.contentDocument.scrollingElement;
      found[frame.id] = [seen.scrollWidth, seen.scrollHeight, frame.contentWindow.innerWidth]; }
    document.title = JSON.stringify(found); }</script>"""
    shown = _browse(chromium, f"<title></title>{frames}{script}", ["--dump-dom"])
    title = re.search(r"<title>(.*?)</title>", shown, re.DOTALL)
    found = json.loads(html.unescape(title[1])) if title and title[1] else {}
    if found.keys() != pages.keys() or any(inner != width for _, _, inner in found.values()):
        raise RuntimeError(f"chromium did not measure: {found}")
    return {name: (wide, high) for name, (wide, high, _) in found.items()}


def _frame(page: str, width: int, height: int, name: str) -> str:
    """A window of that size, which chromium's own cannot be: it is never narrower than 500 pixels."""
    size = f"border:0;display:block;width:{width}px;height:{height}px"
    return f'<iframe id="{name}" style="{size}" srcdoc="{html.escape(page)}"></iframe>'


def _browse(chromium: str, page: str, options: list[str]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.html"
        path.write_text(f"<!doctype html><meta charset=utf-8><style>body{{margin:0}}</style>{page}", "utf-8")
        command = [chromium, "--headless", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
        command += [
            f"--user-data-dir={folder}/profile",
            "--disable-dev-shm-usage",
            "--no-default-browser-check",
        ]
        # Root has no sandbox to go into; what is shown is our own page, without a network.
        command += ["--no-sandbox"] if os.geteuid() == 0 else []
        command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--force-device-scale-factor=1"]
        # Letters in greys need fewer colours.
        command += ["--disable-lcd-text", *options]
        done = subprocess.run(
            [*command, path.as_uri()], capture_output=True, timeout=SECONDS_MAX, check=True, cwd=folder
        )
        return done.stdout.decode("utf-8", "replace")


def draw(chromium: str, path: Path, page: str, width: int, height: int) -> None:
    """The picture of a page, as wide as a window and as high as the page."""
    options = [f"--window-size={width},{height}", f"--screenshot={path}"]
    _browse(chromium, _frame(page, width, height, path.stem), options)
    command = [
        "pngquant",
        "--force",
        "--strip",
        "--speed",
        "1",
        "--output",
        str(path),
        COLOURS,
        "--",
        str(path),
    ]
    subprocess.run(command, check=True, timeout=SECONDS_MAX)
    path.write_bytes(sign(path.read_bytes(), digest(page)))


def sign(png: bytes, text: str) -> bytes:
    """The picture with a text chunk before its end (PNG specification, 11.3.3.2)."""
    body = b"tEXtSource\0" + text.encode("ascii")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    end = png.rindex(b"IEND") - 4
    return png[:end] + chunk + png[end:]


def pictures() -> list[tuple[Path, str, str, int]]:
    """Each picture's file, its alert's name, the page that it shows, and how wide."""
    return [
        (FOLDER / f"mail-{name}-{w}.png", name, page, w) for name, page in pages().items() for w in WIDTHS
    ]


def draw_all(chromium: str) -> None:
    """Draw every picture anew."""
    heights = {width: measure(chromium, pages(), width) for width in WIDTHS}
    for path, name, page, width in pictures():
        draw(chromium, path, page, width, heights[width][name][1])


if __name__ == "__main__":
    draw_all("chromium")
