"""Email: what customers write to the brand's mailboxes and what it answers, read over IMAP.

What may live in this folder: everything that knows IMAP and mails, and nothing that another platform needs.
"""

from __future__ import annotations

from connectors.email.connector import CAPABILITIES, EmailConnector, build
from connectors.email.settings import Settings

__all__ = ["CAPABILITIES", "EmailConnector", "Settings", "build"]
