"""Real threads: whether every first response that a replay finds is the one that the data's own links tell.

The reference here is written anew from the definitions, over the raw lines, and shares nothing with `rules/`.
The data is other people's and not part of the project: it is read from beside it, and nothing that is
printed holds a text. `python -m benchmarks.real_threads --explain` lists every disagreement.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DATA_VARIABLE = "RESPONSE_MONITOR_DATA"
SETS = ("care", "twcs")
SEEDS = (1, 2, 3)
HIDDEN_SHARE = 0.1
GAP = timedelta(hours=24)
QUICK_SECONDS = 5.0
REPLAYED_AT = datetime(2040, 1, 1, tzinfo=UTC)  # later than all that is replayed: nothing is from the future
CHAIN_MAX = 1000
COMMAND_SECONDS_MAX = 300
BY_JUDGE = "words judged to need no reply do not hold a case open over a day of silence; links know no words"
QUICK = "a reply faster than 5 s counts as automatic"
UNEXPLAINED = "unexplained"

Row = Mapping[str, Any]
Key = tuple[str, str]  # (thread, customer): ids of threads are unique in the data


def data_folder() -> Path:
    """Where the data is: beside the project, or where the environment says."""
    given = os.environ.get(DATA_VARIABLE)
    return Path(given) if given else ROOT.parent / "shared" / "data"


def data_file(name: str) -> Path | None:
    """The threads of that set; None where the data is not on this machine."""
    path = data_folder() / f"threads-{name}.jsonl.gz"
    return path if path.is_file() else None


def read_rows(path: Path) -> list[Row]:
    """The raw lines, in the order of the file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


# --- the reference ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the links tell of one case: the message that it starts with, and the replies that are first.
    Several where they were written at the same instant; none where nobody answered."""

    first: str
    started_at: datetime
    replies: tuple[str, ...] = ()
    replied_at: datetime | None = None

    @property
    def seconds(self) -> float | None:
        """The first response time."""
        return None if self.replied_at is None else (self.replied_at - self.started_at).total_seconds()


def written_at(row: Row) -> datetime:
    """When it was written."""
    return datetime.fromisoformat(row["created_at"])


def linked_customer(row: Row, rows: Mapping[str, Row]) -> str | None:
    """Whom a post belongs to by the links alone: its author, or whose post a brand's post goes back to,
    through the brand's own parts. None where the links do not tell."""
    for _ in range(CHAIN_MAX):
        if not row["author"].get("brand"):
            return str(row["author"]["id"])
        parent = rows.get(row.get("parent") or "")
        if parent is None:
            return None
        row = parent
    return None


def always(_id: str) -> bool:
    """Whatever a customer writes needs a reply: nobody looks at texts."""
    return True


def wanted_cases(rows: Iterable[Row], needs_reply: Callable[[str], bool] = always) -> dict[Key, list[Wanted]]:
    """Every customer's cases in each thread, oldest first, by the definitions: a case starts with a customer's
    message; a day of mutual silence with nothing unanswered ends it. `needs_reply`: which of the customers'
    messages after an answer count as unanswered until the brand replies again."""
    by_id = {row["id"]: row for row in rows}
    talks: dict[Key, list[Row]] = defaultdict(list)
    for row in by_id.values():
        customer = linked_customer(row, by_id)
        if customer is not None:
            talks[row["conversation"], customer].append(row)
    return {key: found for key, talk in talks.items() if (found := _cases_of(talk, needs_reply))}


def _cases_of(talk: Sequence[Row], needs_reply: Callable[[str], bool]) -> list[Wanted]:
    found: list[Wanted] = []
    unanswered = over = False
    silent_since: datetime | None = None
    for row in sorted(talk, key=lambda r: (written_at(r), bool(r["author"].get("brand")), r["id"])):
        at = written_at(row)
        over = over or (silent_since is not None and not unanswered and at - silent_since >= GAP)
        if not row["author"].get("brand"):
            if not found or over:
                found.append(Wanted(row["id"], at))
                unanswered = over = False
            # Until the first answer whoever wrote waits, whatever was written.
            unanswered = unanswered or found[-1].replied_at is None or needs_reply(row["id"])
        elif not found:
            continue  # the brand spoke first
        else:
            case = found[-1]
            if case.replied_at is None or case.replied_at == at:
                found[-1] = Wanted(case.first, case.started_at, (*case.replies, row["id"]), at)
            unanswered = False
        silent_since = at
    return found


