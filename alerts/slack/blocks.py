"""Messages in Block Kit. Pure: facts in, dictionaries out, which slack_sdk's models have checked.

What may live here: how an alert, a line of its story, an answer and a list look in Slack, and the buttons.
Strangers' words stand only in plain_text and in rich text's text elements: neither knows markup, mentions or
links. Sources: Slack's documentation of Block Kit (blocks, block elements) and of formatting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from alerts.contract import Deed, WaitingLine
from alerts.render import Line, Rendered, awaits, calls, safe_link
from alerts.slack.settings import ON_CALL, USER_ID
from rules.alert import Addressee, Alert, Stage
from wire.redact import inert

if TYPE_CHECKING:
    from slack_sdk.models.blocks import Block

HEADER_LENGTH_MAX = 150
BLOCK_ID_LENGTH_MAX = 255
VALUE_LENGTH_MAX = 2000
WAITING_MAX = 20
"""So many cases stand in one list."""
LINE_LENGTH_MAX = 300

OPEN_ACTION = "response_monitor.open"
"""The button that only opens a page. Slack tells of it all the same; there is nothing to do."""

DEEDS: Mapping[str, tuple[Deed, float | None, str]] = {
    "response_monitor.take": (Deed.TAKE, None, "I take it"),
    "response_monitor.snooze_15": (Deed.SNOOZE, 15 * 60.0, "Snooze 15 min"),
    "response_monitor.snooze_60": (Deed.SNOOZE, 60 * 60.0, "Snooze 1 h"),
    "response_monitor.answered": (Deed.ANSWERED, None, "Answered elsewhere"),
    "response_monitor.no_reply": (Deed.NO_REPLY, None, "No reply needed"),
    "response_monitor.not_complaint": (Deed.NOT_COMPLAINT, None, "Not a complaint"),
    "response_monitor.resolve": (Deed.RESOLVE, None, "Resolved"),
}
"""action_id → what it does, for how many seconds, and what stands on the button."""

_FIRST_ROW = 3


def escape(text: str) -> str:
    """Slack's three letters of control: what is escaped can neither call, link nor be a command.

    Source: Slack's "Formatting text for app surfaces", escaping text.
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def called(alert: Alert, mention: str | None) -> str | None:
    """Whom an alert calls, in Slack's form: the channel's own mention, and the people whom it concerns by
    name. Their ids are the config's."""
    if alert.stage is Stage.MOVED:
        return _user(alert.addressee)
    facts = alert.case or alert.storm
    ids = [f"<@{id}>" for id in (facts.calls if facts is not None else ()) if USER_ID.fullmatch(id)]
    own = [] if mention in (None, ON_CALL, *ids) else [mention]
    return " ".join([m for m in own if m is not None] + ids) or None


def _user(person: Addressee | None) -> str | None:
    """The one whom it is for, in Slack's form."""
    known = person is not None and person.slack is not None and USER_ID.fullmatch(person.slack)
    return f"<@{person.slack}>" if person is not None and known else None


def build_line(text: str, mention: str | None) -> dict[str, Any]:
    """A line of a story, which calls nobody but the `mention`: its text, and with one its blocks too."""
    line: dict[str, Any] = {"text": escape(text)}
    if mention is None:
        return line
    from slack_sdk.models.blocks import MarkdownTextObject, RichTextBlock, SectionBlock

    blocks: list[Block] = [
        SectionBlock(text=MarkdownTextObject(text=mention, verbatim=True)),
        RichTextBlock(elements=[_section([[_text(text)]])]),
    ]
    return {**line, "blocks": [block.to_dict() for block in blocks]}


def build_blocks(
    alert: Alert, said: Rendered, mention: str | None, *, buttons: bool = False, block_id: str | None = None
) -> list[dict[str, Any]]:
    """The message. The first block's id is the alert's key, which is all that a webhook can carry, unless
    another is given: a changed message needs ids of its own. `mention` is Slack's form; not every alert
    calls. `buttons`: somebody hears them; they are there while the customer waits. slack_sdk checks the
    limits."""
    from slack_sdk.models.blocks import (
        HeaderBlock,
        MarkdownTextObject,
        PlainTextObject,
        RichTextBlock,
        SectionBlock,
    )

    header = _cut(f"{said.mark} {said.headline}", HEADER_LENGTH_MAX)
    first_id = (block_id or alert.key)[:BLOCK_ID_LENGTH_MAX]
    blocks: list[Block] = [
        HeaderBlock(block_id=first_id, text=PlainTextObject(text=header, emoji=False)),
    ]
    if mention is not None and calls(alert):
        blocks.append(SectionBlock(text=MarkdownTextObject(text=mention, verbatim=True)))
    blocks.append(RichTextBlock(elements=_rich_text(said)))
    if buttons:
        blocks += _buttons(alert, said.link)
    return [block.to_dict() for block in blocks]


