import { IDEMPOTENCY_TABLE } from "../../platform/idempotency.ts";
import type { Schema } from "../../platform/sqlite.ts";

/**
 * The tables of an instance. Only the modules of this folder write them. Times are ms since the epoch, money nano-USD.
 *
 * spec         One row from the first use on: the frozen spec (InstanceSpec as JSON). `secrets`: sealed (see secrets.ts), or null.
 * instance     One row beside it, small, as every step rewrites it: `lifecycle` (active, finishing: it ends with its open turn, or
 *              terminated), which message's turn is open, and the cumulative counters that the registry gets. `effective_limits`
 *              is what the registry last said of limits and money; `unhealthy` the figures that made the instance so (Unhealthy
 *              as JSON, see reporting/health.ts), or null.
 * message      The inbox: one row per message, from its acceptance on, never deleted. `content` moves to the transcript when
 *              the turn starts. States as in `MESSAGE_STATES`.
 *              `trace`: the traceparent that its sender gave along.
 *              A steering message that joined a running turn names it in `joined_n` and shares its end. `passive`: it starts no
 *              turn of its own. `returned_from`: the turn that a passive message went back from, because the API refused it for
 *              one of them.
 * turn         The work on one message, from its start on. `phase`: as in next-action.ts. `schema_described`: 1 once the message's
 *              `response_schema` stands in the conversation. `unchecked`: what of it was not checked (Unchecked[] as JSON).
 *              `paused` holds the refusal while only a higher cap can make it go on.
 *              A write by a runner names its `generation`; a runner that was superseded writes nothing.
 * transcript   The conversation as the model gets it, append-only. Its text is JSON of content blocks, verbatim as the
 *              API gave them, cut into parts below SQLite's limit for a value. `omitted` rows are kept, but not sent.
 * model_call   One row per model call that was made, with what the API said of it.
 * tool_call    One row per tool call of the model: intent first, result after. `early_wake`: whether a message may wake a
 *              suspended one early (allowed, never), or has (woken).
 * output       What a reader of the conversation sees, in order. Content stands in the transcript, except `text`.
 * event        What happened, append-only: what a live reader follows, and what the registry gets (`instance.reported_seq` is how
 *              far it has it). `output_index`: the last output row of its time, so that the two interleave.
 * waitpoint    What a suspended tool call waits for, until the instance is notified of it.
 * question     One row per question that a suspended call asks (`question`), or that is asked before it runs (`approval`), one of each
 *              kind; open until it is answered, its time is over or the turn has ended.
 * subscription Objects that wait for message `n` (-1: for the instance's rest); `due_at` once there is something to tell them.
 * kept_file    Written by workspace/kept-files.ts: files (by their inode) whose bytes are in R2, no longer here.
 * sending_file Written by workspace/part-uploads.ts: a file of which parts are in R2, with the parts that arrived, until it is kept.
 * idempotency  Answers to calls with an idempotency key that are no messages; a message keeps its own key.
 */