# --- what the monitor says ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Said:
    """What a replay came to: the exported cases; by which rung each of the brand's posts was placed with which
    customer; and which of the customers' messages were judged to need no reply."""

    cases: Mapping[Key, Sequence[Row]]
    rungs: Mapping[str, tuple[str | None, str]]
    needs_none: frozenset[str]


def config_text(rows: Iterable[Row]) -> str:
    """A config with every account of the data as a brand of its own, as a user would write it."""
    accounts = sorted({row["account"] for row in rows})
    brands = "".join(
        f"[brands.{json.dumps(a)}]\nkeywords = [{json.dumps(a)}]\n"
        f'[[brands.{json.dumps(a)}.x]]\nhandle = {json.dumps(a)}\nbearer_token = {{ env = "X_BEARER" }}\n'
        for a in accounts
    )
    return (
        f"{brands}"
        '[[targets]]\nname = "public"\npublic = true\nfirst_response = "15m"\nneeds_reply = "any"\n'
        '[channels.mail]\ntype = "smtp"\nhost = "127.0.0.1"\nport = 9\nsecurity = "none"\n'
        'sender = "monitor@acme.example"\nrecipients = ["care@acme.example"]\n'
    )


def replay_by_command(path: Path, config: Path, store: Path) -> Said:
    """Through `replay` and `export`, as somebody types them."""

    def run(*words: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "monitor", *words, "--config", str(config), "--store", str(store)],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
        ).stdout

    taken = json.loads(run("replay", str(path), "--json"))
    if taken["bad"]:
        raise RuntimeError(f"{taken['bad']} lines of {path.name} were refused")
    return _said([json.loads(line) for line in run("export", "cases").splitlines()], store)


def replay_here(rows: Iterable[Row], config: Path, store: Path) -> Said:
    """The same path without the command around it, for lines in another order."""
    from monitor.load import load_config, load_packs, policy_json
    from monitor.policy import make_policy
    from monitor.store.store import open_store
    from monitor.transfer import export_rows, replay

    loaded = load_config(config)
    policy = make_policy(loaded, load_packs(), {}, policy_json(loaded))
    opened = open_store(store)
    try:
        lines = io.BytesIO("".join(json.dumps(row) + "\n" for row in rows).encode())
        done = replay(opened, policy, lines, REPLAYED_AT)
        if done.bad:
            raise RuntimeError(f"{done.bad} lines were refused")
        return _said(list(export_rows(opened, "cases", REPLAYED_AT)), store)
    finally:
        opened.close()


def _said(exported: Iterable[Row], store: Path) -> Said:
    from monitor.store.codec import verdict_from_json
    from monitor.store.store import read_store

    cases: dict[Key, list[Row]] = defaultdict(list)
    for case in sorted(exported, key=lambda c: (c["opened_at"], c["id"])):
        cases[case["conversation"], case["customer_id"]].append(case)
    reader = read_store(store)
    try:
        ask = reader.connection.execute
        rungs = {
            id: (customer, rung)
            for id, customer, rung in ask("SELECT id, customer, rung FROM messages WHERE outbound = 1")
        }
        judged = ask("SELECT id, verdict FROM messages WHERE outbound = 0 AND verdict IS NOT NULL")
        none = frozenset(id for id, verdict in judged if not verdict_from_json(verdict).needs_reply)
        return Said(cases, rungs, none)
    finally:
        reader.close()


# --- the comparison -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Difference:
    """A first response that is another one than the links tell; message ids only."""

    why: str
    case: str
    wanted: tuple[str, ...]
    found: str | None


@dataclass(slots=True)
class Compared:
    """How many first responses were compared: of each customer's first case, and of the later ones.
    `judged_differ`: conversations that differ even where the judge's word on who waits is taken as given."""

    first: int = 0
    later: int = 0
    first_differ: list[Difference] = field(default_factory=list)
    later_differ: list[Difference] = field(default_factory=list)
    judged_differ: int = 0

    def add(self, other: Compared) -> None:
        """Count another comparison in."""
        self.first += other.first
        self.later += other.later
        self.first_differ += other.first_differ
        self.later_differ += other.later_differ
        self.judged_differ += other.judged_differ

    @property
    def agreement_percent(self) -> float:
        """Of the first cases."""
        return 100 * (1 - len(self.first_differ) / self.first) if self.first else 0.0


