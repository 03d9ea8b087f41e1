"""A second look at a config that is right: what is allowed in it, and probably not meant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import connectors
from monitor.config import STAGES, Config
from monitor.who import ON_CALL, hidden_routes, untaken
from wire.secret import Secret


def second_look(config: Config, own_targets: bool, secrets: Iterable[tuple[str, Secret]]) -> Iterator[str]:
    """What is allowed and probably not meant, one line each. `own_targets`: the file has some. `secrets` are
    those of the config with their places."""
    if config.web.enabled and config.web.is_public:
        yield f"web.listen: others can reach {config.web.listen}, and there is no password on it"
    if not config.web.enabled:
        for account in config.accounts():
            can = connectors.load(account.connector).CAPABILITIES
            if can.pushed and not can.polled:
                yield f"{account.key}: web.enabled is false, so nothing can be handed over: it hears nothing"
    for name in config.brands:
        if name not in {a.brand for a in config.all_accounts}:
            yield f"brands.{name}: has no account, so nothing will be read for it"
    handles: set[tuple[str, str, str]] = set()
    for account in config.all_accounts:
        one = (account.brand, account.connector, account.handle)
        if one in handles:
            yield f"{account.key}: @{account.handle} stands here twice, and is read twice"
        handles.add(one)
    if not own_targets:
        said = ", ".join(t.name for t in config.targets)
        yield f"targets: none are given, so those of `response-monitor init` hold: {said}"
    elif not config.targets:
        yield "targets: none are given, so nothing can be late"
    for number, target in enumerate(config.targets):
        above = next((t for t in config.targets[:number] if t.leaves_nothing_to(target)), None)
        if above is not None:
            yield f"targets[{number}]: {target.name!r} is never reached; {above.name!r} above takes its cases"
        labels = {a.label for a in config.all_accounts if target.brand in (None, a.brand)}
        if target.account is not None and target.account not in labels:
            yield f"targets[{number}].account: no account has the label {target.account!r}"
    if not config.channels:
        yield "channels: none are given, so nobody will be told"
    for stage in STAGES if config.channels else ():
        if not any(stage in c.stages for c in config.channels.values()):
            yield f"channels: none says {stage!r}"
    yield from _who_is_told(config)
    for where, secret in secrets:
        if secret.source == "file" and not Path(secret.name).is_absolute():
            yield f"{where}: {secret.name!r} is looked for in the folder that the command is started in"


def _who_is_told(config: Config) -> Iterator[str]:
    """Of routes and people."""
    for number, above in hidden_routes(config.routes):
        name = config.routes[number].name
        yield f"routes[{number}]: {name!r} is never reached; {above.name!r} above takes what is for it"
    for number, row in enumerate(config.routes):
        labels = {a.label for a in config.all_accounts if row.brand in (None, a.brand)}
        if row.account is not None and row.account not in labels:
            yield f"routes[{number}].account: no account has the label {row.account!r}"
    lost: dict[str, list[str]] = {}
    for brand in config.brands if config.routes else ():
        for stage in untaken(config.routes, brand):
            lost.setdefault(stage, []).append(brand)
    if lost:
        said = "; ".join(f"every {stage} of {', '.join(brands)}" for stage, brands in lost.items())
        who = "the fallback is" if config.alerts.fallback else "nobody is"
        yield f"routes: not one is for {said}; {who} told of what none is for"
    on_call = [n for n, c in config.channels.items() if getattr(c.settings, "mention", None) == ON_CALL]
    if on_call and not any(p.slack and p.shift for p in config.people):
        yield f"channels.{on_call[0]}.mention: nobody in [[people]] has both a shift and a Slack id"
    yield from _who_is_heard(config)


def _who_is_heard(config: Config) -> Iterator[str]:
    """Of channels that share one app: what is pressed in one of them may be heard by the ear of another, and
    is measured by that one's operators."""
    first: dict[Secret, str] = {}
    for name, channel in config.channels.items():
        for setting in ("app_token", "signing_secret"):
            secret = getattr(channel.settings, setting, None)
            other = first.setdefault(secret, name) if isinstance(secret, Secret) else name
            theirs = getattr(config.channels[other].settings, "operators", ())
            if set(theirs) != set(getattr(channel.settings, "operators", ())):
                told = f"not those of {other}, which has the same app and hears for it"
                yield f"channels.{name}.operators: {told}"