export const INSTANCE_SCHEMA: Schema = {
  whole: `
  CREATE TABLE spec (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    spec TEXT NOT NULL,
    secrets TEXT
  );
  CREATE TABLE instance (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    open_n INTEGER,
    next_n INTEGER NOT NULL,
    queued INTEGER NOT NULL DEFAULT 0,
    reported_seq INTEGER NOT NULL DEFAULT 0,
    request_count INTEGER NOT NULL DEFAULT 0,
    completed_count INTEGER NOT NULL DEFAULT 0,
    error_count INTEGER NOT NULL DEFAULT 0,
    response_ms_total INTEGER NOT NULL DEFAULT 0,
    tokens_input INTEGER NOT NULL DEFAULT 0,
    tokens_output INTEGER NOT NULL DEFAULT 0,
    tokens_cache_read INTEGER NOT NULL DEFAULT 0,
    tokens_cache_write INTEGER NOT NULL DEFAULT 0,
    cost_nano INTEGER NOT NULL DEFAULT 0,
    last_activity INTEGER NOT NULL,
    error_message TEXT,
    simulated INTEGER NOT NULL DEFAULT 0,
    effective_limits TEXT NOT NULL,
    unhealthy TEXT,
    lifecycle TEXT NOT NULL DEFAULT 'active'
  );
  CREATE TABLE message (
    n INTEGER PRIMARY KEY,
    sender TEXT NOT NULL,
    content TEXT,
    response_schema TEXT,
    state TEXT NOT NULL,
    priority INTEGER NOT NULL DEFAULT 0,
    steer INTEGER NOT NULL DEFAULT 0,
    joined_n INTEGER,
    key TEXT,
    body_hash TEXT,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    error TEXT,
    job TEXT,
    sender_title TEXT,
    passive INTEGER NOT NULL DEFAULT 0,
    trace TEXT,
    returned_from INTEGER
  );
  CREATE UNIQUE INDEX message_by_key ON message (key) WHERE key IS NOT NULL;
  CREATE INDEX message_queue ON message (priority DESC, n) WHERE state = 'queued';
  CREATE INDEX message_by_turn ON message (joined_n) WHERE joined_n IS NOT NULL;
  CREATE INDEX message_coalescing ON message (n) WHERE state = 'queued' AND (passive = 1 OR steer > 0);
  CREATE TABLE turn (
    n INTEGER PRIMARY KEY,
    phase TEXT NOT NULL,
    generation TEXT NOT NULL,
    step INTEGER NOT NULL DEFAULT 0,
    resumes INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    compactions INTEGER NOT NULL DEFAULT 0,
    summary_tries INTEGER NOT NULL DEFAULT 0,
    repairs INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER,
    waiting_reason TEXT,
    cancel_reason TEXT,
    paused TEXT,
    paused_at INTEGER,
    held_ms INTEGER NOT NULL DEFAULT 0,
    last_step_at INTEGER NOT NULL,
    tokens_fresh INTEGER NOT NULL DEFAULT 0,
    unshown_tokens INTEGER NOT NULL DEFAULT 0,
    unshown_nano INTEGER NOT NULL DEFAULT 0,
    cost_nano INTEGER NOT NULL DEFAULT 0,
    simulated INTEGER NOT NULL DEFAULT 0,
    truncated INTEGER NOT NULL DEFAULT 0,
    structured TEXT,
    response_index INTEGER,
    schema_described INTEGER NOT NULL DEFAULT 0,
    unchecked TEXT
  );
  CREATE TABLE transcript (
    seq INTEGER PRIMARY KEY,
    n INTEGER NOT NULL,
    role TEXT NOT NULL,
    simulated INTEGER NOT NULL DEFAULT 0,
    omitted INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL
  );
  CREATE TABLE transcript_part (
    seq INTEGER NOT NULL,
    part INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (seq, part)
  ) WITHOUT ROWID;
  CREATE TABLE model_call (
    id INTEGER PRIMARY KEY,
    n INTEGER NOT NULL,
    step INTEGER NOT NULL,
    model TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER,
    outcome TEXT NOT NULL,
    api_message_id TEXT,
    request_id TEXT,
    answer_seq INTEGER,
    max_tokens INTEGER NOT NULL,
    stop_reason TEXT,
    input INTEGER NOT NULL DEFAULT 0,
    output INTEGER NOT NULL DEFAULT 0,
    cache_read INTEGER NOT NULL DEFAULT 0,
    cache_write_5m INTEGER NOT NULL DEFAULT 0,
    cache_write_1h INTEGER NOT NULL DEFAULT 0,
    cost_nano INTEGER NOT NULL DEFAULT 0,
    error TEXT
  );
  CREATE INDEX model_call_by_turn ON model_call (n, id);
  CREATE TABLE tool_call (
    id INTEGER PRIMARY KEY,
    n INTEGER NOT NULL,
    step INTEGER NOT NULL,
    tool_use_id TEXT NOT NULL,
    name TEXT NOT NULL,
    input TEXT NOT NULL,
    state TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    result TEXT,
    is_error INTEGER NOT NULL DEFAULT 0,
    started_at INTEGER,
    finished_at INTEGER,
    wake_at INTEGER,
    wait_reason TEXT,
    needed INTEGER,
    early_wake TEXT NOT NULL DEFAULT 'allowed'
  );
  CREATE INDEX tool_call_by_step ON tool_call (n, step, id);
  CREATE TABLE waitpoint (
    call_id INTEGER NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (call_id, id)
  ) WITHOUT ROWID;
  CREATE INDEX waitpoint_by_id ON waitpoint (id);
  CREATE TABLE question (
    n INTEGER PRIMARY KEY,
    call_id INTEGER NOT NULL,
    kind TEXT NOT NULL,
    to_id TEXT,
    text TEXT NOT NULL,
    options TEXT NOT NULL,
    default_answer TEXT,
    asked_at INTEGER NOT NULL,
    expires_at INTEGER,
    state TEXT NOT NULL,
    answer TEXT,
    answered_by TEXT,
    answered_at INTEGER,
    UNIQUE (call_id, kind)
  );
  CREATE INDEX question_open ON question (n) WHERE state = 'open';
  CREATE TABLE output (
    message_index INTEGER PRIMARY KEY,
    n INTEGER NOT NULL,
    type TEXT NOT NULL,
    seq INTEGER,
    block INTEGER,
    text TEXT,
    at INTEGER NOT NULL,
    tokens INTEGER NOT NULL DEFAULT 0,
    cost_nano INTEGER NOT NULL DEFAULT 0,
    cut INTEGER NOT NULL DEFAULT 0
  );
  CREATE INDEX output_by_time ON output (at);
  CREATE TABLE event (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    output_index INTEGER NOT NULL
  );
  CREATE TABLE subscription (
    n INTEGER NOT NULL,
    subscriber TEXT NOT NULL,
    due_at INTEGER,
    tries INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (n, subscriber)
  ) WITHOUT ROWID;
  CREATE INDEX subscription_due ON subscription (due_at) WHERE due_at IS NOT NULL;
  CREATE TABLE kept_file (
    inode INTEGER PRIMARY KEY,
    kept_at INTEGER NOT NULL
  );
  CREATE TABLE sending_file (
    inode INTEGER PRIMARY KEY,
    upload_id TEXT NOT NULL,
    key TEXT NOT NULL,
    rev INTEGER NOT NULL,
    parts TEXT NOT NULL
  );
  ${IDEMPOTENCY_TABLE}
  `,
  steps: [
    `
  CREATE TABLE self (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    spec TEXT NOT NULL,
    ended INTEGER NOT NULL DEFAULT 0,
    open_n INTEGER,
    next_n INTEGER NOT NULL,
    queued INTEGER NOT NULL DEFAULT 0,
    reported_seq INTEGER NOT NULL DEFAULT 0,
    request_count INTEGER NOT NULL DEFAULT 0,
    completed_count INTEGER NOT NULL DEFAULT 0,
    error_count INTEGER NOT NULL DEFAULT 0,
    response_ms_total INTEGER NOT NULL DEFAULT 0,
    tokens_input INTEGER NOT NULL DEFAULT 0,
    tokens_output INTEGER NOT NULL DEFAULT 0,
    tokens_cache_read INTEGER NOT NULL DEFAULT 0,
    tokens_cache_write INTEGER NOT NULL DEFAULT 0,
    cost_nano INTEGER NOT NULL DEFAULT 0,
    last_activity INTEGER NOT NULL,
    error_message TEXT,
    simulated INTEGER NOT NULL DEFAULT 0,
    standing TEXT NOT NULL
  );
  CREATE TABLE message (
    n INTEGER PRIMARY KEY,
    sender TEXT NOT NULL,
    content TEXT,
    response_schema TEXT,
    state TEXT NOT NULL,
    priority INTEGER NOT NULL DEFAULT 0,
    steer INTEGER NOT NULL DEFAULT 0,
    joined_n INTEGER,
    key TEXT,
    body_hash TEXT,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    error TEXT
  );
  CREATE UNIQUE INDEX message_by_key ON message (key) WHERE key IS NOT NULL;
  CREATE INDEX message_queue ON message (priority DESC, n) WHERE state = 'queued';
  CREATE INDEX message_by_turn ON message (joined_n) WHERE joined_n IS NOT NULL;
  CREATE TABLE turn (
    n INTEGER PRIMARY KEY,
    phase TEXT NOT NULL,
    generation TEXT NOT NULL,
    step INTEGER NOT NULL DEFAULT 0,
    resumes INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    compactions INTEGER NOT NULL DEFAULT 0,
    repairs INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER,
    waiting_reason TEXT,
    cancel_reason TEXT,
    paused TEXT,
    paused_at INTEGER,
    held_ms INTEGER NOT NULL DEFAULT 0,
    last_step_at INTEGER NOT NULL,
    tokens_fresh INTEGER NOT NULL DEFAULT 0,
    unshown_tokens INTEGER NOT NULL DEFAULT 0,
    unshown_nano INTEGER NOT NULL DEFAULT 0,
    cost_nano INTEGER NOT NULL DEFAULT 0,
    simulated INTEGER NOT NULL DEFAULT 0,
    truncated INTEGER NOT NULL DEFAULT 0,
    structured TEXT,
    response_index INTEGER
  );
  CREATE TABLE transcript (
    seq INTEGER PRIMARY KEY,
    n INTEGER NOT NULL,
    role TEXT NOT NULL,
    simulated INTEGER NOT NULL DEFAULT 0,
    omitted INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL
  );
  CREATE TABLE transcript_part (
    seq INTEGER NOT NULL,
    part INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (seq, part)
  ) WITHOUT ROWID;
  CREATE TABLE attempt (
    id INTEGER PRIMARY KEY,
    n INTEGER NOT NULL,
    step INTEGER NOT NULL,
    model TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER,
    outcome TEXT NOT NULL,
    api_message_id TEXT,
    request_id TEXT,
    answer_seq INTEGER,
    max_tokens INTEGER NOT NULL,
    stop_reason TEXT,
    input INTEGER NOT NULL DEFAULT 0,
    output INTEGER NOT NULL DEFAULT 0,
    cache_read INTEGER NOT NULL DEFAULT 0,
    cache_write_5m INTEGER NOT NULL DEFAULT 0,
    cache_write_1h INTEGER NOT NULL DEFAULT 0,
    cost_nano INTEGER NOT NULL DEFAULT 0,
    error TEXT
  );
  CREATE INDEX attempt_by_message ON attempt (n, id);
  CREATE TABLE tool_call (
    id INTEGER PRIMARY KEY,
    n INTEGER NOT NULL,
    step INTEGER NOT NULL,
    tool_use_id TEXT NOT NULL,
    name TEXT NOT NULL,
    input TEXT NOT NULL,
    state TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    result TEXT,
    is_error INTEGER NOT NULL DEFAULT 0,
    started_at INTEGER,
    finished_at INTEGER
  );
  CREATE INDEX tool_call_by_step ON tool_call (n, step, id);
  CREATE TABLE output (
    message_index INTEGER PRIMARY KEY,
    n INTEGER NOT NULL,
    type TEXT NOT NULL,
    seq INTEGER,
    block INTEGER,
    text TEXT,
    at INTEGER NOT NULL,
    tokens INTEGER NOT NULL DEFAULT 0,
    cost_nano INTEGER NOT NULL DEFAULT 0
  );
  CREATE INDEX output_by_time ON output (at);
  CREATE TABLE event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    output_index INTEGER NOT NULL
  );
  ${IDEMPOTENCY_TABLE}
  `,
    `
  CREATE TABLE kept_file (
    inode INTEGER PRIMARY KEY,
    kept_at INTEGER NOT NULL
  );
  `,
    `
  CREATE TABLE watch (
    n INTEGER NOT NULL,
    watcher TEXT NOT NULL,
    due_at INTEGER,
    tries INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (n, watcher)
  ) WITHOUT ROWID;
  CREATE INDEX watch_due ON watch (due_at) WHERE due_at IS NOT NULL;
  ALTER TABLE message ADD COLUMN job TEXT;
  `,
    `
  ALTER TABLE message ADD COLUMN sender_title TEXT;
  ALTER TABLE message ADD COLUMN note INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE tool_call ADD COLUMN wake_at INTEGER;
  ALTER TABLE tool_call ADD COLUMN park_reason TEXT;
  ALTER TABLE tool_call ADD COLUMN needed INTEGER;
  ALTER TABLE tool_call ADD COLUMN nudged INTEGER NOT NULL DEFAULT 0;
  CREATE TABLE awaited (
    call_id INTEGER NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (call_id, id)
  ) WITHOUT ROWID;
  CREATE INDEX awaited_by_id ON awaited (id);
  CREATE TABLE question (
    n INTEGER PRIMARY KEY,
    call_id INTEGER NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    to_id TEXT,
    text TEXT NOT NULL,
    options TEXT NOT NULL,
    default_answer TEXT,
    asked_at INTEGER NOT NULL,
    expires_at INTEGER,
    state TEXT NOT NULL,
    answer TEXT,
    answered_by TEXT,
    answered_at INTEGER
  );
  CREATE INDEX question_open ON question (n) WHERE state = 'open';
  `,
    `
  ALTER TABLE self ADD COLUMN unhealthy TEXT;
  `,
    `
  CREATE TABLE sending_file (
    inode INTEGER PRIMARY KEY,
    upload_id TEXT NOT NULL,
    key TEXT NOT NULL,
    rev INTEGER NOT NULL,
    parts TEXT NOT NULL
  );
  `,
    `
  ALTER TABLE self ADD COLUMN secrets TEXT;
  `,
    `
  CREATE INDEX message_joining ON message (n) WHERE state = 'queued' AND (note = 1 OR steer > 0);
  `,
    `
  ALTER TABLE message ADD COLUMN trace TEXT;
  `,
    `
  CREATE TABLE spec (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    spec TEXT NOT NULL,
    secrets TEXT
  );
  INSERT INTO spec SELECT id, spec, secrets FROM self;
  ALTER TABLE self DROP COLUMN spec;
  ALTER TABLE self DROP COLUMN secrets;
  CREATE TABLE event_without_sequence (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    output_index INTEGER NOT NULL
  );
  INSERT INTO event_without_sequence SELECT seq, at, kind, data, output_index FROM event;
  DROP TABLE event;
  ALTER TABLE event_without_sequence RENAME TO event;
  `,
    `
  ALTER TABLE message ADD COLUMN returned_from INTEGER;
  ALTER TABLE output ADD COLUMN cut INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE turn ADD COLUMN summary_tries INTEGER NOT NULL DEFAULT 0;
  `,
    `
  CREATE TABLE question_of_a_kind (
    n INTEGER PRIMARY KEY,
    call_id INTEGER NOT NULL,
    kind TEXT NOT NULL,
    to_id TEXT,
    text TEXT NOT NULL,
    options TEXT NOT NULL,
    default_answer TEXT,
    asked_at INTEGER NOT NULL,
    expires_at INTEGER,
    state TEXT NOT NULL,
    answer TEXT,
    answered_by TEXT,
    answered_at INTEGER,
    UNIQUE (call_id, kind)
  );
  INSERT INTO question_of_a_kind SELECT * FROM question;
  DROP TABLE question;
  ALTER TABLE question_of_a_kind RENAME TO question;
  CREATE INDEX question_open ON question (n) WHERE state = 'open';
  `,
    `
  ALTER TABLE self RENAME TO instance;
  ALTER TABLE instance RENAME COLUMN standing TO effective_limits;
  ALTER TABLE instance ADD COLUMN lifecycle TEXT NOT NULL DEFAULT 'active';
  UPDATE instance SET lifecycle = CASE ended WHEN 1 THEN 'finishing' ELSE 'terminated' END WHERE ended <> 0;
  ALTER TABLE instance DROP COLUMN ended;
  DROP INDEX message_joining;
  ALTER TABLE message RENAME COLUMN note TO passive;
  CREATE INDEX message_coalescing ON message (n) WHERE state = 'queued' AND (passive = 1 OR steer > 0);
  DROP INDEX attempt_by_message;
  ALTER TABLE attempt RENAME TO model_call;
  CREATE INDEX model_call_by_turn ON model_call (n, id);
  ALTER TABLE tool_call RENAME COLUMN park_reason TO wait_reason;
  ALTER TABLE tool_call ADD COLUMN early_wake TEXT NOT NULL DEFAULT 'allowed';
  UPDATE tool_call SET early_wake = CASE nudged WHEN 1 THEN 'woken' ELSE 'never' END WHERE nudged <> 0;
  UPDATE tool_call SET state = 'suspended' WHERE state = 'parked';
  ALTER TABLE tool_call DROP COLUMN nudged;
  DROP INDEX awaited_by_id;
  ALTER TABLE awaited RENAME TO waitpoint;
  CREATE INDEX waitpoint_by_id ON waitpoint (id);
  DROP INDEX watch_due;
  ALTER TABLE watch RENAME TO subscription;
  ALTER TABLE subscription RENAME COLUMN watcher TO subscriber;
  CREATE INDEX subscription_due ON subscription (due_at) WHERE due_at IS NOT NULL;
  `,
    `
  ALTER TABLE turn ADD COLUMN schema_described INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE turn ADD COLUMN unchecked TEXT;
  `,
  ],
};
