import { IDEMPOTENCY_TABLE } from "../../platform/idempotency.ts";
import type { Schema } from "../../platform/sqlite.ts";

/**
 * The tables of an Orchestrator: one tenant's registry. Each has one module that writes it, named with it. Times are ms since the
 * epoch, money is nano-USD.
 *
 * instance      (store/instance-rows.ts) One row per instance, from spawn until it is deleted; the row is the instance, and is kept
 *               small, since every model call rewrites it. The columns from `report_seq` on are from the newest report of the
 *               instance itself. `path`: its ancestors as a JSON list, topmost first. `active`: 0 once it is terminated.
 *               `unused_until`: its idle deadline while it has never been used. `kept_until`: the end of its retention, from its
 *               end until its conversation is deleted. `workspace_owner`: the instance in whose files it works; null: its own.
 *               `soft`: 1 when its calls can cost more than was reserved. `simulated`: 1 when the simulator answered last, or will.
 *               `counters`: as in counters.ts.
 * first_use     (store/first-uses.ts) What an instance copies on its first use. `spec` is frozen JSON (InstanceSpec); `secrets` are
 *               sealed (platform/secrets.ts), and kept until the instance has them or has ended.
 * tenant        (store/tenant-row.ts) One row: sums over all instances, changed with each of them so that no list is ever summed.
 *               `deleted_instances` are no longer in `total_instances`. `counters`: as in counters.ts.
 * limits        (store/limits.ts) Limits that were set, for the scope 'tenant', an instance with its subtree, or a job. Null: none.
 * balance       (budget/ledger.ts) What each scope has settled, unsettled and reserved: sums of the ledger, changed with it.
 * reservation   (budget/ledger.ts) Calls that may be under way, at their upper bound; deleted when they end.
 * ledger        (budget/ledger.ts) Append-only: 'reserve' before each model call, then 'settled' (at its usage), 'unsettled' (it may
 *               have been billed, and stays counted as reserved) or 'release' (it was not made, or not billed). `job`: the
 *               coordinated task that the call's message belongs to.
 * archived_entries  (archive/ledger-archive.ts) Runs of old ledger entries in R2, under `key`; `first_seq` and `last_seq` are ids.
 * ledger_carried  (archive/ledger-archive.ts) The sums of the archived entries, by instance and `job` (empty: none): every balance
 *               is the sum of these and of the ledger.
 * spend         (budget/spend.ts) The ledger by hour and by day (`bucket`, from `start` on, UTC), instance and model. Changed with
 *               the ledger. spend_total: the same over all instances, by model and role.
 * event         (store/event-log.ts) The tenant's event log, append-only; `seq` never repeats. `instance_id`: the instance or job
 *               that it is about, or empty: the tenant. `instance_seq`: that one's own number. `hash`: as in hash-chain.ts.
 * archived_events  (archive/event-archive.ts) Runs of old events in R2, under `key`. The newest row anchors the hash chain.
 * webhook       (delivery/webhooks.ts) One row per webhook. Its secret is needed to sign, and never leaves this object again.
 *               `cursor`: the newest event that was delivered or that it does not want. `due_at`: when to deliver next; null: there
 *               is nothing to deliver. `failures` in a row; `disabled_at`: when they were too many.
 * outbox        (store/outbox.ts) Calls to make to instances and jobs (`target`), deleted once they are answered. `id` makes a call
 *               unique; `asked`: the call that caused it (AuditedCall as JSON), for the audit record that is written when it is done.
 * job           (registry/jobs.ts) One row per coordinated task, and the row is the job. `spec` is frozen JSON (JobSpec). The columns
 *               from `report_seq` on are from the newest report of the job itself. `within_job`: the job that its creator was working
 *               for. Its cap is a row of `limits` and its money one of `balance`, under its id. `kept_until`: the end of its
 *               retention once it is over; then it is deleted with everything but its ledger entries.
 * concurrency_limiter  (concurrency-limiter.ts) One row: how many model calls may run at once, and until when none may start. Only
 *               written when the API pushes back and while the limit recovers; calls under way are known in memory alone.
 * wait_edge     (registry/wait-graph.ts) Who waits for whom, so that no cycle forms. `seq`: the waiter's newest event at that time.
 * question      (registry/questions.ts) The open questions of instances, from their newest reports; `instance.open_questions` counts
 *               them.
 * task          (registry/tasks.ts) What a task of the MCP extension waits for; forgotten after its lifetime.
 * team_template (registry/templates.ts) The tenant's own team templates as JSON (TeamTemplate); `v` is the version of that shape.
 * tenant_key    (tenant-key.ts) The tenant's key for secrets, where the deployment has none.
 * idempotency   (platform/idempotency.ts) The answers of calls that carried an idempotency key, for as long as keys are honoured.
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
    `
  ALTER TABLE birth RENAME TO first_use;
  ALTER TABLE event_segment RENAME TO archived_events;
  ALTER TABLE ledger_segment RENAME TO archived_entries;
  `,
  ],
};
