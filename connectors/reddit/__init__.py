"""Reddit: mentions and replies, private messages, keyword search, subreddits and own comments, on praw.

What may live in this folder: everything that knows Reddit's API, and nothing that another platform needs.
"""

from __future__ import annotations

from connectors.reddit.connector import CAPABILITIES, RedditConnector, build, search_queries
from connectors.reddit.settings import Settings

__all__ = ["CAPABILITIES", "RedditConnector", "Settings", "build", "search_queries"]
