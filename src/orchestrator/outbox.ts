/**
 * What the Orchestrator owes to its instances: rows written with the change that caused them, delivered afterwards,
 * tried again by alarm until the instance has answered. A delivery may be repeated; the instance makes that harmless.
 */
import { unwrap } from "../errors.ts";
import type { InstanceApi } from "../instance/api.ts";
import { first } from "../sqlite.ts";

/** `wake`: take over your spec and initial prompt. `stop`: finish the running turn, then end. `stop_now`: end at once. `erase`: delete everything. `forget`: delete the conversation, once
 * the files are where they outlive it. */
export type OutboxCall = "wake" | "stop" | "stop_now" | "erase" | "forget";

/** First retry after this time, doubled with each further one, up to the ceiling. */
const RETRY_MS = 2_000;
const RETRY_CEILING_MS = 60_000;
/** Deliveries under way at once; more would only queue in the runtime. */
const BATCH = 32;

export function owe(sql: SqlStorage, instanceId: string, call: OutboxCall, now: number): void {
  sql.exec(
    "INSERT OR REPLACE INTO outbox (id, instance_id, call, due_at) VALUES (?, ?, ?, ?)",
    `${call.replace("_now", "")}:${instanceId}`,
    instanceId,
    call,
    now,
  );
}

/** Takes back what was owed. */
export function forgive(sql: SqlStorage, instanceId: string, call: OutboxCall): void {
  sql.exec("DELETE FROM outbox WHERE instance_id = ? AND call = ?", instanceId, call);
}

/** When the next delivery is due, in ms since the epoch, or null. */
export function nextDue(sql: SqlStorage): number | null {
  return first<{ due_at: number }>(sql, "SELECT due_at FROM outbox ORDER BY due_at LIMIT 1")?.due_at ?? null;
}

/** Delivers what is due. A failing instance is put off and never holds up the others. */
export async function deliver(
  sql: SqlStorage,
  instance: (id: string) => InstanceApi,
  now: () => number,
  /** An instance has deleted everything of its own. */
  erased: (id: string) => void,
): Promise<void> {
  for (;;) {
    const rows = sql
      .exec<{ id: string; instance_id: string; call: OutboxCall; tries: number }>(
        "SELECT id, instance_id, call, tries FROM outbox WHERE due_at <= ? ORDER BY due_at LIMIT ?",
        now(),
        BATCH,
      )
      .toArray();
    if (rows.length === 0) return;
    for (const row of rows) {
      const wait = Math.min(RETRY_MS * 2 ** row.tries, RETRY_CEILING_MS);
      sql.exec("UPDATE outbox SET tries = tries + 1, due_at = ? WHERE id = ?", now() + wait, row.id);
    }
    await Promise.allSettled(
      rows.map(async (row) => {
        const stub = instance(row.instance_id);
        if (row.call === "wake") await stub.wake();
        else if (row.call === "forget") unwrap(await stub.forget());
        else if (row.call === "erase") {
          unwrap(await stub.erase());
          erased(row.instance_id);
        } else await stub.stop({ force: row.call === "stop_now" });
        sql.exec("DELETE FROM outbox WHERE id = ? AND call = ?", row.id, row.call);
      }),
    );
  }
}