def _buttons(alert: Alert, link: str | None) -> list[Block]:
    """What can be done, in two rows: what happens next, and how it ended. The case's reference is in each
    button as it is; one that Slack would not hand back letter by letter gets no buttons."""
    from slack_sdk.models.blocks import ActionsBlock, ButtonElement, PlainTextObject

    reference = alert.case.case_id if alert.case is not None and awaits(alert) else ""
    if not reference.isprintable() or not 0 < _length(reference) <= VALUE_LENGTH_MAX:
        return []
    elements = [
        ButtonElement(
            action_id=action,
            text=PlainTextObject(text=label, emoji=False),
            value=reference,
            style="primary" if deed is Deed.TAKE else None,
        )
        for action, (deed, _, label) in DEEDS.items()
    ]
    first, second = elements[:_FIRST_ROW], elements[_FIRST_ROW:]
    if link is not None:
        text = PlainTextObject(text="Open post", emoji=False)
        first.append(ButtonElement(action_id=OPEN_ACTION, text=text, url=link))
    return [ActionsBlock(elements=first), ActionsBlock(elements=second)]


def build_list(lines: Sequence[WaitingLine]) -> tuple[str, list[dict[str, Any]]]:
    """A list of who waits, as the text of its notification and as blocks."""
    from slack_sdk.models.blocks import HeaderBlock, PlainTextObject, RichTextBlock

    shown = [line for line in (_waiting_line(line) for line in lines[:WAITING_MAX]) if line.text]
    if not shown:
        return "Nobody waits.", []
    title = "The most urgent case" if len(shown) == 1 else f"The {len(shown)} most urgent cases"
    blocks: list[Block] = [
        HeaderBlock(text=PlainTextObject(text=title, emoji=False)),
        RichTextBlock(elements=[_list([_line(line) for line in shown])]),
    ]
    return title, [block.to_dict() for block in blocks]


def _waiting_line(line: WaitingLine) -> Line:
    text = f"{line.customer} on {line.place}: {line.standing} ({line.case_id})"
    return Line(inert(text, LINE_LENGTH_MAX), safe_link(line.url), "Open post")


def _length(text: str) -> int:
    """How long it is where strings are UTF-16: an emoji counts twice."""
    return len(text.encode("utf-16-le", "replace")) // 2


def _cut(text: str, length_max: int) -> str:
    """The start of a text; an emoji counts twice, as it does where strings are UTF-16."""
    return text.encode("utf-16-le")[: 2 * length_max].decode("utf-16-le", "ignore")


def _rich_text(said: Rendered) -> list[dict[str, Any]]:
    """Everything below the header: lines in sections, the customer's words as a quote, reasons as a list."""
    head = [[*_label(label), _text(value)] for label, value in said.facts]
    tail = [[*_label(said.note_title), _text(caveat)] for caveat in said.caveats]
    links = [Line("", said.link, said.link_text), *said.more_links]
    tail += [[{"type": "link", "url": each.link, "text": each.link_text}] for each in links if each.link]
    tail.append([{**_text(said.footer), "style": {"italic": True}}])
    elements: list[dict[str, Any]] = []
    if said.quote is not None:
        elements.append(_section([*head, _label(said.quote_title)]))
        elements.append({"type": "rich_text_quote", "elements": [_text(said.quote)]})
        head = []
    if said.cases:
        elements.append(_section([*head, _label(said.cases_title)]))
        elements.append(_list([_line(each) for each in said.cases]))
        head = []
    if said.reasons:
        elements.append(_section([*head, _label(said.reasons_title)]))
        elements.append(_list([[_text(reason)] for reason in said.reasons]))
        head = []
    return [*elements, _section([*head, *tail])]


def _list(rows: Sequence[Sequence[dict[str, Any]]]) -> dict[str, Any]:
    return {"type": "rich_text_list", "style": "bullet", "elements": [_section([row]) for row in rows]}


def _line(line: Line) -> list[dict[str, Any]]:
    """A line, and its link where it has one."""
    if line.link is None:
        return [_text(line.text)]
    return [_text(f"{line.text} "), {"type": "link", "url": line.link, "text": line.link_text}]


def _section(lines: Sequence[Sequence[dict[str, Any]]]) -> dict[str, Any]:
    """Lines of a rich text; it has no lines of its own but the line ends in its texts."""
    elements: list[dict[str, Any]] = []
    for line in lines:
        elements += [_text("\n"), *line] if elements else line
    return {"type": "rich_text_section", "elements": elements}


def _text(text: str) -> dict[str, Any]:
    # Slack refuses a text element without a letter.
    return {"type": "text", "text": text or " "}


def _label(label: str) -> list[dict[str, Any]]:
    return [{**_text(f"{label}: "), "style": {"bold": True}}]
