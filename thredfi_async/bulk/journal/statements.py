"""The writer's SQL.

Each statement handles a batch in one step. SQLite's module gives the interpreter's lock away in every step, and gets it
back late from an event loop under load: a step for each row would make the writer thread wait very often.
"""

from typing import Final

CHUNK: Final = 64
"""Rows of a `SETTLE`; what is left over is filled up with rows that are nobody's."""

FIND: Final = """
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :count)
SELECT json_group_array(json_array(n.i, items.position, items.state, items.session)) FROM n CROSS JOIN items
ON items.customer_id = substr(:ids, n.i * 32 + 1, 16) AND items.business_id = substr(:ids, n.i * 32 + 17, 16)
AND items.indexed = 1
"""
"""Which of the packed ids are in the index, and what their rows say."""

LOOK: Final = """
SELECT json_group_array(json_array(position, state, session)) FROM json_each(:positions) JOIN items ON position = value
"""
"""What the rows at these positions say."""

INSERT: Final = """
INSERT OR IGNORE INTO items (position, customer_id, business_id, state, session)
SELECT value, substr(:ids, key * 32 + 1, 16), substr(:ids, key * 32 + 17, 16), 'pending', :session
FROM json_each(:positions)
"""
"""Take new items in, at their positions; a row that is there already is left as it is."""

WHOSE: Final = "SELECT CAST(customer_id || business_id AS BLOB) FROM items WHERE position = ?"
LOWEST: Final = "SELECT min(0, coalesce(min(position), 0)) FROM items"

RETAKE: Final = """
UPDATE items SET session = :session, state = iif(state = 'unknown', state, 'pending')
WHERE position IN (SELECT value FROM json_each(:positions))
"""
"""Take items again. One that failed may be sent from now on; one that is unknown stays so until it is known."""

FORGET: Final = """
DELETE FROM items WHERE position IN (SELECT value FROM json_each(?)) AND state = 'pending' AND ended_at IS NULL
"""
"""Items that were never sent are as if never read."""
RESTORE: Final = """
UPDATE items SET state = 'failed'
WHERE position IN (SELECT value FROM json_each(?)) AND state = 'pending'
"""
"""Those that had failed in an earlier session say so again."""

INTERRUPTED: Final = """
UPDATE items SET state = 'unknown', code = 'interrupted'
WHERE state = 'pending' AND NOT EXISTS (SELECT 1 FROM run WHERE key = 'queue')
"""
"""A session that was killed may have sent these; those of a run over a queue are its workers' to end."""

SETTLE: Final = f"""
UPDATE items SET state = o.column2, attempts = attempts + o.column3, code = o.column4, elapsed_ms = o.column5,
    ended_at = o.column6
FROM (VALUES {", ".join(["(?, ?, ?, ?, ?, ?)"] * CHUNK)}) AS o WHERE items.position = o.column1
"""  # noqa: S608 - made of question marks
NOBODY: Final = (None,) * 6

INDEX: Final = "UPDATE items SET indexed = 1 WHERE indexed = 0 AND (position >= ? OR position < 0)"
UNINDEXED: Final = "SELECT CAST(customer_id || business_id AS BLOB), position FROM items WHERE indexed = 0"

SAMPLE: Final = "INSERT OR REPLACE INTO samples VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
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
"""Record an outcome from elsewhere; what is known better stays."""
