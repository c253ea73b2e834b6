import { IDEMPOTENCY_TABLE } from "../../platform/idempotency.ts";
import type { Schema } from "../../platform/sqlite.ts";

/**
 * The tables of an Orchestrator: one tenant's registry. Each has one module that writes it, and no other does.
 *
 * instance      One row an instance, from spawn until it is deleted; the row is the instance, and is kept small: every model
 *               call rewrites it. The columns from `report_seq` on are the newest report of the instance itself.
 *               `workspace_owner`: the instance in whose files it works; null: its own.
 *               Times are ms since the epoch, money nano-USD. `active` is 0 once the instance is terminated.
 * birth         What an instance copies on its first use. `spec` is frozen JSON (InstanceSpec).
 * tenant        One row: totals over all instances, kept with every change so that no list is ever summed. `counters`, here
 *               and in an instance's row: as in counters.ts.
 *               `path` is the JSON list of its ancestors, topmost first; `unused_until` its idle deadline while it was never used,
 *               `kept_until` the end of its retention once it is terminated and until its conversation is deleted.
 * limits        Limits that were set: of the scope 'tenant', or of an instance and its subtree. Null: none of its own.
 * balance       What each scope has settled, unsettled and reserved: sums of the ledger, changed in the same transactions.
 * reservation   Calls that may be under way, at their upper bound; deleted when they end.
 * ledger        Append-only: 'reserve' before each model call, then 'settled' (at its usage), 'unsettled' (it may have been
 *               billed: it stays counted as reserved) or 'release' (it was not made or not billed).
 *               `job` in both: the coordinated task that the call's message belongs to.
 * ledger_segment  Runs of old entries that were moved to R2, by the object's `key`; `first_seq` and `last_seq` are their ids.
 * ledger_carried  What the entries that were moved sum up to, by instance and `job` (empty: none): every balance is the sum of
 *               these and of the ledger.
 * spend         The ledger by hour and by day (`bucket`, from `start` on, UTC), instance and model: what was counted in each. Changed
 *               with the ledger. spend_total: the same of all instances together, by model and role.
 * event         The tenant's event log, append-only; `seq` never repeats. `instance_id` is the instance or job that it is about,
 *               `instance_seq` that one's own number; `hash` as in chain.ts. About the whole tenant: `instance_id` is empty.
 * event_segment Runs of old events that were moved to R2, by the object's `key`. The newest row is the anchor of the chain.
 * webhook       One row a webhook, with its secret: it is needed to sign, and never leaves this object again. `cursor` is the
 *               newest event that is settled for it: delivered, or not of its kinds. `due_at`: when there is something to
 *               deliver, or to look for; null while there is not. `failures` of the next delivery in a row; `disabled_at` once
 *               they were too many.
 * outbox        Calls that this object has to make to instances and jobs (`target`); deleted when the call has answered. `id` makes it
 *               idempotent; `asked`: whose call it was (AuditedCall as JSON), for the record that is written once it is done.
 * job           One row a coordinated task; the row is the job. `spec` is frozen JSON (JobSpec). The columns from `report_seq`
 *               on are the newest report of the job itself. `within_job`: the job that its creator was working for. Its cap
 *               is a row of `limits`, its money one of `balance`, under its id. `kept_until`: the end of its retention once it
 *               is over, until it is deleted with everything of it but the ledger.
 * concurrency_limiter  One row: how many model calls may run at once, and until when none may start. Only written when the API
 *               pushes back and while the limit recovers; the calls under way are known in memory alone.
 * wait_edge     Who waits for whom, so that no circle closes. `seq`: the waiter's newest event when it began.
 * question      The open questions of instances, as they reported them last; `instance.open_questions` counts them.
 * task          What a task of the MCP extension waits for; forgotten after its time.
 * team_template The team templates that were stored for this tenant, as JSON (TeamTemplate); `v` is the version of that shape.
 *               In an instance's birth: `secrets` sealed (see secrets.ts), until the instance has them or has ended. In its row:
 *               `soft` 1 when its calls can cost more than was reserved; `simulated` 1 when the simulator spoke last, or would.
 * tenant_key    The tenant's key for secrets, where the deployment has none.
 * idempotency   The answers of calls that carried an idempotency key, for as long as keys are honoured.
 */
