"""The pictures of docs/alerts.md for the channels that are no mail: what each is sent, as its people see it.

What may live here: how what a channel really sends (to the simulated Slack, or as its preview) looks on a
screen, in our own plain style: Slack, PagerDuty and the others draw it in theirs. The alerts are those of
the mails' pictures, and the pictures are made and signed as those are.

`python -m docs.pictures.draw_channels` draws them anew; it needs chromium, fonts-noto-color-emoji and
pngquant.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import alerts
from alerts.contract import Channel, ChannelSurroundings, Previewing, Receipt
from docs.pictures.draw_mails import FOLDER, NOON, SECONDS_MAX, ZONE, draw, facts, measure
from rules.alert import Alert, Stage
from simulator.serve import Served
from simulator.slack_api import APP_TOKEN, TOKEN, Post, SlackWorkspace, make_slack_app
from simulator.world import FixedClock
from wire.http import HttpOptions

WIDTH = 720
_SECRETS = {
    "PICTURE_TOKEN": TOKEN,
    "PICTURE_APP_TOKEN": APP_TOKEN,
    "PICTURE_KEY": "0123456789abcdef0123456789abcdef",
    "PICTURE_SIGNING": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    "PICTURE_URL": "https://tickets.example/hook",
    "PICTURE_APPRISE": "ntfys://ntfy.example/care",
}

_STYLE = """
body{background:#eef0f3;color:#1d1c1d;font:15px/1.45 "DejaVu Sans",sans-serif;padding:16px}
.card{background:#fff;border:1px solid #d5d8dc;border-radius:8px;padding:14px 16px;margin:0 0 12px}
.card:last-child{margin:0}.who{font-weight:bold}.at{color:#616061;font-size:12px;font-weight:normal;margin-left:6px}
h1{font-size:18px;line-height:1.3;margin:6px 0}p{margin:6px 0;white-space:pre-wrap;overflow-wrap:anywhere}
blockquote{border-left:4px solid #c8ccd1;margin:6px 0;padding:0 0 0 10px;white-space:pre-wrap}
ul{margin:4px 0;padding-left:24px}a{color:#1264a3;text-decoration:none}
.b{display:inline-block;border:1px solid #b5b9be;border-radius:4px;font-size:13px;font-weight:bold;
margin:6px 6px 0 0;padding:4px 10px}.primary{background:#007a5a;border-color:#007a5a;color:#fff}
.thread{border-left:3px solid #d5d8dc;margin:10px 0 0 8px;padding:0 0 0 14px}.thread .one{margin:0 0 10px}
.chip{background:#e7eaee;border-radius:4px;display:inline-block;font:12px "DejaVu Sans Mono",monospace;
margin:0 6px 6px 0;padding:3px 7px}
table{border-collapse:collapse;font-size:13px;margin:8px 0 0}td{padding:3px 14px 3px 0;vertical-align:top;
overflow-wrap:anywhere}td:first-child{color:#616061;white-space:nowrap}
.tag{border-radius:4px;color:#fff;display:inline-block;font-size:12px;font-weight:bold;padding:2px 8px}
.critical,.error{background:#b3261e}.warning{background:#9a6700}.info{background:#2b6cb0}
pre{font:12px/1.45 "DejaVu Sans Mono",monospace;margin:0;overflow-wrap:anywhere;white-space:pre-wrap}
"""


def pages() -> dict[str, str]:
    """The page that each picture shows, by its name."""
    with patch.dict("os.environ", _SECRETS):
        first, last = _slack_app()
        return {
            "slack-late": _page(first),
            "slack-answered": _page(last),
            "slack-webhook": _page(_slack_webhook()),
            "pagerduty": _page(_incident(_preview("pagerduty", {"routing_key": {"env": "PICTURE_KEY"}}))),
            "alertmanager": _page(_fired(_preview("alertmanager", {"urls": ["http://am.example:9093"]})[0])),
            "webhook": _page(_posted(_preview("webhook", _SIGNED))),
            "apprise": _page(_pushed(_preview("apprise", {"url": {"env": "PICTURE_APPRISE"}}))),
        }


_SIGNED = {"url": {"env": "PICTURE_URL"}, "signing_secrets": [{"env": "PICTURE_SIGNING"}]}


def _story() -> Iterator[tuple[timedelta, Alert]]:
    """One case from the warning to the answer, and when each is said."""
    breach, cleared = facts()["breach"], facts()["cleared"]
    case, over = breach.case, cleared.case
    if case is None or over is None:
        raise LookupError("the alerts of the mails' pictures are about a case")
    warned = NOON - timedelta(minutes=8)
    taken = NOON + timedelta(minutes=1)
    yield timedelta(minutes=-8), replace(breach, key="1897/warning", stage=Stage.WARNING, at=warned)
    yield timedelta(0), breach
    mine = replace(case, moved="ack", moved_by="ana", acknowledged_by="ana")
    yield timedelta(minutes=1), replace(breach, key="1897/moved", stage=Stage.MOVED, at=taken, case=mine)
    yield timedelta(minutes=3), replace(cleared, case=replace(over, acknowledged_by="ana"))


def _build(kind: str, settings: Mapping[str, Any], clock: Callable[[], Any]) -> Channel:
    module = alerts.load(kind)
    made = module.Settings.model_validate({"type": kind, **settings})
    channel: Channel = module.build(made, ChannelSurroundings("care", ZONE, HttpOptions(), clock))
    return channel


@contextmanager
def _workspace() -> Iterator[tuple[SlackWorkspace, FixedClock, str]]:
    clock = FixedClock(NOON)
    workspace = SlackWorkspace(clock)
    with Served(make_slack_app(workspace)) as server:
        yield workspace, clock, server.url


def _slack_app() -> tuple[str, str]:
    """The app's messages right after the breach, and at the end with the thread."""
    with _workspace() as (workspace, clock, url):
        settings = {
            "bot_token": {"env": "PICTURE_TOKEN"},
            "app_token": {"env": "PICTURE_APP_TOKEN"},
            "channel": "#care",
            "api_url": f"{url}/api",
        }
        channel = _build("slack", settings, clock.now)
        receipt: Receipt | None = None
        late = ""
        for moment, alert in _story():
            clock.at = NOON + moment
            receipt = channel.send(alert, receipt, SECONDS_MAX)
            if alert.stage is Stage.BREACH:
                late = _message(workspace.posts[0])
        channel.close()
        head, *thread = workspace.posts
        replies = "".join(f'<div class="one">{_inner(post)}</div>' for post in thread)
        return late, f'<div class="card">{_inner(head)}<div class="thread">{replies}</div></div>'


def _slack_webhook() -> str:
    """A webhook's messages: nothing is changed, and there are no buttons."""
    with _workspace() as (workspace, clock, url):
        with patch.dict("os.environ", {"PICTURE_HOOK": f"{url}/services/T0/B0/hook"}):
            channel = _build("slack", {"webhook_url": {"env": "PICTURE_HOOK"}}, clock.now)
            for moment, alert in _story():
                if alert.stage in (Stage.BREACH, Stage.CLEARED):
                    clock.at = NOON + moment
                    channel.send(alert, None, SECONDS_MAX)
            channel.close()
        return "".join(map(_message, workspace.posts))


def _message(post: Post) -> str:
    return f'<div class="card">{_inner(post)}</div>'


def _inner(post: Post) -> str:
    at = post.at.astimezone(ZONE).strftime("%H:%M")
    also = " · also sent to the channel" if post.broadcast else ""
    who = f'<div class="who">Response Monitor<span class="at">{at}{also}</span></div>'
    if not post.blocks:
        return f"{who}<p>{_text(html.unescape(post.text))}</p>"  # Slack's own three escapes
    return who + "".join(map(_block, post.blocks))


def _block(block: Mapping[str, Any]) -> str:
    """A block of Block Kit: those that we send."""
    kind = block["type"]
    if kind == "header":
        return f"<h1>{_text(block['text']['text'])}</h1>"
    if kind == "section":
        return f"<p>{_text(block['text']['text'])}</p>"
    if kind == "rich_text":
        return "".join(map(_rich, block["elements"]))
    if kind == "actions":
        buttons = "".join(
            f'<span class="b {each.get("style", "")}">{_text(each["text"]["text"])}</span>'
            for each in block["elements"]
        )
        return f"<div>{buttons}</div>"
    raise LookupError(f"no picture of a block of type {kind}")


def _rich(element: Mapping[str, Any]) -> str:
    kind = element["type"]
    if kind == "rich_text_list":
        return (
            "<ul>" + "".join(f"<li>{_words(row['elements'])}</li>" for row in element["elements"]) + "</ul>"
        )
    words = _words(element["elements"])
    return f"<blockquote>{words}</blockquote>" if kind == "rich_text_quote" else f"<p>{words}</p>"


def _words(elements: Sequence[Mapping[str, Any]]) -> str:
    """The words of a rich text, which knows text and links and nothing else."""
    parts = []
    for element in elements:
        words, style = _text(element["text"]), element.get("style", {})
        if element["type"] == "link":
            words = f"<a>{words}</a>"
        words = f"<b>{words}</b>" if style.get("bold") else words
        parts.append(f"<i>{words}</i>" if style.get("italic") else words)
    return "".join(parts)


def _preview(kind: str, settings: Mapping[str, Any]) -> Any:
    """What the channel would send of the breach."""
    channel = _build(kind, settings, lambda: NOON)
    if not isinstance(channel, Previewing):
        raise LookupError(f"{kind} shows nothing beforehand")
    shown = channel.preview(facts()["breach"])
    channel.close()
    return json.loads(shown.text)


def _incident(request: Mapping[str, Any]) -> str:
    """An incident of PagerDuty, out of the request that triggers it."""
    payload = request["payload"]
    fields = {name: payload[name] for name in ("source", "component", "group", "class") if name in payload}
    rows = _rows({**fields, "dedup_key": request["dedup_key"]}) + _rows(payload["custom_details"])
    links = "".join(f"<p><a>{_text(link['text'])}</a></p>" for link in request.get("links", ()))
    return (
        f'<div class="card"><span class="tag {payload["severity"]}">{_text(payload["severity"])}</span>'
        f"<h1>{_text(payload['summary'])}</h1>{links}<table>{rows}</table></div>"
    )


def _fired(entry: Mapping[str, Any]) -> str:
    """An alert as Alertmanager lists it: its labels, and its annotations below."""
    chips = "".join(f'<span class="chip">{_text(f"{k}={v!r}")}</span>' for k, v in entry["labels"].items())
    times = {name: entry[name] for name in ("startsAt", "endsAt") if name in entry}
    return f'<div class="card">{chips}<table>{_rows(entry["annotations"])}{_rows(times)}</table></div>'


def _posted(body: Mapping[str, Any]) -> str:
    return f'<div class="card"><pre>{_text(json.dumps(body, indent=2, ensure_ascii=False))}</pre></div>'


def _pushed(message: Mapping[str, str]) -> str:
    """A message of a service that Apprise speaks to: a title and plain text."""
    link = f"<p><a>{_text(message['link'])}</a></p>" if message["link"] else ""
    return f'<div class="card"><h1>{_text(message["title"])}</h1>{link}<p>{_text(message["body"])}</p></div>'


def _rows(values: Mapping[str, Any]) -> str:
    rows = []
    for name, value in values.items():
        said = "\n".join(value) if isinstance(value, list) else str(value)
        rows.append(f"<tr><td>{_text(name)}</td><td>{_text(said)}</td></tr>")
    return "".join(rows)


def _text(text: str) -> str:
    return html.escape(text).replace("\n", "<br>")


def _page(body: str) -> str:
    return f"<!doctype html><meta charset=utf-8><style>{_STYLE}</style><body>{body}"


def pictures() -> list[tuple[Path, str, str]]:
    """Each picture's file, its name, and the page that it shows."""
    return [(FOLDER / f"{name}.png", name, page) for name, page in pages().items()]


def draw_all(chromium: str) -> None:
    """Draw every picture anew."""
    heights = measure(chromium, pages(), WIDTH)
    for path, name, page in pictures():
        draw(chromium, path, page, WIDTH, heights[name][1])


if __name__ == "__main__":
    draw_all("chromium")
