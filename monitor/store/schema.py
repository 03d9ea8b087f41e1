"""The tables, as numbered migrations that only go forward.

Times are integers: microseconds since 1970 UTC. `scope` stands for (brand, connector).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database
    from sqlite_utils.migrations import Migrations

MIGRATION_SET = "response_monitor"
NAMES = ("0001_the_beginning", "0002_clocks", "0003_dead_letters", "0004_ended_alerts")
"""All migrations, in order: what a file must have applied, and no others, to be served."""

_FACTS = """
CREATE TABLE scopes (id INTEGER PRIMARY KEY, brand TEXT NOT NULL, connector TEXT NOT NULL,
    UNIQUE (brand, connector));

CREATE TABLE messages (
    pk INTEGER PRIMARY KEY,
    scope INTEGER NOT NULL REFERENCES scopes(id),
    id TEXT NOT NULL,
    account TEXT NOT NULL,
    kind TEXT NOT NULL,
    conversation TEXT NOT NULL,
    customer TEXT,               -- whose conversation it belongs to; NULL: nobody's
    rung TEXT NOT NULL,          -- how we know
    parent TEXT,
    addressed_to TEXT NOT NULL,  -- JSON list of author ids
    handles TEXT NOT NULL,       -- JSON list of handles that it mentions
    author_id TEXT NOT NULL,
    author_handle TEXT,
    author_name TEXT,
    followers INTEGER,
    outbound INTEGER NOT NULL,
    automated TEXT,              -- why no person wrote it; NULL: nothing says so
    created_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    edited_at INTEGER,
    deleted_at INTEGER,
    checked_at INTEGER,          -- when the platform last confirmed that it stands
    quiet_before INTEGER,        -- the first-run mark of its stream, where it is older
    public INTEGER NOT NULL,
    addressed INTEGER NOT NULL,
    language TEXT,
    url TEXT,
    rating REAL,
    reach INTEGER,
    client TEXT,
    text TEXT NOT NULL,
    verdict TEXT,
    first_verdict TEXT,          -- where an edit changed it
    streams TEXT NOT NULL,       -- "account/stream", space-separated: who has seen it
    UNIQUE (scope, id)
);
CREATE INDEX messages_conversation ON messages (scope, conversation, customer, created_at);
CREATE INDEX messages_replies ON messages (scope, parent) WHERE parent IS NOT NULL;
CREATE INDEX messages_unplaced ON messages (scope, conversation, created_at)
    WHERE rung IN ('inferred', 'nobody');

CREATE TABLE aliases (scope INTEGER NOT NULL, alias TEXT NOT NULL, id TEXT NOT NULL,
    PRIMARY KEY (scope, alias)) WITHOUT ROWID;

CREATE TABLE revisions (
    message INTEGER NOT NULL REFERENCES messages(pk),
    edited_at INTEGER NOT NULL,  -- 0: the text as it was first written
    text TEXT NOT NULL,
    verdict TEXT,
    recorded_at INTEGER NOT NULL,
    PRIMARY KEY (message, edited_at)
) WITHOUT ROWID;

CREATE TABLE rejected (pk INTEGER PRIMARY KEY, scope INTEGER NOT NULL, account TEXT NOT NULL,
    stream TEXT NOT NULL, at INTEGER NOT NULL, id TEXT, reason TEXT NOT NULL, excerpt TEXT NOT NULL);

CREATE TABLE actions (pk INTEGER PRIMARY KEY, scope INTEGER NOT NULL, message TEXT NOT NULL,
    word TEXT NOT NULL, who TEXT NOT NULL, at INTEGER NOT NULL, until INTEGER, note TEXT);
CREATE INDEX actions_message ON actions (scope, message);

CREATE TABLE mutes (pk INTEGER PRIMARY KEY, brand TEXT NOT NULL, what TEXT NOT NULL, value TEXT NOT NULL,
    until INTEGER, who TEXT NOT NULL, at INTEGER NOT NULL);

CREATE TABLE policies (pk INTEGER PRIMARY KEY, holds_from INTEGER NOT NULL, body TEXT NOT NULL);

CREATE TABLE streams (
    scope INTEGER NOT NULL, account TEXT NOT NULL, name TEXT NOT NULL,
    direction TEXT NOT NULL, private INTEGER NOT NULL,
    first_mark INTEGER NOT NULL,  -- what is older was there before the first poll: the past
    cursor TEXT,
    polled_at INTEGER, succeeded_at INTEGER, complete_through INTEGER,
    failures INTEGER NOT NULL DEFAULT 0, failing_since INTEGER, error TEXT, refused TEXT, retry_at INTEGER,
    retired INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (scope, account, name)
) WITHOUT ROWID;

