import type { Schema } from "../platform/sqlite.ts";

/**
 * The tables of a job. Each has one module that writes it. Times are ms since the epoch, money nano-USD.
 *
 * job      (job-state.ts) One row from the first use on: the frozen spec (JobSpec as JSON) and the state of the job. `error`: why
 *          it failed. `reported_seq`: the newest event that the registry has confirmed; `report_due`: when to report next.
 * step     (steps.ts) One row per step, from its start on. The message is the same for every sending of a try, so that a try
 *          reaches its instance once. queued: it is being sent (again at `due_at`, until the instance has answered). running:
 *          the instance has accepted it. `deadline` while it is open. `structured` and `output`: the answer; `output` is cut to
 *          what a prompt can use, the instance has all of it. `simulated`: 1 when the simulator gave it.
 * outbox   (outbox.ts) Calls to other objects: `cancel` a message (`target`), `recall` the message of a step whose id is unknown
 *          (`target` is the step's number), `tell` a subscriber that the job is over (due once it is).
 * event    (job-state.ts) What happened, append-only, for the registry's log.
 */
export const JOB_SCHEMA: Schema = {
  steps: [
    `
  CREATE TABLE job (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    spec TEXT NOT NULL,
    state TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER,
    error TEXT,
    reported_seq INTEGER NOT NULL DEFAULT 0,
    report_due INTEGER
  );
  CREATE TABLE step (
    n INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    instance_id TEXT NOT NULL,
    state TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 1,
    sendings INTEGER NOT NULL DEFAULT 0,
    due_at INTEGER,
    message_id TEXT,
    message_ids TEXT NOT NULL DEFAULT '[]',
    started_at INTEGER NOT NULL,
    finished_at INTEGER,
    deadline INTEGER,
    cost_nano INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    structured TEXT,
    output TEXT
  );
  CREATE INDEX step_open ON step (state) WHERE state IN ('queued', 'running');
  CREATE INDEX step_due ON step (due_at) WHERE due_at IS NOT NULL;
  CREATE INDEX step_deadline ON step (deadline) WHERE deadline IS NOT NULL;
  CREATE INDEX step_by_message ON step (message_id) WHERE message_id IS NOT NULL;
  CREATE TABLE outbox (
    kind TEXT NOT NULL,
    target TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    due_at INTEGER,
    tries INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, target)
  ) WITHOUT ROWID;
  CREATE INDEX outbox_due ON outbox (due_at) WHERE due_at IS NOT NULL;
  CREATE TABLE event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL
  );
  `,
    `ALTER TABLE step ADD COLUMN simulated INTEGER NOT NULL DEFAULT 0`,
  ],
};
