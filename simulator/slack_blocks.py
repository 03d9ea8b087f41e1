"""What Slack takes of Block Kit: the limits of messages, blocks and buttons.

What may live here: Slack's word for what is wrong with a message. Source: Slack's documentation of Block Kit
(blocks, block elements, composition objects).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

BLOCKS_MAX = 50
BLOCK_ID_LENGTH_MAX = 255
HEADER_LENGTH_MAX = 150
SECTION_LENGTH_MAX = 3000
TEXT_LENGTH_MAX = 40_000
ELEMENTS_MAX = 25
BUTTON_TEXT_LENGTH_MAX = 75
BUTTON_VALUE_LENGTH_MAX = 2000
BUTTON_URL_LENGTH_MAX = 3000
_MENTION = re.compile(r"<@([UW][A-Z0-9]+)>")
_RICH_TEXT_PARTS = (
    "rich_text_section",
    "rich_text_list",
    "rich_text_quote",
    "rich_text_preformatted",
)


def trouble_with(body: Mapping[str, Any]) -> str | None:
    """Slack's word for what is wrong with a message, by the limits of Block Kit; None: nothing is."""
    text, blocks = body.get("text"), body.get("blocks")
    if not text and not blocks:
        return "no_text"
    if text is not None and (not isinstance(text, str) or len(text) > TEXT_LENGTH_MAX):
        return "msg_too_long"
    if blocks is None:
        return None
    if not isinstance(blocks, list) or len(blocks) > BLOCKS_MAX:
        return "invalid_blocks"
    ids = [b.get("block_id") for b in blocks if isinstance(b, dict) and b.get("block_id") is not None]
    doubled = len(ids) != len(set(ids))
    if doubled or any(not isinstance(i, str) or len(i) > BLOCK_ID_LENGTH_MAX for i in ids):
        return "invalid_blocks"
    return None if all(isinstance(b, dict) and _is_good(b) for b in blocks) else "invalid_blocks"


def mentioned(body: Mapping[str, Any]) -> tuple[str, ...]:
    """The users whom a new message notifies by name: those in its blocks' markup, and in its text only where
    it has no blocks, since that is then all that is shown."""
    blocks = body.get("blocks") or []
    texts = [block.get("text") for block in blocks if block.get("type") == "section"]
    shown = [text["text"] for text in texts if isinstance(text, dict) and text.get("type") == "mrkdwn"]
    shown = shown if blocks else [str(body.get("text", ""))]
    return tuple(dict.fromkeys(id for text in shown for id in _MENTION.findall(text)))


def _is_good(block: Mapping[str, Any]) -> bool:
    match block.get("type"):
        case "header":
            return _is_text(block.get("text"), HEADER_LENGTH_MAX, ("plain_text",))
        case "section":
            return _is_text(block.get("text"), SECTION_LENGTH_MAX, ("plain_text", "mrkdwn"))
        case "rich_text":
            return all(_is_rich(part) for part in block.get("elements") or [None])
        case "actions":
            return _are_buttons(block.get("elements"))
        case kind:
            return kind in ("divider", "context", "image")


def _are_buttons(elements: Any) -> bool:
    """The elements of an actions block: only buttons are known here, each with an action_id of its own."""
    if not isinstance(elements, list) or not 0 < len(elements) <= ELEMENTS_MAX:
        return False
    actions = [element.get("action_id") for element in elements if isinstance(element, dict)]
    known = len(actions) == len(elements) == len(set(actions))
    return known and all(_is_button(element) for element in elements)


def _is_button(element: Mapping[str, Any]) -> bool:
    limits = {
        "action_id": BLOCK_ID_LENGTH_MAX,
        "value": BUTTON_VALUE_LENGTH_MAX,
        "url": BUTTON_URL_LENGTH_MAX,
    }
    given = [(element[name], limits[name]) for name in limits if name in element]
    return (
        element.get("type") == "button"
        and _is_text(element.get("text"), BUTTON_TEXT_LENGTH_MAX, ("plain_text",))
        and element.get("style") in (None, "primary", "danger")
        and str(element.get("url", "https://")).startswith(("http://", "https://"))
        and all(isinstance(text, str) and 0 < len(text) <= most for text, most in given)
    )


def _is_text(text: Any, length_max: int, kinds: Collection[str]) -> bool:
    if not isinstance(text, dict) or text.get("type") not in kinds:
        return False
    return isinstance(text.get("text"), str) and 0 < len(text["text"]) <= length_max


def _is_rich(part: Any) -> bool:
    """A part of a rich text: no list is empty, no text without a letter, no link without a scheme."""
    if not isinstance(part, dict):
        return False
    if part.get("type") in _RICH_TEXT_PARTS:
        return bool(part.get("elements")) and all(_is_rich(each) for each in part["elements"])
    if part.get("type") == "text":
        return isinstance(part.get("text"), str) and bool(part["text"])
    return part.get("type") == "link" and str(part.get("url")).startswith(("http://", "https://"))
