"""What can be said of Slack in the config. What may live here: the model, and the forms of what it takes."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from wire.secret import Secret

ON_CALL = "@oncall"
"""Whoever is on shift: the alert brings their ids."""

_MENTIONS = {"@here": "<!here>", "@channel": "<!channel>", "@everyone": "<!everyone>"}
_GROUP_ID = re.compile(r"S[A-Z0-9]{2,20}")
USER_ID = re.compile(r"[UW][A-Z0-9]{2,20}")
_SLACK_FORM = re.compile(r"<(!here|!channel|!everyone|!subteam\^S[A-Z0-9]{2,20}|@[UW][A-Z0-9]{2,20})>")


def _base_url(value: str) -> str:
    if not value.startswith(("https://", "http://")) or any(letter in value for letter in "@?#"):
        raise ValueError(
            'expected a URL such as "https://slack.com/api", without a user, a query or a fragment'
        )
    return value.rstrip("/")


def _mention(value: str) -> str:
    """Slack's form of a mention. Only what the config says ever becomes one."""
    if value == ON_CALL:
        return value
    if value in _MENTIONS or _SLACK_FORM.fullmatch(value):
        return _MENTIONS.get(value, value)
    if _GROUP_ID.fullmatch(value):
        return f"<!subteam^{value}>"
    if USER_ID.fullmatch(value):
        return f"<@{value}>"
    raise ValueError(
        'expected "@here", "@channel", "@oncall", or the id of a user group ("S…") or a user ("U…")'
    )


def _user_id(value: str) -> str:
    if not USER_ID.fullmatch(value):
        raise ValueError('expected the id of a user, such as "U0123ABCD" (in Slack: profile, Copy member ID)')
    return value


class Settings(BaseModel):
    """[channels.NAME] with type = "slack": an incoming webhook, or a bot token and a channel."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    type: Literal["slack"] = Field(default="slack", description="This kind of channel.")
    webhook_url: Secret | None = Field(
        default=None,
        description="An incoming webhook's URL, as a secret. It posts; it cannot update, use threads or have "
        "buttons.",
    )
    bot_token: Secret | None = Field(
        default=None, description="A bot token (xoxb-…) with the scope chat:write; needs channel too."
    )
    channel: Annotated[str, StringConstraints(pattern=r"^(#[^\s#@<>]{1,80}|[CGD][A-Z0-9]{5,20})$")] | None = (
        Field(default=None, description='With bot_token: where to post, "#care" or the channel\'s id.')
    )
    app_token: Secret | None = Field(
        default=None,
        description="With bot_token: an app-level token (xapp-…) with the scope connections:write. Messages "
        "have buttons, heard over Socket Mode: no public address is needed.",
    )
    signing_secret: Secret | None = Field(
        default=None,
        description="With bot_token, instead of app_token: the app's signing secret. Messages have buttons; "
        "Slack calls our web server over HTTPS.",
    )
    operators: tuple[Annotated[str, AfterValidator(_user_id)], ...] = Field(
        default=(),
        max_length=500,
        description="Ids of the users whose buttons and /waiting count. Default: whoever sees the channel.",
    )
    mention: Annotated[str, AfterValidator(_mention)] | None = Field(
        default=None,
        description="Whom a breach, an escalation and a storm's beginning call: "
        '"@here", "@channel", "@oncall" (who is on shift), or the id of a user group or a user.',
    )
    api_url: Annotated[str, AfterValidator(_base_url)] = Field(
        default="https://slack.com/api", description="Where Slack's Web API is, for bot_token."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.webhook_url is None) == (self.bot_token is None):
            raise ValueError("expected either webhook_url, or bot_token and channel")
        if self.bot_token is not None and self.channel is None:
            raise ValueError('channel: missing; expected where to post, such as "#care"')
        if self.webhook_url is not None and self.channel is not None:
            raise ValueError("channel: a webhook has its own channel; remove this, or use bot_token")
        if self.webhook_url is not None and self.hears:
            raise ValueError("app_token, signing_secret: a webhook can only post; use bot_token")
        if self.app_token is not None and self.signing_secret is not None:
            raise ValueError("expected app_token (Socket Mode) or signing_secret (HTTP callbacks), not both")
        if self.operators and not self.hears:
            raise ValueError("operators: nobody is heard without app_token or signing_secret")
        return self

    @property
    def hears(self) -> bool:
        """Whether what people do in Slack reaches us, so that a button is no lie."""
        return self.app_token is not None or self.signing_secret is not None
