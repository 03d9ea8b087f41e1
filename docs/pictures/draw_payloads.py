"""The pictures of docs/alerts.md: one wait as PagerDuty, an Alertmanager, a webhook and Apprise are told it.

What may live here: the requests that the real channels make of simulated receivers, and cards that show them.
A request is shown whole; of the later ones, what they change.

`python -m docs.pictures.draw_payloads` draws them anew; `docs/pictures/browser.py` says what that needs.
"""

from __future__ import annotations

import html
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

import alerts
from alerts.contract import ChannelSurroundings
from docs.pictures.browser import SECONDS_MAX, Picture, draw_all
from docs.pictures.kestrel import NOON, ZONE, answered, breached, taken
from rules.alert import Stage
from simulator.alertmanager_api import Alertmanager, make_alertmanager_app
from simulator.apprise_api import TOPIC, NoticeBoard, make_notice_app
from simulator.hooks_api import (
    ROUTING_KEY,
    SIGNING_SECRET,
    HookSink,
    PagerDutyService,
    make_hook_app,
    make_pagerduty_app,
)
from simulator.serve import Served
from simulator.world import FixedClock
from wire.http import HttpOptions

WIDTH = 760
PHONE_WIDTH = 400
HOOK_PATH = "/hooks/response-monitor"
PASSWORD = "invented"
HEADERS = ("content-type", "webhook-id", "webhook-timestamp", "webhook-signature")
"""Of the headers of a request, those that are said to matter."""

_STYLE = """
body{margin:0;background:#f3f4f6;color:#1f2328;font:14px/20px "Liberation Sans",Arial,sans-serif;padding:14px}
.card{background:#fff;border:1px solid #d0d7de;border-radius:8px;overflow:hidden;margin-bottom:12px}
.card:last-child{margin:0}
.head{background:#1f3a5f;color:#fff;padding:8px 14px;font-weight:bold;overflow-wrap:anywhere}
.head small{font-weight:normal;padding-left:10px;color:#c9d6e6;font-size:13px}
.code{padding:10px 14px;font:12.5px/18px "DejaVu Sans Mono",monospace}
.line{overflow-wrap:anywhere;white-space:pre-wrap}
.header{color:#57606a}
.mark{color:#8c959f}.key{color:#0550ae}.text{color:#116329}.other{color:#953800}
table{border-collapse:collapse;width:100%}
td{border-top:1px solid #eaeef2;padding:6px 14px;vertical-align:top}
tr:first-child td{border-top:0}
td:first-child{white-space:nowrap;color:#57606a}
td:last-child{overflow-wrap:anywhere}
code{font:12.5px/18px "DejaVu Sans Mono",monospace}
"""
_PHONE_STYLE = """
body{margin:0;background:#dfe6ee;color:#1f2328;font:15px/21px "Liberation Sans",Arial,sans-serif;padding:12px}
.note{background:#fff;border-radius:12px;padding:10px 14px;margin-bottom:10px}
.note:last-child{margin:0}
.from{color:#57606a;font-size:12px;display:flex;justify-content:space-between}
h3{font-size:16px;line-height:21px;margin:2px 0 6px}
p{margin:0;white-space:pre-wrap;overflow-wrap:anywhere}
"""


@dataclass(slots=True)
class Request:
    """One request as it came, and when (pretended)."""

    at: datetime
    method: str
    path: str
    headers: Mapping[str, str]
    raw: bytearray = field(default_factory=bytearray)

    @property
    def body(self) -> Any:
        return json.loads(self.raw)


@dataclass(frozen=True, slots=True)
class _Receiver:
    """Who is told: the kind of channel, its server, its settings and its secrets (each a file of that name),
    given where the server is."""

    kind: str
    app: ASGIApp
    settings: Callable[[str], dict[str, Any]]
    secrets: Callable[[str], dict[str, str]]