def compare(rows: Sequence[Row], said: Said, told: Sequence[Row] | None = None) -> Compared:
    """Every customer's first response, and those of later cases, against the links of `rows`. `told`: what the
    replay was given, where something was hidden from it."""
    wanted = wanted_cases(rows)
    judged = wanted_cases(rows, lambda id: id not in said.needs_none)
    by_id = {row["id"]: row for row in rows}
    why = _Why(by_id, said, by_id if told is None else {row["id"]: row for row in told})
    done = Compared()
    for key in sorted(wanted.keys() | said.cases.keys()):
        right, ours = wanted.get(key, []), said.cases.get(key, [])
        done.first += 1
        if not right or not ours:
            id = right[0].first if right else ours[0]["first_message_id"]
            done.first_differ.append(Difference("only one of both knows the conversation", id, (), None))
            continue
        # Where the borders are those of the links once the judge's word on who waits is taken as given, it is
        # that word which makes the difference, and nothing else.
        by_judge = _alike(judged[key], ours)
        if not _agrees(right[0], ours[0]):
            done.first_differ.append(why.differs(key[1], right[0], ours[0], by_judge=by_judge))
        _compare_later(done, why, key[1], right[1:], ours[1:], by_judge=by_judge)
        done.judged_differ += not by_judge
    return done


def _compare_later(
    done: Compared, why: _Why, customer: str, right: Sequence[Wanted], ours: Sequence[Row], *, by_judge: bool
) -> None:
    left = {case["first_message_id"]: case for case in ours}
    for case in right:
        done.later += 1
        found = left.pop(case.first, None)
        if found is None or not _agrees(case, found):
            done.later_differ.append(why.differs(customer, case, found, by_judge=by_judge))
    for row in left.values():
        done.later += 1
        reply = row["first_response_message_id"]
        reason = BY_JUDGE if by_judge else "a case that the links do not part from the one before"
        done.later_differ.append(Difference(reason, row["first_message_id"], (), reply))


def _alike(right: Sequence[Wanted], ours: Sequence[Row]) -> bool:
    return len(right) == len(ours) and all(map(_agrees, right, ours))


def _agrees(right: Wanted, ours: Row) -> bool:
    reply, seconds = ours["first_response_message_id"], ours["first_response_seconds"]
    same = reply in right.replies if right.replies else reply is None
    return same and right.first == ours["first_message_id"] and right.seconds == seconds


class _Why:
    """Why a first response is another one, worked out from the raw lines and where the replay placed them."""

    def __init__(self, rows: Mapping[str, Row], said: Said, told: Mapping[str, Row]) -> None:
        self.rows = rows
        self.said = said
        self.told = told

    def differs(self, customer: str, right: Wanted, ours: Row | None, *, by_judge: bool) -> Difference:
        """Of a case that the links tell of."""
        found = None if ours is None else ours["first_response_message_id"]
        if by_judge:
            reason = BY_JUDGE
        elif ours is None or right.first != ours["first_message_id"]:
            reason = "the case starts elsewhere"
        else:
            reason = self._reason(customer, right, found)
        return Difference(reason, right.first, right.replies, found)

    def _reason(self, customer: str, right: Wanted, found: str | None) -> str:
        if found is not None and (
            right.replied_at is None or written_at(self.rows[found]) < right.replied_at
        ):
            return self._ours_came_first(found, customer)
        if not right.replies:
            return UNEXPLAINED
        reply = right.replies[0]
        placed, rung = self.said.rungs[reply]
        if placed != customer:
            where = "with nobody" if placed is None else f"with another customer, by {rung}"
            hint = "its link was hidden" if self._is_hidden(reply) else "its link stands"
            return f"the answer was placed {where}: {hint}; {self._names(reply)}"
        if self._seconds_after_customer(reply, customer) < QUICK_SECONDS:
            return QUICK
        return UNEXPLAINED

    def _ours_came_first(self, found: str, customer: str) -> str:
        _, rung = self.said.rungs[found]
        truth = linked_customer(self.rows[found], self.rows)
        if truth == customer:
            return "we took an earlier reply of the same chain"
        if truth is not None:
            return f"we credit a reply to another customer, by {rung}" + (
                " (its link was hidden)" if self._is_hidden(found) else ""
            )
        start = self.rows[found]
        while start.get("parent") in self.rows:
            start = self.rows[start["parent"]]
        gone = "its parent never arrived" if start.get("parent") else "it replies to nothing"
        return f"the links do not say whom the first reply answers ({gone}); we say so by {rung}"

    def _is_hidden(self, id: str) -> bool:
        """Whether the link of it, or of a part of the brand's own before it, was hidden."""
        row: Row | None = self.rows[id]
        while row is not None and row["author"].get("brand"):
            if self.told[row["id"]].get("parent") != row.get("parent"):
                return True
            row = self.rows.get(row.get("parent") or "")
        return False

    def _names(self, id: str) -> str:
        """What else the post could have told: whom of those who had written its text names."""
        row = self.rows[id]
        talking = {
            r["author"]["id"]: (r["author"].get("handle") or r["author"]["id"]).lower()
            for r in self.rows.values()
            if r["conversation"] == row["conversation"]
            and not r["author"].get("brand")
            and written_at(r) < written_at(row)
        }
        text = self.told[id]["text"].lower()
        named = sum(f"@{handle}" in text for handle in talking.values())
        words = "none", "one", "several"
        return f"it names {words[min(named, 2)]} of {words[min(len(talking), 2)]} who had written"

    def _seconds_after_customer(self, id: str, customer: str) -> float:
        reply = self.rows[id]
        before = [
            written_at(r)
            for r in self.rows.values()
            if r["conversation"] == reply["conversation"]
            and r["author"]["id"] == customer
            and written_at(r) <= written_at(reply)
        ]
        return (written_at(reply) - max(before)).total_seconds()


