"""[[routes]] and [[people]]: who is told and who is called, as people write it in monitor.toml, made into
what `rules.routes` and `rules.team` go by.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from monitor.matching import MatchConfig, Model, Name, Phrase, one_or_many
from rules.alert import Stage
from rules.case import ClockName
from rules.routes import News, Row
from rules.team import Person

RouteStage = Literal["warning", "breach", "storm", "spike", "trouble"]
ROUTED = (Stage.WARNING, Stage.BREACH, Stage.SPIKE, Stage.TROUBLE)
"""What routes decide on where they name no stage."""

WITHOUT_CASE = (Stage.STORM, Stage.SPIKE, Stage.TROUBLE)
ON_CALL = "@oncall"
"""As a channel's `mention`: whoever is on shift."""


class RouteConfig(MatchConfig):
    """[[routes]]: which channels are told of what; top to bottom, the first that matches."""

    name: Name = Field(
        examples=["complaints"], description="Its name in `alerts route` and `alerts show`, each once."
    )
    stage: Annotated[list[RouteStage], BeforeValidator(one_or_many), Field(min_length=1)] | None = Field(
        default=None,
        examples=[["warning", "breach"]],
        description="Only these stages; a storm only where it is named here.",
    )
    clock: (
        Annotated[
            list[Literal["first_response", "next_response", "resolution"]],
            BeforeValidator(one_or_many),
            Field(min_length=1),
        ]
        | None
    ) = Field(default=None, examples=[["first_response"]], description="Only these clocks.")
    target: Annotated[list[Phrase], BeforeValidator(one_or_many), Field(min_length=1)] | None = Field(
        default=None,
        examples=[["public complaint"]],
        description="Only cases that are held to these targets.",
    )
    channels: list[str] = Field(
        examples=[["care-slack", "care-mail"]],
        description="Who is told: names of [channels.NAME]; an empty list: nobody, on purpose.",
    )
    goes_on: bool = Field(default=False, alias="continue", description="The routes below are looked at too.")
    fallback: list[str] | None = Field(
        default=None,
        min_length=1,
        examples=[["ops-mail"]],
        description="The channels that are told where none of `channels` could be.",
    )

    @model_validator(mode="after")
    def _possible(self) -> RouteConfig:
        stages = set(self.stage or ROUTED)
        if self.row.wants_case and stages <= set(WITHOUT_CASE):
            raise ValueError(
                "stage: a storm, a spike and a trouble have no case; expected no keys beside brand, "
                'connector and stage, or a stage such as "breach" too'
            )
        return self

    @property
    def row(self) -> Row:
        """The same for the core."""
        return Row(
            name=self.name,
            channels=tuple(self.channels),
            match=self.match,
            goes_on=self.goes_on,
            fallback=None if self.fallback is None else tuple(self.fallback),
            stages=None if self.stage is None else frozenset(map(Stage, self.stage)),
            clocks=None if self.clock is None else frozenset(map(ClockName, self.clock)),
            targets=None if self.target is None else frozenset(self.target),
        )

    def leaves_nothing_to(self, other: RouteConfig) -> bool:
        """Whether everything that is for `other` is for this one too, and goes no further."""
        if self.goes_on or not self.takes_all_of(other):
            return False
        if not set(other.stage or ROUTED) <= set(self.stage or ROUTED):
            return False
        for key in ("clock", "target"):
            mine, theirs = getattr(self, key), getattr(other, key)
            if mine is not None and (theirs is None or not set(theirs) <= set(mine)):
                return False
        caseless = set(other.stage or ROUTED) & set(WITHOUT_CASE)
        return not (self.row.wants_case and not other.row.wants_case and caseless)


class PersonConfig(Model):
    """[[people]]: somebody of the care team."""

    name: Name = Field(examples=["ana"], description="Their name, as `assign` takes it; each once.")
    slack: Annotated[str, StringConstraints(pattern=r"^[UW][A-Z0-9]{2,20}$")] | None = Field(
        default=None, examples=["U012AB3CD"], description="Their user id in Slack, by which they are called."
    )
    email: Annotated[str, StringConstraints(pattern=r"^[^\s@<>]{1,64}@[^\s@<>]{1,190}$")] | None = Field(
        default=None,
        examples=["ana@acme.example"],
        description="Their address, at which they are told what is theirs, if Slack does not tell them; "
        "`assign` takes it for their name.",
    )
    signature: Name | None = Field(
        default=None,
        examples=["^AN"],
        description="What ends the replies that they write for the brand, so that an all-clear names them.",
    )
    shift: str | None = Field(
        default=None,
        examples=["office"],
        description='When they are called by a channel\'s mention = "@oncall": the name of a '
        '[calendars.NAME], or "always"; default: never.',
    )

    @property
    def person(self) -> Person:
        """The same for the core."""
        return Person(self.name, self.slack, self.email, self.signature, self.shift)


def hidden_routes(routes: Sequence[RouteConfig]) -> Iterator[tuple[int, RouteConfig]]:
    """The routes that are never reached, by their numbers, each with one above that takes all that is
    theirs."""
    for number, route in enumerate(routes):
        above = next((r for r in routes[:number] if r.leaves_nothing_to(route)), None)
        if above is not None:
            yield number, above


def untaken(routes: Sequence[RouteConfig], brand: str) -> list[str]:
    """The stages of which not everything about a brand is surely for a route: of a claim, some case may be
    for none."""
    return [
        stage.value
        for stage in ROUTED
        if not any(not r.row.wants_case and r.row.mismatch(News(stage, brand)) is None for r in routes)
    ]
