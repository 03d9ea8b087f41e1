"""How Debian's chromium makes pictures of pages.

What may live here: how wide and high a page is, its picture, and the digest of the page that each picture
carries, so that a test can tell when it is out of date. Needs chromium, fonts-noto-color-emoji and pngquant.
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
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
SECONDS_MAX = 60
COLOURS = "64"


@dataclass(frozen=True, slots=True)
class Picture:
    """A page as a window of that width shows it, in pixels; `name` is the file's, without its ending."""

    name: str
    page: str
    width: int

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.png"


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


def draw_all(chromium: str, pictures: Iterable[Picture]) -> None:
    """Draw every picture anew. Raises RuntimeError where a page is wider than its window: it would be cut."""
    by_width: dict[int, dict[str, str]] = {}
    for picture in pictures:
        by_width.setdefault(picture.width, {})[picture.name] = picture.page
    for width, pages in by_width.items():
        for name, (wide, high) in measure(chromium, pages, width).items():
            if wide > width:
                raise RuntimeError(f"{name} is {wide} pixels wide, and its window {width}")
            picture = Picture(name, pages[name], width)
            draw(chromium, picture.path, picture.page, width, high)
