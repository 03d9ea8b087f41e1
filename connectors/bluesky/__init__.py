"""Bluesky: mentions, replies and quotes, keyword search, own posts and direct messages, over XRPC.

What may live in this folder: everything that knows the AT Protocol, and nothing that another platform needs.
"""

from __future__ import annotations

from connectors.bluesky.connector import CAPABILITIES, BlueskyConnector, build
from connectors.bluesky.settings import Settings

__all__ = ["CAPABILITIES", "BlueskyConnector", "Settings", "build"]