CREATE TABLE accounts (
    scope INTEGER NOT NULL, account TEXT NOT NULL, handle TEXT, expires_at INTEGER,
    episode INTEGER NOT NULL DEFAULT 0, blind_since INTEGER, refused TEXT,
    PRIMARY KEY (scope, account)
) WITHOUT ROWID;

CREATE TABLE blind_spans (pk INTEGER PRIMARY KEY, scope INTEGER NOT NULL, account TEXT NOT NULL,
    stream TEXT NOT NULL, since INTEGER NOT NULL, until INTEGER, reason TEXT NOT NULL);

CREATE TABLE budgets (scope INTEGER NOT NULL, account TEXT NOT NULL, name TEXT NOT NULL,
    maximum REAL NOT NULL, remaining REAL NOT NULL, resets_at INTEGER, at INTEGER NOT NULL,
    PRIMARY KEY (scope, account, name)) WITHOUT ROWID;
"""

_FOLDS = """
CREATE TABLE cases (
    pk INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    scope INTEGER NOT NULL,
    conversation TEXT NOT NULL,
    customer TEXT NOT NULL,
    opened_at INTEGER NOT NULL,
    status TEXT NOT NULL,
    priority TEXT NOT NULL,
    target TEXT,
    quiet INTEGER NOT NULL,
    waiting_since INTEGER,
    due_at INTEGER,
    look_again_at INTEGER,
    wants_look INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    breach_counted INTEGER NOT NULL DEFAULT 0,
    body TEXT NOT NULL
);
CREATE INDEX cases_conversation ON cases (scope, conversation, customer, opened_at);
CREATE INDEX cases_look_again ON cases (look_again_at) WHERE look_again_at IS NOT NULL;
CREATE INDEX cases_wanting ON cases (scope) WHERE wants_look = 1;
CREATE INDEX cases_waiting ON cases (scope, priority, target, waiting_since, due_at)
    WHERE status = 'waiting' AND quiet = 0 AND due_at IS NOT NULL;
CREATE INDEX cases_due ON cases (due_at)
    WHERE status = 'waiting' AND quiet = 0 AND due_at IS NOT NULL;
CREATE INDEX cases_opened ON cases (opened_at);
"""

_SENDING = """
CREATE TABLE outbox (
    pk INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    subject TEXT NOT NULL,       -- what belongs together for a channel: a case, a trouble
    scope INTEGER, conversation TEXT, customer TEXT, message TEXT, message_at INTEGER,
    stage TEXT NOT NULL, cycle INTEGER NOT NULL, repeat INTEGER NOT NULL, moment INTEGER NOT NULL,
    channel TEXT NOT NULL, recipient TEXT NOT NULL,
    state TEXT NOT NULL,         -- pending, leased, delivered, dead, superseded, shadow
    body TEXT NOT NULL,          -- JSON: caveats; of a trouble, its words
    created_at INTEGER NOT NULL, due_at INTEGER NOT NULL, lease_until INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    maybe_told INTEGER NOT NULL DEFAULT 0, -- the remote may have taken it
    ended_at INTEGER, outcome TEXT, receipt TEXT
);
CREATE INDEX outbox_due ON outbox (channel, due_at) WHERE state IN ('pending', 'leased');
CREATE INDEX outbox_case ON outbox (scope, conversation, customer) WHERE conversation IS NOT NULL;
CREATE INDEX outbox_subject ON outbox (subject, channel);

CREATE TABLE deliveries (pk INTEGER PRIMARY KEY, outbox INTEGER NOT NULL, attempt INTEGER NOT NULL,
    at INTEGER NOT NULL, outcome TEXT NOT NULL, detail TEXT NOT NULL);
CREATE INDEX deliveries_outbox ON deliveries (outbox);

CREATE TABLE counters (name TEXT NOT NULL, labels TEXT NOT NULL, value REAL NOT NULL,
    PRIMARY KEY (name, labels)) WITHOUT ROWID;
"""

_CLOCKS = """
ALTER TABLE cases ADD COLUMN complaint INTEGER NOT NULL DEFAULT 0;
ALTER TABLE cases ADD COLUMN counted TEXT NOT NULL DEFAULT '';
UPDATE cases SET complaint = coalesce(json_extract(body, '$.complaint'), 0),
    counted = CASE WHEN breach_counted THEN
        'wait/' || coalesce(json_extract(body, '$.waiting_since'), json_extract(body, '$.opened_at')) ELSE '' END;
ALTER TABLE cases DROP COLUMN breach_counted;
CREATE INDEX cases_complaints ON cases (scope, opened_at) WHERE complaint = 1;

