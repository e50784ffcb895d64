"""The writer's SQL.

Each statement handles a batch in one step. SQLite's module releases the interpreter's lock in every step, and gets it
back late while an event loop is busy: a step for each row would make the writer thread wait very often.
"""

from typing import Final

CHUNK: Final = 64
"""Rows of a `SETTLE`; a smaller batch is filled up with empty rows."""

FIND: Final = """
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :count)
SELECT json_group_array(json_array(n.i, items.position, items.state, items.session, items.ended_at))
FROM n CROSS JOIN items
ON items.customer_id = substr(:ids, n.i * 32 + 1, 16) AND items.business_id = substr(:ids, n.i * 32 + 17, 16)
AND items.indexed = 1
"""
"""Find which of the packed ids are in the index, and read their rows."""

LOOK: Final = """
SELECT json_group_array(json_array(position, state, session, ended_at))
FROM json_each(:positions) JOIN items ON position = value
"""
"""Read the rows at these positions."""

INSERT: Final = """
INSERT OR IGNORE INTO items (position, line, customer_id, business_id, state, session)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), substr(:ids, key * 32 + 1, 16),
    substr(:ids, key * 32 + 17, 16), 'pending', :session
FROM json_each(:places)
"""
"""Insert new items at their positions; leave rows that are there already."""

WHOSE: Final = "SELECT CAST(customer_id || business_id AS BLOB) FROM items WHERE position = ?"
LOWEST: Final = "SELECT min(0, coalesce(min(position), 0)) FROM items"

RETAKE: Final = """
UPDATE items SET session = :session,
    state = iif(state IN ('unknown', 'archived', 'already_archived'), state, 'pending')
WHERE position IN (SELECT value FROM json_each(:positions))
"""
"""Take items again. One that failed may be sent from now on; one that is unknown stays so until it is known.

An archived one that is sent again stays archived, whatever kills the run.
"""

FORGET: Final = """
DELETE FROM items WHERE position IN (SELECT value FROM json_each(?)) AND state = 'pending' AND ended_at IS NULL
"""
"""Forget items that were never sent."""
RESTORE: Final = """
UPDATE items SET state = 'failed'
WHERE position IN (SELECT value FROM json_each(?)) AND state = 'pending'
"""
"""Mark those that had failed in an earlier session as failed again."""

RESTORE_AS: Final = """
UPDATE items SET state = ? WHERE position IN (SELECT value FROM json_each(?)) AND state = 'pending'
    AND ended_at IS NOT NULL
"""
"""Give items the state again that they had before this session took them."""

INTERRUPTED: Final = """
UPDATE items SET state = 'unknown', code = 'interrupted',
    ended_at = coalesce((SELECT max(at) FROM samples), ended_at)
WHERE state = 'pending' AND NOT EXISTS (SELECT 1 FROM run WHERE key = 'queue')
"""
"""Mark what a killed session may have sent, until its last sign of life; workers finish a queue's items."""
KILLED: Final = """
INSERT INTO run SELECT 'stopped_reason', ? WHERE EXISTS (SELECT 1 FROM run WHERE key = 'sessions')
    AND NOT EXISTS (SELECT 1 FROM run WHERE key IN ('finished_at', 'stopped_reason', 'queue'))
"""
"""Say of a session that has written no end that it was killed."""

SETTLE: Final = f"""
UPDATE items SET state = o.column2, attempts = attempts + o.column3, code = o.column4, elapsed_ms = o.column5,
    ended_at = o.column6
FROM (VALUES {", ".join(["(?, ?, ?, ?, ?, ?)"] * CHUNK)}) AS o WHERE items.position = o.column1
"""  # noqa: S608 - made of question marks
PADDING: Final = (None,) * 6

INDEX: Final = "UPDATE items SET indexed = 1 WHERE indexed = 0 AND (position >= ? OR position < 0)"
UNINDEXED: Final = "SELECT CAST(customer_id || business_id AS BLOB), position FROM items WHERE indexed = 0"

SAMPLE: Final = "INSERT OR REPLACE INTO samples VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
UNSETTLED: Final = """
SELECT position, business_id, customer_id FROM items WHERE state = 'unknown' AND position > ? ORDER BY position LIMIT ?
"""
COUNTED: Final = """
INSERT OR REPLACE INTO run SELECT ?, CAST(count(*) AS TEXT) FROM items
UNION ALL SELECT ?, CAST(count(*) AS TEXT) FROM invalid_lines
"""
"""Say how many rows there are, so that one that is missing later is missed."""
DESCRIBE: Final = "INSERT OR REPLACE INTO run VALUES (?, ?)"
NOTE_INVALID_LINE: Final = "INSERT OR REPLACE INTO invalid_lines VALUES (?, ?, ?)"

UPSERT: Final = """
INSERT INTO items (position, business_id, customer_id, state, session, attempts, code, elapsed_ms, ended_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (position) DO UPDATE SET state = excluded.state, attempts = attempts + excluded.attempts,
    code = excluded.code, elapsed_ms = excluded.elapsed_ms, ended_at = excluded.ended_at
WHERE CASE items.state
    WHEN 'archived' THEN 0
    WHEN 'already_archived' THEN 0
    WHEN 'rejected' THEN excluded.state IN ('archived', 'already_archived')
    WHEN 'unknown' THEN excluded.state <> 'failed'
    ELSE 1 END
"""
"""Record an outcome from elsewhere; a more certain state stays."""
