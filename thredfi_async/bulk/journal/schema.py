"""The journal's tables.

A row of `items` is one distinct item. Its `state` is one of `ItemState`, or `pending`: taken into a run, and no outcome
written yet, so that a request may have been sent. A run that ends in order leaves no `pending` row behind; one that is
killed does, and the next run asks the API about these customers first.

Nothing in here is personal data: ids, states, codes and numbers.
"""

from typing import Final

APPLICATION_ID: Final = 0x54687264
"""`Thrd`, in the file's header."""
VERSION: Final = 2
"""The format's version, as `user_version`; a journal of any other is refused."""

PENDING: Final = "pending"

TABLES: Final = """
CREATE TABLE run (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE items (
    position INTEGER PRIMARY KEY,  -- index of the item in the input; negative if the input changed and that was taken
    business_id BLOB NOT NULL,     -- 16 bytes
    customer_id BLOB NOT NULL,     -- 16 bytes
    state TEXT NOT NULL,
    session INTEGER NOT NULL,      -- the run, or its resumption, that took it last: 1 for the first
    attempts INTEGER NOT NULL DEFAULT 0,
    code TEXT,
    elapsed_ms INTEGER,
    ended_at REAL,                 -- unix seconds
    indexed INTEGER NOT NULL DEFAULT 0,
    line INTEGER                   -- of the source, from 1; NULL where the source has no lines
) STRICT;
-- Ids are random: to index each row as it comes dirties a page for each, four fifths of all that a journal costs. The
-- writer keeps the latest rows' ids in memory, and indexes many at a time.
CREATE UNIQUE INDEX items_by_id ON items (customer_id, business_id) WHERE indexed = 1;
CREATE TABLE samples (
    at REAL PRIMARY KEY,           -- unix seconds; counts are of this session and grow, the rest is as of then
    done INTEGER NOT NULL,
    archived INTEGER NOT NULL,
    already_archived INTEGER NOT NULL,
    rejected INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    unknown INTEGER NOT NULL,
    in_flight INTEGER NOT NULL,
    concurrency INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    retries INTEGER NOT NULL,
    cooldown REAL NOT NULL,
    paused INTEGER NOT NULL,
    p50_ms INTEGER,
    p90_ms INTEGER,
    p99_ms INTEGER
) STRICT;
CREATE TABLE invalid_lines (line INTEGER PRIMARY KEY, "column" TEXT, reason TEXT NOT NULL) STRICT;
"""
