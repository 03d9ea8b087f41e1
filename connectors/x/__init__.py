"""X (formerly Twitter): mentions, keyword search, direct messages and the account's own posts, on tweepy.

What may live in this folder: everything that knows X's API, and nothing that another platform needs.
"""

from __future__ import annotations

from connectors.x.connector import CAPABILITIES, XConnector, build, search_query
from connectors.x.settings import Access, Settings

__all__ = ["CAPABILITIES", "Access", "Settings", "XConnector", "build", "search_query"]