export const ORCHESTRATOR_SCHEMA: Schema = {
  steps: [
    `
  CREATE TABLE instance (
    instance_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    model TEXT NOT NULL,
    parent_id TEXT,
    depth INTEGER NOT NULL,
    path TEXT NOT NULL,
    unused_until INTEGER,
    kept_until INTEGER,
    state TEXT NOT NULL,
    active INTEGER NOT NULL,
    spec TEXT NOT NULL,
    initial_prompt TEXT,
    created_at INTEGER NOT NULL,
    terminated_at INTEGER,
    termination_reason TEXT,
    report_seq INTEGER NOT NULL DEFAULT 0,
    event_seq INTEGER NOT NULL DEFAULT 0,
    waiting_reason TEXT,
    waiting_until INTEGER,
    last_activity INTEGER NOT NULL,
    queue_depth INTEGER NOT NULL DEFAULT 0,
    request_count INTEGER NOT NULL DEFAULT 0,
    completed_count INTEGER NOT NULL DEFAULT 0,
    error_count INTEGER NOT NULL DEFAULT 0,
    response_ms_total INTEGER NOT NULL DEFAULT 0,
    tokens_input INTEGER NOT NULL DEFAULT 0,
    tokens_output INTEGER NOT NULL DEFAULT 0,
    tokens_cache_read INTEGER NOT NULL DEFAULT 0,
    tokens_cache_write INTEGER NOT NULL DEFAULT 0,
    cost_nano INTEGER NOT NULL DEFAULT 0,
    unsettled_nano INTEGER NOT NULL DEFAULT 0,
    figures TEXT,
    error_message TEXT,
    simulated INTEGER NOT NULL DEFAULT 0
  ) WITHOUT ROWID;
  CREATE INDEX instance_by_state ON instance (state, instance_id);
  CREATE INDEX instance_by_role ON instance (role, instance_id);
  CREATE INDEX instance_kept ON instance (kept_until) WHERE kept_until IS NOT NULL;
  CREATE INDEX instance_unused ON instance (unused_until) WHERE unused_until IS NOT NULL;
  CREATE INDEX instance_by_parent ON instance (parent_id, instance_id);
  CREATE TABLE tenant (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    total_instances INTEGER NOT NULL,
    active_instances INTEGER NOT NULL,
    tokens_input INTEGER NOT NULL,
    tokens_output INTEGER NOT NULL,
    tokens_cache_read INTEGER NOT NULL,
    tokens_cache_write INTEGER NOT NULL,
    bound_violations INTEGER NOT NULL,
    figures TEXT
  );
  INSERT INTO tenant VALUES (1, 0, 0, 0, 0, 0, 0, 0, NULL);
  CREATE TABLE limits (
    scope TEXT PRIMARY KEY,
    max_cost_nano INTEGER,
    max_total_tokens INTEGER,
    timeout_minutes REAL,
    max_turn_minutes REAL,
    max_instances INTEGER
  ) WITHOUT ROWID;
  CREATE TABLE balance (
    scope TEXT PRIMARY KEY,
    settled_nano INTEGER NOT NULL DEFAULT 0,
    unsettled_nano INTEGER NOT NULL DEFAULT 0,
    reserved_nano INTEGER NOT NULL DEFAULT 0,
    fresh INTEGER NOT NULL DEFAULT 0,
    fresh_reserved INTEGER NOT NULL DEFAULT 0
  ) WITHOUT ROWID;
  INSERT INTO balance (scope) VALUES ('tenant');
  CREATE TABLE reservation (
    instance_id TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    model TEXT NOT NULL,
    at INTEGER NOT NULL,
    max_tokens INTEGER NOT NULL,
    nano INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    PRIMARY KEY (instance_id, attempt)
  ) WITHOUT ROWID;
  CREATE TABLE ledger (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    instance_id TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    kind TEXT NOT NULL,
    model TEXT NOT NULL,
    price_from TEXT,
    price_band INTEGER,
    reserved_nano INTEGER NOT NULL,
    reserved_tokens INTEGER NOT NULL,
    settled_nano INTEGER NOT NULL DEFAULT 0,
    input INTEGER NOT NULL DEFAULT 0,
    output INTEGER NOT NULL DEFAULT 0,
    cache_read INTEGER NOT NULL DEFAULT 0,
    cache_write_5m INTEGER NOT NULL DEFAULT 0,
    cache_write_1h INTEGER NOT NULL DEFAULT 0,
    web_searches INTEGER NOT NULL DEFAULT 0,
    request_id TEXT
  );
  CREATE INDEX ledger_by_instance ON ledger (instance_id, id);
  CREATE TABLE event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    instance_id TEXT NOT NULL,
    instance_seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL
  );
  CREATE INDEX event_by_instance ON event (instance_id, seq);
  CREATE TABLE outbox (
    id TEXT PRIMARY KEY,
    instance_id TEXT NOT NULL,
    call TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    due_at INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX outbox_by_due ON outbox (due_at);
  CREATE TABLE gate (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    allowed REAL NOT NULL,
    blocked_until INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
  );
  CREATE TABLE task (
    task_id TEXT PRIMARY KEY,
    ids TEXT NOT NULL,
    until TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    cancelled INTEGER NOT NULL DEFAULT 0
  ) WITHOUT ROWID;
  CREATE INDEX task_by_age ON task (created_at);
  ${IDEMPOTENCY_TABLE}
  `,
    `
  CREATE TABLE wait_edge (
    waiter TEXT NOT NULL,
    target TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (waiter, target)
  ) WITHOUT ROWID;
  CREATE TABLE question (
    question_id TEXT PRIMARY KEY,
    instance_id TEXT NOT NULL,
    to_id TEXT,
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    options TEXT NOT NULL,
    asked_at INTEGER NOT NULL,
    expires_at INTEGER
  ) WITHOUT ROWID;
  CREATE INDEX question_by_instance ON question (instance_id);
  CREATE INDEX question_by_age ON question (asked_at, question_id);
  ALTER TABLE instance ADD COLUMN open_questions INTEGER NOT NULL DEFAULT 0;
  `,
    `
  ALTER TABLE instance ADD COLUMN unhealthy TEXT;
  `,
    `
  CREATE TABLE team_template (
    name TEXT PRIMARY KEY,
    v INTEGER NOT NULL,
    template TEXT NOT NULL,
    created_at INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX instance_active ON instance (instance_id) WHERE active = 1;
  `,
    `
  ALTER TABLE outbox RENAME COLUMN instance_id TO target;
  ALTER TABLE reservation ADD COLUMN job TEXT;
  ALTER TABLE ledger ADD COLUMN job TEXT;
  CREATE TABLE job (
    job_id TEXT PRIMARY KEY,
    type TEXT NOT NULL,
    coordinator_id TEXT NOT NULL,
    participants TEXT NOT NULL,
    creator TEXT,
    within_job TEXT,
    spec TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    state TEXT NOT NULL,
    report_seq INTEGER NOT NULL DEFAULT 0,
    started_at INTEGER,
    finished_at INTEGER,
    steps_done INTEGER NOT NULL DEFAULT 0,
    steps_total INTEGER NOT NULL DEFAULT 0,
    error TEXT
  ) WITHOUT ROWID;
  CREATE INDEX job_by_state ON job (state, job_id);
  `,
    `
  CREATE TABLE vault (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    key TEXT NOT NULL
  );
  ALTER TABLE instance ADD COLUMN secrets TEXT;
  ALTER TABLE instance ADD COLUMN soft INTEGER NOT NULL DEFAULT 0;
  CREATE INDEX instance_soft ON instance (soft) WHERE soft = 1;
  `,
    `
  CREATE INDEX instance_sharing ON instance (json_extract(spec, '$.workspace_owner'))
    WHERE json_extract(spec, '$.workspace_owner') IS NOT NULL;
  `,
    `
  CREATE TABLE spend (
    bucket TEXT NOT NULL,
    start INTEGER NOT NULL,
    instance_id TEXT NOT NULL,
    model TEXT NOT NULL,
    role TEXT NOT NULL,
    calls INTEGER NOT NULL,
    settled_nano INTEGER NOT NULL,
    unsettled_nano INTEGER NOT NULL,
    fresh INTEGER NOT NULL,
    PRIMARY KEY (bucket, start, instance_id, model)
  ) WITHOUT ROWID;
  INSERT INTO spend
  SELECT column1, at - at % column2, instance_id, ledger.model, COALESCE(role, 'deleted'), COUNT(*), SUM(settled_nano),
    SUM(CASE kind WHEN 'unsettled' THEN reserved_nano ELSE 0 END),
    SUM(input + output + ledger.cache_write_5m + ledger.cache_write_1h)
  FROM ledger LEFT JOIN instance USING (instance_id) CROSS JOIN (VALUES ('hour', 3600000), ('day', 86400000))
  WHERE kind IN ('settled', 'unsettled') GROUP BY 1, 2, 3, 4;
  `,
    `
  ALTER TABLE event ADD COLUMN hash TEXT NOT NULL DEFAULT '';
  CREATE TABLE event_segment (
    last_seq INTEGER PRIMARY KEY,
    first_seq INTEGER NOT NULL,
    last_hash TEXT NOT NULL,
    key TEXT NOT NULL,
    moved_at INTEGER NOT NULL
  );
  CREATE TABLE webhook (
    webhook_id TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    events TEXT NOT NULL,
    secret TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    cursor INTEGER NOT NULL,
    due_at INTEGER,
    failures INTEGER NOT NULL DEFAULT 0,
    delivered INTEGER NOT NULL DEFAULT 0,
    last_status TEXT,
    last_tried_at INTEGER,
    disabled_at INTEGER
  ) WITHOUT ROWID;
  CREATE INDEX webhook_due ON webhook (due_at) WHERE due_at IS NOT NULL;
  `,
    `
  CREATE TABLE birth (
    instance_id TEXT PRIMARY KEY,
    spec TEXT NOT NULL,
    initial_prompt TEXT,
    secrets TEXT
  ) WITHOUT ROWID;
  INSERT INTO birth SELECT instance_id, spec, initial_prompt, secrets FROM instance;
  ALTER TABLE instance ADD COLUMN workspace_owner TEXT;
  UPDATE instance SET workspace_owner = json_extract(spec, '$.workspace_owner')
    WHERE json_extract(spec, '$.workspace_owner') IS NOT NULL;
  DROP INDEX instance_sharing;
  CREATE INDEX instance_sharing ON instance (workspace_owner) WHERE workspace_owner IS NOT NULL;
  ALTER TABLE instance DROP COLUMN spec;
  ALTER TABLE instance DROP COLUMN initial_prompt;
  ALTER TABLE instance DROP COLUMN secrets;
  CREATE TABLE event_without_sequence (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    instance_id TEXT NOT NULL,
    instance_seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    hash TEXT NOT NULL DEFAULT ''
  );
  INSERT INTO event_without_sequence SELECT seq, at, instance_id, instance_seq, kind, data, hash FROM event;
  DROP TABLE event;
  ALTER TABLE event_without_sequence RENAME TO event;
  CREATE INDEX event_by_instance ON event (instance_id, seq);
  `,
    `
  CREATE INDEX instance_family ON instance (parent_id, instance_id) WHERE active = 1;
  CREATE INDEX instance_without_budget ON instance (instance_id) WHERE state = 'waiting' AND waiting_reason = 'budget';
  `,
    `
  ALTER TABLE outbox ADD COLUMN asked TEXT;
  `,
    `
  ALTER TABLE job ADD COLUMN kept_until INTEGER;
  UPDATE job SET kept_until = finished_at + 30 * 86400000 WHERE finished_at IS NOT NULL;
  CREATE INDEX job_kept ON job (kept_until) WHERE kept_until IS NOT NULL;
  CREATE INDEX job_open ON job (creator) WHERE finished_at IS NULL;
  `,
    `
  CREATE TABLE ledger_segment (
    last_seq INTEGER PRIMARY KEY,
    first_seq INTEGER NOT NULL,
    key TEXT NOT NULL,
    moved_at INTEGER NOT NULL
  );
  CREATE TABLE ledger_carried (
    instance_id TEXT NOT NULL,
    job TEXT NOT NULL,
    settled_nano INTEGER NOT NULL,
    unsettled_nano INTEGER NOT NULL,
    reserved_nano INTEGER NOT NULL,
    fresh INTEGER NOT NULL,
    fresh_reserved INTEGER NOT NULL,
    PRIMARY KEY (instance_id, job)
  ) WITHOUT ROWID;
  `,
    `
  CREATE TABLE spend_total (
    bucket TEXT NOT NULL,
    start INTEGER NOT NULL,
    model TEXT NOT NULL,
    role TEXT NOT NULL,
    calls INTEGER NOT NULL,
    settled_nano INTEGER NOT NULL,
    unsettled_nano INTEGER NOT NULL,
    fresh INTEGER NOT NULL,
    PRIMARY KEY (bucket, start, model, role)
  ) WITHOUT ROWID;
  INSERT INTO spend_total
  SELECT bucket, start, model, role, SUM(calls), SUM(settled_nano), SUM(unsettled_nano), SUM(fresh)
  FROM spend GROUP BY 1, 2, 3, 4;
  `,
    `
  ALTER TABLE tenant ADD COLUMN deleted_instances INTEGER NOT NULL DEFAULT 0;
  `,
    `
  ALTER TABLE gate RENAME TO concurrency_limiter;
  `,
    `
  ALTER TABLE vault RENAME TO tenant_key;
  ALTER TABLE instance RENAME COLUMN figures TO counters;
  ALTER TABLE tenant RENAME COLUMN figures TO counters;
  `,
  ],
};
