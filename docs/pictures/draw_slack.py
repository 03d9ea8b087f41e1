"""The pictures of docs/alerts.md: one wait in Slack, from the warning to the answer.

What may live here: what a simulated workspace holds when the real channel has told it, and our own HTML for
Block Kit: as much of it as our messages use. What this does not know it refuses, so that no picture leaves
anything out. Source of what blocks mean: Slack's documentation of Block Kit, and of formatting.

`python -m docs.pictures.draw_slack` draws them anew; `docs/pictures/browser.py` says what that needs.
"""

from __future__ import annotations

import copy
import html
import re
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from alerts.contract import ChannelSurroundings
from alerts.slack.blocks import build_list
from alerts.slack.channel import SlackChannel
from alerts.slack.settings import Settings
from docs.pictures.browser import SECONDS_MAX, Picture, draw_all
from docs.pictures.kestrel import NOON, ZONE, answered, breached, storm, taken, warned
from monitor.desk import waiting_line
from rules.alert import Alert, StormCase
from simulator.serve import Served
from simulator.slack_api import APP_TOKEN, TOKEN, Post, SlackWorkspace, make_slack_app
from simulator.world import FixedClock
from wire.http import HttpOptions

WIDTH = 620
APP = "Response Monitor"
CHANNEL = "#care"
HOOK = "T0/B0/invented"
WARNED, BREACHED, TAKEN, ANSWERED = range(4)

_STYLE = """
body{margin:0;background:#fff;color:#1d1c1d;font:15px/22px "Liberation Sans",Arial,sans-serif}
.top{border-bottom:1px solid #ddd;padding:10px 18px;font-weight:bold}
.top small{color:#616061;font-weight:normal;font-size:13px;padding-left:8px}
.post{display:flex;gap:10px;padding:10px 18px}
.face{flex:none;width:36px;height:36px;border-radius:8px;background:#1f3a5f;color:#fff;font:bold 15px/36px
"Liberation Sans",Arial,sans-serif;text-align:center}
.body{flex:1;min-width:0;overflow-wrap:anywhere}
.who{font-weight:bold}
.badge{background:#e8e8e8;color:#616061;font-size:10px;font-weight:bold;padding:1px 4px;border-radius:3px}
.dim,.dim a{color:#616061;font-size:13px}
h3{font-size:18px;line-height:24px;margin:2px 0 6px}
p,ul,blockquote{margin:0 0 6px}
p,blockquote{white-space:pre-wrap}
blockquote{border-left:4px solid #ddd;padding-left:12px}
ul{padding-left:24px}
a{color:#1264a3;text-decoration:none}
.call{background:#fdf2d3;color:#7a5400;border-radius:3px;padding:0 3px}
.row{display:flex;flex-wrap:wrap;gap:8px;margin:8px 0}
.button{border:1px solid #bbb;border-radius:6px;padding:3px 11px;font-weight:bold;font-size:14px;
white-space:nowrap}
.primary{background:#007a5a;border-color:#007a5a;color:#fff}
.count{margin-top:4px}
.rule{display:flex;align-items:center;gap:10px;padding:2px 18px;color:#616061;font-size:13px}
.rule::after{content:"";flex:1;border-top:1px solid #ddd}
"""


def _tell(
    alerts: Sequence[Alert], settings: Mapping[str, Any], workspace: SlackWorkspace
) -> list[list[Post]]:
    """What stands in a workspace after each alert, when the real channel tells it over HTTP. A setting that
    is a secret names one: {"file": "bot"}, "app" or "hook"."""
    after = []
    workspace.clock = clock = FixedClock(NOON)
    with Served(make_slack_app(workspace)) as server, tempfile.TemporaryDirectory() as folder:
        for name, secret in (("bot", TOKEN), ("app", APP_TOKEN), ("hook", f"{server.url}/services/{HOOK}")):
            (Path(folder) / name).write_text(secret, "utf-8")
        made: dict[str, Any] = {
            name: {"file": f"{folder}/{given['file']}"} if isinstance(given, dict) else given
            for name, given in settings.items()
        }
        made["api_url"] = f"{server.url}/api"
        surroundings = ChannelSurroundings("care", ZONE, HttpOptions(), clock.now)
        channel = SlackChannel(Settings.model_validate(made), surroundings)
        try:
            previous = None
            for alert in alerts:
                clock.at = alert.at
                previous = channel.send(alert, previous, SECONDS_MAX)
                after.append(copy.deepcopy(workspace.posts))
        finally:
            channel.close()
    return after


def told_by_app() -> list[list[Post]]:
    """One wait, told by an app whose buttons are heard: what stands after each alert."""
    settings = {
        "bot_token": {"file": "bot"},
        "app_token": {"file": "app"},
        "channel": CHANNEL,
        "mention": "@here",
    }
    story = [warned(), breached(), taken(), answered(was_taken=True)]
    return _tell(story, settings, SlackWorkspace(FixedClock(NOON), channels=(CHANNEL,)))


def told_by_webhook() -> list[list[Post]]:
    """The same wait over an incoming webhook: what stands after each alert."""
    story = [breached(), answered(was_taken=False)]
    return _tell(story, {"webhook_url": {"file": "hook"}}, SlackWorkspace(FixedClock(NOON), hook=HOOK))


def pages() -> dict[str, str]:
    """Every page, by the name of its picture."""
    app = told_by_app()
    hook = told_by_webhook()[-1]
    text, blocks = build_list([waiting_line(one, True, NOON) for one in _worst()])
    whisper = Post("", CHANNEL, NOON, text, blocks, "")
    return {
        "slack-warning": _channel(app[WARNED]),
        "slack-breach": _channel(app[BREACHED], only_last=True),
        "slack-taken": _thread(app[TAKEN]),
        "slack-answered": _channel(app[ANSWERED]),
        "slack-waiting": _page(CHANNEL, "", _post(whisper, above="Only visible to you")),
        "slack-webhook": _channel(hook),
    }


