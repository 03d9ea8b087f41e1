"""Slack: an incoming webhook (posts only), or an app (posts, threads, updates, and buttons that are heard).

What may live here: Slack's settings, its Block Kit, its Web API, what people do there, and nothing that
another channel would need. Nothing of slack_sdk or of WebSockets is imported before it is used.

- `settings.py`: what the config can say.
- `blocks.py`: Block Kit, pure.
- `api.py`: the Web API and webhooks: what their answers mean.
- `channel.py`: telling people; a case is one message, updated as it moves.
- `payloads.py`: what Slack says that people did, pure; signatures of callbacks.
- `ear.py`: from what people did to the desk, and the answer to whoever did it.
- `line.py`: the line of Socket Mode.
"""

from __future__ import annotations

from alerts.slack.channel import SlackChannel, build
from alerts.slack.settings import Settings

__all__ = ["Settings", "SlackChannel", "build"]
