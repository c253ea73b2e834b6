import { IDEMPOTENCY_TABLE } from "../idempotency.ts";

/**
 * The tables of an Orchestrator: one tenant's registry. Only the modules of this folder write them.
 *
 * instance      One row an instance, from spawn until it is deleted; the row is the instance. `spec` is frozen JSON
 *               (InstanceSpec). The columns from `report_seq` on are the newest report of the instance itself.
 *               Times are ms since the epoch, money nano-USD. `active` is 0 once the instance is terminated.
 * tenant        One row: totals over all instances, kept with every change so that no list is ever summed.
 * event         The tenant's event log, append-only; `seq` never repeats. `instance_seq` is the instance's own number.
 * outbox        Calls that this object owes to instances; deleted when the call has answered. `id` makes it idempotent.
 * gate          One row: how many model calls may run at once, and until when none may start. Only written when the API
 *               pushes back and while it recovers; the calls under way are known in memory alone.
 * task          What a task of the MCP extension waits for; forgotten after its time.
 * idempotency   The answers of calls that carried an idempotency key, for as long as keys are honoured.
 */
export const ORCHESTRATOR_SCHEMA: readonly string[] = [
  `
  CREATE TABLE instance (
    instance_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    model TEXT NOT NULL,
    parent_id TEXT,
    depth INTEGER NOT NULL,
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
    error_message TEXT,
    simulated INTEGER NOT NULL DEFAULT 0
  ) WITHOUT ROWID;
  CREATE INDEX instance_by_state ON instance (state, instance_id);
  CREATE INDEX instance_by_role ON instance (role, instance_id);
  CREATE INDEX instance_by_parent ON instance (parent_id, instance_id);
  CREATE TABLE tenant (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    total_instances INTEGER NOT NULL,
    active_instances INTEGER NOT NULL,
    tokens_input INTEGER NOT NULL,
    tokens_output INTEGER NOT NULL,
    tokens_cache_read INTEGER NOT NULL,
    tokens_cache_write INTEGER NOT NULL,
    cost_nano INTEGER NOT NULL
  );
  INSERT INTO tenant VALUES (1, 0, 0, 0, 0, 0, 0, 0);
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
];