def _worst() -> Sequence[StormCase]:
    told = storm().storm
    assert told is not None
    return told.worst


def _channel(posts: Sequence[Post], *, only_last: bool = False) -> str:
    """What stands in the channel: replies only where they were sent to it as well."""
    shown = [post for post in posts if post.thread_ts is None or post.broadcast]
    made = []
    for post in shown[-1:] if only_last else shown:
        root = next((one for one in posts if one.ts == post.thread_ts), None)
        above = "" if root is None else f"replied to a thread: <a>{_mrkdwn(root.text)}</a>"
        replies = sum(one.thread_ts == post.ts for one in posts)
        made.append(_post(post, above=above, replies=replies))
    return _page(CHANNEL, "", "".join(made))


def _thread(posts: Sequence[Post]) -> str:
    """The thread of the first message."""
    root, *replies = posts
    if any(reply.thread_ts != root.ts for reply in replies):
        raise ValueError("a message that is not of this thread")
    count = f'<div class="rule">{_count(len(replies))}</div>'
    return _page("Thread", CHANNEL, _post(root) + count + "".join(_post(reply) for reply in replies))


def _page(title: str, beside: str, body: str) -> str:
    small = f"<small>{_escape(beside)}</small>" if beside else ""
    top = f'<div class="top">{_escape(title)}{small}</div>'
    return f"<!doctype html><meta charset=utf-8><style>{_STYLE}</style>{top}{body}"


def _post(post: Post, *, above: str = "", replies: int = 0) -> str:
    blocks = "".join(draw_block(block) for block in post.blocks) or f"<p>{_mrkdwn(post.text)}</p>"
    who = f'<span class="who">{APP}</span> <span class="badge">APP</span>'
    line = f'<div class="dim">{above}</div>' if above else ""
    count = f'<div class="count"><a>{_count(replies)}</a></div>' if replies else ""
    head = f'{who} <span class="dim">{_clock(post.at)}</span>{line}'
    return f'<div class="post"><div class="face">RM</div><div class="body">{head}{blocks}{count}</div></div>'


def _count(replies: int) -> str:
    return "1 reply" if replies == 1 else f"{replies} replies"


def _clock(at: datetime) -> str:
    return at.astimezone(ZONE).strftime("%H:%M")


def draw_block(block: Mapping[str, Any]) -> str:
    """One block. Raises ValueError for what this does not know."""
    match block:
        case {"type": "header", "text": {"type": "plain_text", "text": text}}:
            return f"<h3>{_escape(text)}</h3>"
        case {"type": "section", "text": {"type": "mrkdwn", "text": text}}:
            return f"<p>{_mrkdwn(text)}</p>"
        case {"type": "rich_text", "elements": elements}:
            return "".join(_rich(element) for element in elements)
        case {"type": "actions", "elements": elements}:
            return f'<div class="row">{"".join(_button(element) for element in elements)}</div>'
    raise ValueError(f"a block that the pictures do not know: {block.get('type')!r}")


def _rich(element: Mapping[str, Any]) -> str:
    """A part of a rich text."""
    parts = element["elements"]
    match element:
        case {"type": "rich_text_section"}:
            return f"<p>{_texts(parts)}</p>"
        case {"type": "rich_text_quote"}:
            return f"<blockquote>{_texts(parts)}</blockquote>"
        case {"type": "rich_text_list", "style": "bullet"}:
            rows = [_texts(part["elements"]) for part in parts]
            return f"<ul><li>{'</li><li>'.join(rows)}</li></ul>"
    raise ValueError(f"a rich text that the pictures do not know: {element.get('type')!r}")


def _texts(elements: Sequence[Mapping[str, Any]]) -> str:
    return "".join(_text(element) for element in elements)


def _text(element: Mapping[str, Any]) -> str:
    match element:
        case {"type": "link", "text": text}:
            return f"<a>{_escape(text)}</a>"
        case {"type": "text", "text": text, "style": {"bold": True}}:
            return f"<b>{_escape(text)}</b>"
        case {"type": "text", "text": text, "style": {"italic": True}}:
            return f"<i>{_escape(text)}</i>"
        case {"type": "text", "text": text} if "style" not in element:
            return _escape(text)
    raise ValueError(f"a text that the pictures do not know: {element!r}")


def _button(element: Mapping[str, Any]) -> str:
    match element:
        case {"type": "button", "text": {"type": "plain_text", "text": text}}:
            kind = " primary" if element.get("style") == "primary" else ""
            return f'<span class="button{kind}">{_escape(text)}</span>'
    raise ValueError(f"an element that the pictures do not know: {element.get('type')!r}")


def _mrkdwn(text: str) -> str:
    """Slack's form of a text: its three letters are escaped as HTML's are, and a call stands in "<…>". Raises
    ValueError for any other markup."""
    shown = re.sub(r"<!(here|channel)>", r"@\1", text)
    if re.search(r"[<>]|(?<!\w)[*_~`]", shown):
        raise ValueError(f"markup that the pictures do not know: {text!r}")
    return re.sub(r"<!(here|channel)>", r'<span class="call">@\1</span>', text)


def _escape(text: str) -> str:
    return html.escape(text, quote=False)


def pictures() -> list[Picture]:
    """Every page as wide as a channel's column."""
    return [Picture(name, page, WIDTH) for name, page in pages().items()]


if __name__ == "__main__":
    draw_all("chromium", pictures())
