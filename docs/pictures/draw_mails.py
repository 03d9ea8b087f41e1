"""The pictures of docs/alerts.md: three mails as a browser shows them, on a phone and on a desk.

What may live here: which alerts are shown, and the mails that are made of them.

`python -m docs.pictures.draw_mails` draws them anew; `docs/pictures/browser.py` says what that needs.
"""

from __future__ import annotations

from alerts.contract import ChannelSurroundings
from alerts.smtp import Settings, SmtpChannel
from docs.pictures.browser import SECONDS_MAX, Picture, draw_all
from docs.pictures.kestrel import NOON, ZONE, answered, breached, storm
from rules.alert import Alert
from simulator.mail import MailSink
from simulator.world import FixedClock
from wire.http import HttpOptions

WIDTHS = (360, 1200)


def facts() -> dict[str, Alert]:
    """The alerts of the pictures, by name."""
    return {"breach": breached(), "cleared": answered(was_taken=False), "storm": storm()}


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


def pictures() -> list[Picture]:
    """Every mail at every width."""
    return [Picture(f"mail-{name}-{w}", page, w) for name, page in pages().items() for w in WIDTHS]


if __name__ == "__main__":
    draw_all("chromium", pictures())