# --- the runs -----------------------------------------------------------------------------------------


def shuffled(rows: Sequence[Row], seed: int) -> list[Row]:
    """The same lines in another order of arrival."""
    mixed = list(rows)
    random.Random(seed).shuffle(mixed)
    return mixed


def hide_parents(rows: Sequence[Row], seed: int, *, names: bool = False) -> tuple[list[Row], frozenset[str]]:
    """A tenth of the brand's posts without their link, and which. `names`: without the handles that their
    texts mention too, so that only who waited is left to go by."""
    linked = [row["id"] for row in rows if row["author"].get("brand") and row.get("parent")]
    hidden = frozenset(random.Random(seed).sample(linked, round(len(linked) * HIDDEN_SHARE)))
    fewer = [{**row, "parent": None} if row["id"] in hidden else row for row in rows]
    if names:
        fewer = [
            {**row, "text": re.sub(r"@\w+", "you", row["text"])} if row["id"] in hidden else row
            for row in fewer
        ]
    return fewer, hidden


def placed_without_link(rows: Sequence[Row], said: Said, hidden: frozenset[str]) -> Counter[tuple[str, str]]:
    """Of the posts whose link was hidden: by which rung they were placed, and whether that is right."""
    by_id = {row["id"]: row for row in rows}
    found: Counter[tuple[str, str]] = Counter()
    for id in hidden:
        truth = linked_customer(by_id[id], by_id)
        if truth is None:
            continue
        customer, rung = said.rungs[id]
        found[rung, "right" if customer == truth else "nobody" if customer is None else "wrong"] += 1
    return found


@dataclass(slots=True)
class Blinded:
    """Runs with a tenth of the brand's links hidden: the first responses, and where the posts went."""

    compared: Compared = field(default_factory=Compared)
    placed: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def right(self) -> int:
        """How many of the posts without a link were placed with the right customer."""
        return sum(count for (_, how), count in self.placed.items() if how == "right")


@dataclass(slots=True)
class Outcome:
    """All runs over one set."""

    name: str
    messages: int = 0
    in_order: Compared = field(default_factory=Compared)
    shuffled: Compared = field(default_factory=Compared)
    orders_alike: int = 0
    hidden: Blinded = field(default_factory=Blinded)
    nameless: Blinded = field(default_factory=Blinded)