def _receivers(clock: FixedClock) -> list[_Receiver]:
    pagerduty = make_pagerduty_app(PagerDutyService(clock))
    alertmanager = make_alertmanager_app(Alertmanager(clock, bearer=None))
    hook = make_hook_app(HookSink(clock, HOOK_PATH))
    ntfy = make_notice_app(NoticeBoard(clock, "/", PASSWORD))
    return [
        _Receiver(
            "pagerduty",
            pagerduty,
            lambda url: {"api_url": url, "routing_key": "key"},
            lambda _: {"key": ROUTING_KEY},
        ),
        _Receiver(
            "alertmanager",
            alertmanager,
            lambda url: {"urls": [url], "labels": {"team": "care"}},
            lambda _: {},
        ),
        _Receiver(
            "webhook",
            hook,
            lambda _: {"url": "url", "signing_secrets": ["signing"]},
            lambda url: {"url": f"{url}{HOOK_PATH}", "signing": SIGNING_SECRET},
        ),
        _Receiver(
            "apprise",
            ntfy,
            lambda _: {"url": "url"},
            lambda url: {"url": f"ntfy://monitor:{PASSWORD}@{url.removeprefix('http://')}/{TOPIC}"},
        ),
    ]


def _noting(app: ASGIApp, clock: FixedClock, requests: list[Request]) -> ASGIApp:
    """The server, and what comes to it is noted."""

    async def noted(scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): text.decode("latin-1") for name, text in scope["headers"]}
        request = Request(clock.now(), scope["method"], scope["path"], headers)
        requests.append(request)

        async def taken_note() -> Message:
            message = await receive()
            request.raw += message.get("body", b"")
            return message

        await app(scope, taken_note, send)

    return noted


def _tell(receiver: _Receiver, clock: FixedClock) -> list[Request]:
    """Let the real channel tell the receiver of the wait, over HTTP; every request that it made."""
    requests: list[Request] = []
    module = alerts.load(receiver.kind)
    with Served(_noting(receiver.app, clock, requests)) as server, tempfile.TemporaryDirectory() as folder:
        secrets = receiver.secrets(server.url)
        for name, secret in secrets.items():
            (Path(folder) / name).write_text(secret, "utf-8")

        def named(value: Any) -> Any:
            if isinstance(value, list):
                return [named(each) for each in value]
            known = isinstance(value, str) and value in secrets
            return {"file": f"{folder}/{value}"} if known else value

        settings = {name: named(value) for name, value in receiver.settings(server.url).items()}
        surroundings = ChannelSurroundings("care", ZONE, HttpOptions(), clock.now)
        channel = module.build(module.Settings.model_validate(settings), surroundings)
        try:
            previous = None
            for alert in (breached(), taken(), answered(was_taken=True)):
                clock.at = alert.at
                # What can be changed is told that somebody took it; the dispatcher asks the same.
                if channel.updates or alert.stage is not Stage.MOVED:
                    previous = channel.send(alert, previous, SECONDS_MAX)
        finally:
            channel.close()
    return requests


def requests_by_kind() -> dict[str, list[Request]]:
    """What each kind of channel sent, the breach first."""
    clock = FixedClock(NOON)
    return {receiver.kind: _tell(receiver, clock) for receiver in _receivers(clock)}


def pages() -> dict[str, str]:
    """Every page, by the name of its picture."""
    sent = requests_by_kind()
    return {
        "pagerduty": _cards(sent["pagerduty"], _pagerduty_says, hidden=ROUTING_KEY),
        "alertmanager": _cards(sent["alertmanager"], _alertmanager_says),
        "webhook": _cards(sent["webhook"], _webhook_says),
        "apprise": _cards(sent["apprise"], _ntfy_says),
        "apprise-phone": _phone(sent["apprise"]),
    }


def _pagerduty_says(request: Request) -> tuple[str, str]:
    body = request.body
    return f"{body['event_action']}, {body['payload']['severity']}", body["payload"]["summary"]


def _alertmanager_says(request: Request) -> tuple[str, str]:
    (entry,) = request.body
    over = datetime.fromisoformat(entry["endsAt"]) <= request.at
    return "resolved" if over else "fires", entry["annotations"]["summary"]


def _webhook_says(request: Request) -> tuple[str, str]:
    return request.body["type"], request.body["data"]["headline"]