CREATE TABLE links (          -- where a public case goes on in private messages
    scope INTEGER NOT NULL, conversation TEXT NOT NULL, customer TEXT NOT NULL, since INTEGER NOT NULL,
    case_id TEXT NOT NULL,
    PRIMARY KEY (scope, conversation, customer, since)
) WITHOUT ROWID;
CREATE INDEX links_case ON links (case_id);
CREATE INDEX links_customer ON links (scope, customer);
DROP INDEX messages_unplaced;
CREATE INDEX messages_unplaced ON messages (scope, conversation, created_at)
    WHERE rung IN ('to', 'mention', 'inferred', 'nobody');
CREATE INDEX messages_private ON messages (scope, customer) WHERE public = 0;
CREATE INDEX messages_customer ON messages (scope, customer) WHERE customer IS NOT NULL;

ALTER TABLE outbox ADD COLUMN clock TEXT NOT NULL DEFAULT 'first_response';
ALTER TABLE outbox ADD COLUMN round INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN step TEXT;
ALTER TABLE outbox ADD COLUMN wait_at INTEGER; -- when the wait began that it is about
CREATE INDEX outbox_claims ON outbox (created_at) WHERE stage IN ('warning', 'breach', 'escalated');

CREATE TABLE surges (         -- storms and spikes, one row an episode
    pk INTEGER PRIMARY KEY,
    kind TEXT NOT NULL, brand TEXT NOT NULL,
    since INTEGER NOT NULL,
    last_at INTEGER NOT NULL, -- when the last case joined it
    over_at INTEGER,
    said INTEGER NOT NULL DEFAULT 0, -- how often it was said
    body TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX surges_running ON surges (brand, kind) WHERE over_at IS NULL;

CREATE TABLE marks (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


_DEAD_LETTERS = """
CREATE INDEX outbox_dead ON outbox (channel, pk) WHERE state = 'dead'; -- asked at every scrape
"""

_ENDED_ALERTS = """
CREATE INDEX outbox_ended ON outbox (state, channel) -- for `alerts list`; each index ends with the row's number
    WHERE state IN ('delivered', 'superseded', 'shadow'); -- what waits is not in it, and costs nothing more
"""


def migrations() -> Migrations:
    """All migrations, for `database.open_database` to apply."""
    from sqlite_utils.migrations import Migrations  # only a new or an old file needs it

    steps = Migrations(MIGRATION_SET)

    @steps(name=NAMES[0])
    def the_beginning(db: Database) -> None:
        for script in (_FACTS, _FOLDS, _SENDING):
            for statement in _statements(script):
                db.execute(statement)

    @steps(name=NAMES[1])
    def clocks(db: Database) -> None:
        for statement in _statements(_CLOCKS):
            db.execute(statement)
        for pk, body in db.execute("SELECT pk, body FROM cases").fetchall():
            db.execute("UPDATE cases SET body = ? WHERE pk = ?", (_with_clocks(body), pk))

    @steps(name=NAMES[2])
    def dead_letters(db: Database) -> None:
        for statement in _statements(_DEAD_LETTERS):
            db.execute(statement)

    @steps(name=NAMES[3])
    def ended_alerts(db: Database) -> None:
        for statement in _statements(_ENDED_ALERTS):
            db.execute(statement)

    return steps


def _with_clocks(body: str) -> str:
    """A case of the first schema, which had one wait, as one with clocks: every figure stays. What it knew
    nothing of (the next responses) comes with the next `rebuild`, which the daemon makes at its start."""
    case = json.loads(body)
    names = ("cycle", "stopped_at", "stopped_by", "target", "target_seconds", "due_at", "warnings")
    old = {name: case.pop(name, None) for name in (*names, "repeat_seconds", "repeat_max", "waiting_since")}
    waits = case["status"] in ("waiting", "not_needed")
    started_at = old["waiting_since"] or case["opened_at"]
    answer = case.get("first_response")
    answered = answer is not None and answer[1] == old["stopped_at"]
    case["asked_at"] = case["opened_at"]
    case["clocks"] = [
        [
            "first_response",
            old["cycle"] or 0,
            started_at,
            case.get("waiting_message_id") or case["first_message_id"],
            old["stopped_at"],
            old["stopped_by"],
            None if waits else case["status"],
            answer[0] if answered else None,
            old["target"],
            old["target_seconds"],
            None,
            old["due_at"],
            old["warnings"] or [],
            old["repeat_seconds"],
            old["repeat_max"] or 0,
        ]
    ]
    return json.dumps(case, ensure_ascii=False, separators=(",", ":"))


def _statements(script: str) -> list[str]:
    """Its statements one by one: `executescript` would commit the migration's transaction."""
    bare = "\n".join(line.split("--")[0] for line in script.splitlines())
    return [s.strip() for s in bare.split(";") if s.strip()]
