-- A store of liteflow.  Times are integer microseconds: those that end in _at since 1970 (UTC),
-- `started` since the run's started_at; `took` is a duration by a monotonic clock.
--
-- The id of a task instance is its run's number << 32 | its index in the run: rows are
-- appended in the order of time, and a run's rows lie beside each other.
--
-- The views `runs`, `tasks`, `edges`, `attempts`, `xcoms` and `logs` are for users and stable.
-- All else, the views every_* too, may change with the next version.

CREATE TABLE meta (
    name TEXT NOT NULL PRIMARY KEY,  -- store_id: random, so that a value is bound to its file
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Large columns come last in each table: who reads the others does not walk through them.
CREATE TABLE run (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    flow TEXT NOT NULL,
    state TEXT NOT NULL,             -- running, succeeded, failed, cancelled, interrupted
    created_at INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    error TEXT,
    arguments_text TEXT,             -- JSON: name -> preview
    script TEXT,                     -- where the flow was defined
    python TEXT,
    settings TEXT,                   -- JSON
    holes TEXT,                      -- JSON: what stands in the places of `result`
    seal BLOB,                       -- keyed check of the run's own blobs
    result BLOB,                     -- the flow's expression, packed
    arguments BLOB                   -- the flow's arguments, packed
) STRICT;

CREATE INDEX run_flow ON run (flow);

-- Runs that are going on, or were when their driver died: few, however many runs there are.
CREATE INDEX run_running ON run (number) WHERE state = 'running';

-- Each driver that has driven a run.  The one with the highest token has its lease, unless it has ended.
CREATE TABLE session (
    run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
    token INTEGER NOT NULL,          -- 1, 2, ...: the fencing token
    owner TEXT NOT NULL,             -- random: no two sessions share one
    host TEXT NOT NULL,
    boot TEXT NOT NULL,              -- id of the machine's boot; '' unknown, as below
    namespace INTEGER NOT NULL,      -- of process ids; 0 unknown
    pid INTEGER NOT NULL,
    process_started INTEGER NOT NULL, -- clock ticks since the boot; 0 unknown
    since INTEGER NOT NULL,
    beat INTEGER NOT NULL,           -- the last sign of life, by a clock that runs since the boot
    beat_at INTEGER NOT NULL,        -- the same, since 1970
    ended_at INTEGER,
    python TEXT,
    key_id TEXT,                     -- which key its keyed checks are made with; NULL: none
    PRIMARY KEY (run, token)
) STRICT, WITHOUT ROWID;

-- Classes of the main script, by value; those that need each other are one row.
CREATE TABLE definition (
    run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
    names TEXT NOT NULL,             -- JSON: their qualified names
    mac BLOB,                        -- keyed check; NULL, here as below: there was no key
    payload BLOB NOT NULL,
    PRIMARY KEY (run, names)
) STRICT;

-- A task as a run uses it.
CREATE TABLE task (
    run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
    number INTEGER NOT NULL,
    name TEXT NOT NULL,
    returns TEXT,                    -- its declared type
    policy TEXT,                     -- JSON
    code TEXT,                       -- fingerprint of its code
    PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE instance (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    task INTEGER NOT NULL,           -- task.number
    parent INTEGER,                  -- index of the task instance that it grew from; NULL: of the flow
    inputs TEXT,                     -- JSON: parameter -> indexes of sources; "" only orders
    constants TEXT                   -- fingerprint of its other arguments; NULL: it has none
) STRICT;

-- How a task instance ended, and its XCom if it succeeded.
CREATE TABLE outcome (
    id INTEGER PRIMARY KEY REFERENCES instance ON DELETE CASCADE,
    state TEXT NOT NULL,             -- succeeded, failed, upstream_failed, cancelled, cached, skipped
    attempt INTEGER NOT NULL,        -- how many it took, from 1; 0 if none
    started INTEGER,
    took INTEGER,
    worker TEXT,
    error TEXT,                      -- one line
    type TEXT,
    codec TEXT,                      -- with @URL behind it: the payload is a reference, its bytes lie there
    size INTEGER,                    -- of the payload, or of what it refers to, in bytes
    sha256 BLOB,                     -- of the same
    mac BLOB,                        -- keyed check of the value
    preview TEXT,
    exact INTEGER,                   -- 1: the preview is the value's JSON, whole
    by_value INTEGER,                -- the Python whose code the payload holds, 311 for 3.11; 0: none
    payload BLOB                     -- NULL: it lies in `chunk`
) STRICT;

-- Large payloads in pieces, written before their outcome; without one they mean nothing.
CREATE TABLE chunk (
    id INTEGER NOT NULL REFERENCES instance ON DELETE CASCADE,
    seq INTEGER NOT NULL,            -- from 0
    data BLOB NOT NULL,
    PRIMARY KEY (id, seq)
) STRICT;

-- What a task instance became that gave calls in place of a value; these have it as their parent.
CREATE TABLE growth (
    id INTEGER PRIMARY KEY REFERENCES instance ON DELETE CASCADE,
    mac BLOB,                        -- keyed check of the expansion
    expansion BLOB NOT NULL
) STRICT;

-- Results that later runs may take over, of calls whose task says so.
CREATE TABLE cache (
    id INTEGER PRIMARY KEY REFERENCES instance ON DELETE CASCADE,
    made_at INTEGER NOT NULL,        -- since 1970: when it was made, in this run or the one it is from
    key BLOB NOT NULL                -- keyed digest of the code and the arguments
) STRICT;

CREATE INDEX cache_key ON cache (key, made_at);

-- The values that a run's tasks share: the last of each key.
CREATE TABLE context (
    run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,        -- 0: the run started from it; grows with each change
    type TEXT NOT NULL,              -- this and what follows as in `outcome`
    codec TEXT NOT NULL,
    size INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    mac BLOB,
    preview TEXT NOT NULL,
    exact INTEGER NOT NULL,
    by_value INTEGER NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (run, key)
) STRICT;

-- Events: what was sent from outside, for task instances that wait for it.
CREATE TABLE event (
    seq INTEGER PRIMARY KEY,         -- in the order in which they were sent
    name TEXT NOT NULL,
    run INTEGER REFERENCES run ON DELETE CASCADE, -- the one that it is for; NULL: any
    at INTEGER NOT NULL,             -- since 1970
    taken INTEGER NOT NULL,          -- 1: some run has taken it
    data TEXT NOT NULL               -- JSON
) STRICT;

CREATE INDEX event_name ON event (name);

-- Task instances that wait, or have waited: for a time to pass, or for an event.
CREATE TABLE wait (
    id INTEGER PRIMARY KEY REFERENCES instance ON DELETE CASCADE,
    since INTEGER NOT NULL,          -- since 1970
    event INTEGER                    -- event.seq that it has taken; NULL: none yet
) STRICT;

-- Chunks: what attempts gave before they ended.
CREATE TABLE stream (
    seq INTEGER PRIMARY KEY,         -- in the order in which the driver got them
    id INTEGER NOT NULL REFERENCES instance ON DELETE CASCADE,
    attempt INTEGER NOT NULL,        -- below 0: it was broken off, or its value counts no more
    number INTEGER NOT NULL,         -- in its attempt, from 0
    at INTEGER NOT NULL,             -- since 1970
    name TEXT,                       -- whose chunk it says it is; NULL: the task instance's
    type TEXT NOT NULL,              -- this and what follows as in `outcome`
    codec TEXT NOT NULL,
    size INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    mac BLOB,
    preview TEXT NOT NULL,
    exact INTEGER NOT NULL,
    by_value INTEGER NOT NULL,
    payload BLOB NOT NULL
) STRICT;

CREATE INDEX stream_id ON stream (id);

-- The attempts that did not succeed.
CREATE TABLE attempt (
    id INTEGER NOT NULL REFERENCES instance ON DELETE CASCADE,
    attempt INTEGER NOT NULL,
    outcome TEXT NOT NULL,           -- failed, timed_out, lost, cancelled
    started INTEGER,
    took INTEGER,
    worker TEXT,
    error TEXT,
    traceback TEXT,
    mac BLOB,                        -- keyed check of the exception
    exception BLOB,                  -- its pickle, if it survived one
    PRIMARY KEY (id, attempt)
) STRICT;

-- Attempts that have run for long, for lookers; short ones are never noted here.
CREATE TABLE running (
    id INTEGER PRIMARY KEY REFERENCES instance ON DELETE CASCADE,
    attempt INTEGER NOT NULL,
    started INTEGER NOT NULL,
    worker TEXT
) STRICT;

CREATE TABLE log (
    seq INTEGER PRIMARY KEY,         -- in the order in which the driver got the lines
    id INTEGER NOT NULL REFERENCES instance ON DELETE CASCADE,
    attempt INTEGER NOT NULL,
    at INTEGER NOT NULL,             -- since 1970
    stream TEXT NOT NULL,            -- stdout, stderr, log
    line TEXT NOT NULL
) STRICT;

CREATE INDEX log_id ON log (id);

-- What is known of each task instance.  One place for its state, for users' views and history.py.
CREATE VIEW every_task AS
SELECT
    i.id AS id,
    i.key AS key,
    t.name AS task,
    CASE
        WHEN o.id IS NOT NULL THEN o.state
        WHEN r.ended_at IS NOT NULL THEN 'cancelled'
        WHEN r.state = 'interrupted' THEN 'pending'
        WHEN n.id IS NOT NULL THEN 'running'
        WHEN EXISTS (SELECT 1 FROM attempt WHERE attempt.id = i.id) THEN 'retrying'
        ELSE 'pending'
    END AS state,
    coalesce(o.attempt, n.attempt, (SELECT max(attempt) FROM attempt WHERE attempt.id = i.id), 0) AS attempts,
    r.started_at + coalesce(o.started, n.started) AS started_at,
    r.started_at + o.started + o.took AS ended_at,
    coalesce(o.worker, n.worker) AS worker,
    o.error AS error
FROM instance AS i
JOIN run AS r ON r.number = i.id >> 32
LEFT JOIN task AS t ON t.run = r.number AND t.number = i.task
LEFT JOIN outcome AS o ON o.id = i.id
LEFT JOIN running AS n ON n.id = i.id;

CREATE VIEW every_edge AS
SELECT t.id AS id, s.key AS source, t.key AS target, nullif(f.key, '') AS parameter
FROM instance AS t
JOIN json_each(t.inputs) AS f
JOIN json_each(f.value) AS n
JOIN instance AS s ON s.id = (t.id >> 32 << 32) + n.value;

CREATE VIEW every_xcom AS
SELECT
    o.id AS id, i.key AS key, o.type AS type,
    CASE instr(o.codec, '@') WHEN 0 THEN o.codec ELSE substr(o.codec, 1, instr(o.codec, '@') - 1) END AS codec,
    o.size AS size, lower(hex(o.sha256)) AS sha256, o.preview AS preview,
    CASE instr(o.codec, '@') WHEN 0 THEN NULL ELSE
        substr(o.codec, instr(o.codec, '@') + 1)
        || '/' || lower(hex(substr(o.sha256, 1, 1))) || '/' || lower(hex(o.sha256))
    END AS address,
    o.exact AS exact, o.by_value AS by_value
FROM outcome AS o
JOIN instance AS i ON i.id = o.id
WHERE o.state IN ('succeeded', 'cached');

-- Users' views: the run's id beside each row, and times as ISO 8601 text in UTC.  (Microseconds
-- are shifted by 1970 years, so that those before 1970 divide like the others.)
CREATE VIEW runs AS
SELECT
    id, flow, state,
    strftime('%Y-%m-%dT%H:%M:%S', (created_at + 62135596800000000) / 1000000 - 62135596800, 'unixepoch')
        || printf('.%06dZ', (created_at + 62135596800000000) % 1000000) AS created_at,
    strftime('%Y-%m-%dT%H:%M:%S', (started_at + 62135596800000000) / 1000000 - 62135596800, 'unixepoch')
        || printf('.%06dZ', (started_at + 62135596800000000) % 1000000) AS started_at,
    strftime('%Y-%m-%dT%H:%M:%S', (ended_at + 62135596800000000) / 1000000 - 62135596800, 'unixepoch')
        || printf('.%06dZ', (ended_at + 62135596800000000) % 1000000) AS ended_at,
    error
FROM run;

CREATE VIEW tasks AS
SELECT
    r.id AS run_id, e.key AS key, e.task AS task, e.state AS state, e.attempts AS attempts,
    strftime('%Y-%m-%dT%H:%M:%S', (e.started_at + 62135596800000000) / 1000000 - 62135596800, 'unixepoch')
        || printf('.%06dZ', (e.started_at + 62135596800000000) % 1000000) AS started_at,
    strftime('%Y-%m-%dT%H:%M:%S', (e.ended_at + 62135596800000000) / 1000000 - 62135596800, 'unixepoch')
        || printf('.%06dZ', (e.ended_at + 62135596800000000) % 1000000) AS ended_at,
    e.worker AS worker, e.error AS error
FROM run AS r
JOIN every_task AS e ON e.id BETWEEN r.number << 32 AND r.number << 32 | 4294967295;

CREATE VIEW edges AS
SELECT r.id AS run_id, e.source AS source, e.target AS target, e.parameter AS parameter
FROM run AS r
JOIN every_edge AS e ON e.id BETWEEN r.number << 32 AND r.number << 32 | 4294967295;

CREATE VIEW attempts AS
SELECT
    run_id, key, attempt, outcome,
    strftime('%Y-%m-%dT%H:%M:%S', (began + 62135596800000000) / 1000000 - 62135596800, 'unixepoch')
        || printf('.%06dZ', (began + 62135596800000000) % 1000000) AS started_at,
    strftime('%Y-%m-%dT%H:%M:%S', (began + took + 62135596800000000) / 1000000 - 62135596800, 'unixepoch')
        || printf('.%06dZ', (began + took + 62135596800000000) % 1000000) AS ended_at,
    worker, error
FROM (
    SELECT
        r.id AS run_id, i.key AS key, a.attempt AS attempt, a.outcome AS outcome,
        r.started_at + a.started AS began, a.took AS took, a.worker AS worker, a.error AS error
    FROM run AS r
    JOIN attempt AS a ON a.id BETWEEN r.number << 32 AND r.number << 32 | 4294967295
    JOIN instance AS i ON i.id = a.id
    UNION ALL
    SELECT r.id, i.key, o.attempt, o.state, r.started_at + o.started, o.took, o.worker, NULL
    FROM run AS r
    JOIN outcome AS o ON o.id BETWEEN r.number << 32 AND r.number << 32 | 4294967295
    JOIN instance AS i ON i.id = o.id
    WHERE o.state = 'succeeded'
);

CREATE VIEW xcoms AS
SELECT
    r.id AS run_id, e.key AS key, e.type AS type, e.codec AS codec, e.size AS size,
    e.sha256 AS sha256, e.preview AS preview, e.address AS address
FROM run AS r
JOIN every_xcom AS e ON e.id BETWEEN r.number << 32 AND r.number << 32 | 4294967295;

CREATE VIEW logs AS
SELECT
    r.id AS run_id, i.key AS key, l.attempt AS attempt,
    strftime('%Y-%m-%dT%H:%M:%S', (l.at + 62135596800000000) / 1000000 - 62135596800, 'unixepoch')
        || printf('.%06dZ', (l.at + 62135596800000000) % 1000000) AS at,
    l.stream AS stream, l.line AS line
FROM run AS r
JOIN instance AS i ON i.id BETWEEN r.number << 32 AND r.number << 32 | 4294967295
JOIN log AS l ON l.id = i.id;