def run_set(name: str, path: Path) -> Outcome:
    """Replay one set in the order of the file (by the command), shuffled, and with links hidden."""
    rows = read_rows(path)
    done = Outcome(name, len(rows))
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        config = at / "monitor.toml"
        config.write_text(config_text(rows), "utf-8")
        in_order = replay_by_command(path, config, at / "order.db")
        done.in_order = compare(rows, in_order)
        for seed in SEEDS:
            said = replay_here(shuffled(rows, seed), config, at / f"shuffled{seed}.db")
            done.shuffled.add(compare(rows, said))
            done.orders_alike += said == in_order
        for seed in SEEDS:
            for blinded, names in ((done.hidden, False), (done.nameless, True)):
                fewer, hidden = hide_parents(rows, seed, names=names)
                said = replay_here(fewer, config, at / f"hidden{seed}{names}.db")
                blinded.compared.add(compare(rows, said, fewer))
                blinded.placed += placed_without_link(rows, said, hidden)
    return done


def _shares(differences: Iterable[Difference]) -> str:
    return "; ".join(f"{count} × {why}" for why, count in Counter(d.why for d in differences).most_common())


def _figures(outcome: Outcome) -> dict[str, Any]:
    name, in_order = outcome.name, outcome.in_order
    found: dict[str, Any] = {
        f"{name}: messages, customers' first cases": f"{outcome.messages}, {in_order.first}",
        f"{name}: agree, in file order": f"{in_order.first - len(in_order.first_differ)} of {in_order.first}",
        f"{name}: percent in file order (aim ≥ 99.5)": round(in_order.agreement_percent, 2),
        f"{name}: percent shuffled (aim ≥ 99.5)": round(outcome.shuffled.agreement_percent, 2),
        f"{name}: orders with the very same cases": f"{outcome.orders_alike} of {len(SEEDS)}",
        f"{name}: conversations that differ beyond the judge's word": in_order.judged_differ,
        f"{name}: later cases agree, in file order": f"{in_order.later - len(in_order.later_differ)} of {in_order.later}",
    }
    for label, blinded in (
        ("a tenth of the links hidden", outcome.hidden),
        ("and the names too", outcome.nameless),
    ):
        found[f"{name}: percent, {label}"] = round(blinded.compared.agreement_percent, 2)
        found[f"{name}:   posts placed right, {label}"] = f"{blinded.right} of {blinded.placed.total()}"
        rungs = (f"{rung} {count} {how}" for (rung, how), count in sorted(blinded.placed.items()))
        found[f"{name}:   by rung, {label}"] = ", ".join(rungs)
    for label, differences in _differences(outcome):
        if differences:
            found[f"{name}: why not, {label}"] = _shares(differences)
    return found


def _differences(outcome: Outcome) -> list[tuple[str, list[Difference]]]:
    return [
        ("file order", outcome.in_order.first_differ),
        (f"shuffled × {len(SEEDS)}", outcome.shuffled.first_differ),
        (f"links hidden × {len(SEEDS)}", outcome.hidden.compared.first_differ),
        (f"links and names hidden × {len(SEEDS)}", outcome.nameless.compared.first_differ),
        ("later cases", outcome.in_order.later_differ),
    ]


def real_threads() -> dict[str, Any]:
    """Agreement of every first response with the data's own reply links."""
    found: dict[str, Any] = {}
    for name in SETS:
        path = data_file(name)
        if path is None:
            found[f"{name}: skipped"] = f"no threads-{name}.jsonl.gz beside the project; set {DATA_VARIABLE}"
            continue
        found |= _figures(run_set(name, path))
    return found


def _explain(outcome: Outcome) -> None:
    for label, differences in _differences(outcome):
        print(f"{outcome.name}, {label}: {len(differences)} differ")
        groups: dict[str, list[Difference]] = defaultdict(list)
        for difference in differences:
            groups[difference.why].append(difference)
        for why, some in sorted(groups.items(), key=lambda pair: -len(pair[1])):
            print(f"  {len(some)} × {why}")
            for one in some:
                print(
                    f"      case {one.case}: links say {', '.join(one.wanted) or 'nobody'}, we say {one.found}"
                )


def main() -> None:
    """Print the figures, and with --explain every disagreement by its message ids."""
    parser = argparse.ArgumentParser(description="first responses against the data's own reply links")
    parser.add_argument("--explain", action="store_true", help="list every disagreement")
    words = parser.parse_args()
    for name in SETS:
        path = data_file(name)
        if path is None:
            print(f"{name}: no threads-{name}.jsonl.gz beside the project; set {DATA_VARIABLE}")
            continue
        outcome = run_set(name, path)
        for label, value in _figures(outcome).items():
            print(f"{label:<58} {value}")
        if words.explain:
            _explain(outcome)


if __name__ == "__main__":
    main()