def _ntfy_says(request: Request) -> tuple[str, str]:
    return "a message", request.body["title"]


def _cards(
    requests: Sequence[Request], says: Callable[[Request], tuple[str, str]], *, hidden: str = ""
) -> str:
    """The first request as it is, and what each of them says. `hidden` is a secret that is not shown."""
    first = requests[0]
    headers = [f"{name}: {first.headers[name]}" for name in HEADERS if name in first.headers]
    lines = "".join(f'<div class="line header">{_escape(line)}</div>' for line in headers)
    body = json.loads(first.raw.decode("utf-8").replace(hidden, "…") if hidden else first.raw)
    code = f'<div class="code">{lines}<div class="line"> </div>{_lines(body)}</div>'
    rows = "".join(_row(_clock(one.at), *says(one)) for one in requests)
    return (
        f"<!doctype html><meta charset=utf-8><style>{_STYLE}</style>"
        f'<div class="card"><div class="head">{_escape(f"{first.method} {first.path}")}</div>{code}</div>'
        f'<div class="card"><div class="head">The whole wait</div><table>{rows}</table></div>'
    )


def _row(*cells: str) -> str:
    return f"<tr>{''.join(f'<td>{_escape(cell)}</td>' for cell in cells)}</tr>"


def _phone(requests: Sequence[Request]) -> str:
    """The messages as a telephone shows them: title and text, with nothing of their own to look at."""
    notes = []
    for request in requests:
        body = request.body
        head = f'<div class="from"><span>ntfy · {_escape(body["topic"])}</span>{_clock(request.at)}</div>'
        said = f"<h3>{_escape(body['title'])}</h3><p>{_escape(body['message'])}</p>"
        notes.append(f'<div class="note">{head}{said}</div>')
    return f"<!doctype html><meta charset=utf-8><style>{_PHONE_STYLE}</style>{''.join(notes)}"


def _lines(value: object, depth: int = 0, before: str = "", after: str = "") -> str:
    """JSON line by line: what is too long for one goes on below its own beginning, and a text that has lines
    is shown with them."""
    braces = "{}" if isinstance(value, dict) else "[]"
    parts: list[str] = []
    if isinstance(value, dict):
        parts = [_lines(each, depth + 1, f"{_key(name)}: ", ",") for name, each in value.items()]
    elif isinstance(value, list):
        parts = [_lines(each, depth + 1, "", ",") for each in value]
    if not parts:
        return _line(f"{before}{_plain(value)}{after}", depth)
    # JSON has no comma after the last one.
    parts[-1] = parts[-1].removesuffix(",</div>") + "</div>"
    return _line(f"{before}{braces[0]}", depth) + "".join(parts) + _line(f"{braces[1]}{after}", depth)


def _line(text: str, depth: int) -> str:
    # What goes on in the next line is set further in than its beginning.
    return f'<div class="line" style="padding-left:{2 * depth + 4}ch;text-indent:-4ch">{text}</div>'


def _key(name: str) -> str:
    return f'<span class="key">{_escape(json.dumps(name, ensure_ascii=False))}</span>'


def _plain(value: object) -> str:
    """What is neither object nor list, as JSON has it; a space without a width is written as an escape."""
    if not isinstance(value, str):
        return f'<span class="other">{_escape(json.dumps(value))}</span>'
    lines = [_escape(json.dumps(line, ensure_ascii=False)[1:-1]) for line in value.split("\n")]
    said = '<span class="mark">\\n</span><br>'.join(lines)
    said = said.replace("\u200b", '<span class="mark">\\u200b</span>')
    return f'<span class="text">"{said}"</span>'


def _clock(at: datetime) -> str:
    return at.astimezone(ZONE).strftime("%H:%M")


def _escape(text: str) -> str:
    return html.escape(text, quote=False)


def pictures() -> list[Picture]:
    """Every page: what programs are sent as wide as a page of text, what a telephone shows as wide as one."""
    return [
        Picture(name, page, PHONE_WIDTH if name.endswith("phone") else WIDTH)
        for name, page in pages().items()
    ]


if __name__ == "__main__":
    draw_all("chromium", pictures())
