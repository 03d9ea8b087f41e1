"""Mastodon and servers that speak its API: mentions, hashtags, own posts and direct posts.

What may live in this folder: everything that knows Mastodon's API, and nothing that another platform needs.
"""

from __future__ import annotations

from connectors.mastodon.connector import CAPABILITIES, MastodonConnector, build
from connectors.mastodon.settings import Settings

__all__ = ["CAPABILITIES", "MastodonConnector", "Settings", "build"]
