/**
 * The rows of older databases in this version: states that were numbers once have names, and nothing else of a row changes.
 */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { INSTANCE_SCHEMA } from "../../../src/instance/store/schema.ts";
import { newInstanceId } from "../../../src/platform/ids.ts";
import { migrate } from "../../../src/platform/sqlite.ts";

/** How many steps there were when the states were numbers. */
const NUMBERED = INSTANCE_SCHEMA.steps.findIndex((step) => step.includes("RENAME TO instance"));

/** What `read` finds after `rows` were written by the version before, and this one has opened them. */
function opened<T>(rows: string, read: (sql: SqlStorage) => T): Promise<T> {
  const object = env.INSTANCE.getByName(`default/${newInstanceId(Date.now())}`);
  return runInDurableObject(object, (_instance, { storage }) => {
    migrate(storage, { steps: INSTANCE_SCHEMA.steps.slice(0, NUMBERED) });
    storage.sql.exec(rows);
    migrate(storage, INSTANCE_SCHEMA);
    return read(storage.sql);
  }) as Promise<T>;
}

describe("a database of the version with numbered states", () => {
  it.each([
    [0, "active"],
    [1, "finishing"],
    [2, "terminated"],
  ])("has an instance that had ended = %i as %s", async (ended, lifecycle) => {
    const row = await opened(
      `INSERT INTO self (id, ended, next_n, queued, last_activity, standing) VALUES (1, ${ended}, 8, 3, 17, '{"funds":{}}')`,
      (sql) => sql.exec("SELECT lifecycle, next_n, queued, last_activity, effective_limits FROM instance").one(),
    );
    expect(row).toEqual({ lifecycle, next_n: 8, queued: 3, last_activity: 17, effective_limits: '{"funds":{}}' });
  });

  it.each([
    ["parked", 0, "suspended", "allowed"],
    ["parked", -1, "suspended", "never"],
    ["pending", 1, "pending", "woken"],
    ["done", 0, "done", "allowed"],
  ])("has a tool call that was %s with nudged = %i as %s, %s", async (before, nudged, state, early_wake) => {
    const row = await opened(
      `INSERT INTO tool_call (n, step, tool_use_id, name, input, state, wake_at, park_reason, needed, nudged)
       VALUES (0, 1, 'toolu_1', 'wait', '{}', '${before}', 99, 'children', 2, ${nudged});
       INSERT INTO awaited (call_id, id) VALUES (1, 'msg_1')`,
      (sql) => ({
        call: sql.exec("SELECT state, early_wake, wake_at, wait_reason, needed FROM tool_call").one(),
        waits: sql.exec("SELECT call_id, id FROM waitpoint").toArray(),
      }),
    );
    expect(row.call).toEqual({ state, early_wake, wake_at: 99, wait_reason: "children", needed: 2 });
    expect(row.waits).toEqual([{ call_id: 1, id: "msg_1" }]);
  });

  it("keeps passive messages, model calls and those that wait to be told", async () => {
    const rows = await opened(
      `INSERT INTO message (n, sender, content, state, note, created_at) VALUES (3, 'user', 'Read this.', 'queued', 1, 5);
       INSERT INTO attempt (n, step, model, started_at, max_tokens, outcome) VALUES (2, 1, 'a-model', 6, 100, 'live');
       INSERT INTO watch (n, watcher, due_at) VALUES (3, 'job_1', 7)`,
      (sql) => [
        ...sql.exec(
          "SELECT n, passive FROM message INDEXED BY message_coalescing WHERE state = 'queued' AND (passive = 1 OR steer > 0)",
        ),
        ...sql.exec("SELECT n, outcome FROM model_call"),
        ...sql.exec("SELECT n, subscriber, due_at FROM subscription"),
      ],
    );
    expect(rows).toEqual([
      { n: 3, passive: 1 },
      { n: 2, outcome: "live" },
      { n: 3, subscriber: "job_1", due_at: 7 },
    ]);
  });
});
