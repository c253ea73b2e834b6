/**
 * The first use of an instance's object: it takes over from the registry what it is.
 */

import type { Birth } from "../../contracts/orchestrator.ts";
import { messageIdOf } from "../../platform/ids.ts";
import { migrate } from "../../platform/sqlite.ts";
import { emit } from "../store/instance-row.ts";
import { INSTANCE_SCHEMA } from "../store/schema.ts";

/** Whether this object was ever used. */
export function isBorn(sql: SqlStorage): boolean {
  return sql.exec("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'self'").toArray().length > 0;
}

/** Makes the tables and fills them, all or nothing. `simulated`: the simulator answers, as there is no key. */
export function bear(storage: DurableObjectStorage, birth: Birth, simulated: boolean, now: number): void {
  const { sql } = storage;
  const { spec, standing, secrets, initial_prompt } = birth;
  storage.transactionSync(() => {
    migrate(storage, INSTANCE_SCHEMA);
    sql.exec("INSERT INTO spec (id, spec, secrets) VALUES (1, ?, ?)", JSON.stringify(spec), secrets);
    sql.exec(
      "INSERT INTO self (id, next_n, last_activity, standing, simulated) VALUES (1, 1, ?, ?, ?)",
      spec.created_at,
      JSON.stringify(standing),
      simulated ? 1 : 0,
    );
    if (initial_prompt === null) return;
    sql.exec(
      "INSERT INTO message (n, sender, content, state, created_at, trace) VALUES (0, 'user', ?, 'queued', ?, ?)",
      initial_prompt,
      spec.created_at,
      spec.trace ?? null,
    );
    sql.exec("UPDATE self SET queued = 1");
    emit(sql, now, "message.queued", { message_id: messageIdOf(spec.instance_id, 0), sender: "user" });
  });
}
