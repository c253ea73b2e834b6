/**
 * The first use of an instance's object: it takes over from the registry what it is.
 */

import type { Birth } from "../../contracts/orchestrator.ts";
import { messageIdOf } from "../../platform/ids.ts";
import { migrate } from "../../platform/sqlite.ts";
import { inTransaction } from "../../platform/transaction.ts";
import { emit } from "../store/instance-row.ts";
import { INSTANCE_SCHEMA } from "../store/schema.ts";

/** Whether this object was ever used. */
export function isInitialized(sql: SqlStorage): boolean {
  return sql.exec("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'self'").toArray().length > 0;
}

/** Makes the tables and fills them, all or nothing. `simulated`: the simulator answers, as there is no key. */
export function initialize(storage: DurableObjectStorage, birth: Birth, simulated: boolean, now: number): void {
  const { spec, standing, secrets, initial_prompt } = birth;
  inTransaction(storage, (tx) => {
    migrate(storage, INSTANCE_SCHEMA);
    tx.exec("INSERT INTO spec (id, spec, secrets) VALUES (1, ?, ?)", JSON.stringify(spec), secrets);
    tx.exec(
      "INSERT INTO self (id, next_n, last_activity, standing, simulated) VALUES (1, 1, ?, ?, ?)",
      spec.created_at,
      JSON.stringify(standing),
      simulated ? 1 : 0,
    );
    if (initial_prompt === null) return;
    tx.exec(
      "INSERT INTO message (n, sender, content, state, created_at, trace) VALUES (0, 'user', ?, 'queued', ?, ?)",
      initial_prompt,
      spec.created_at,
      spec.trace ?? null,
    );
    tx.exec("UPDATE self SET queued = 1");
    emit(tx, now, "message.queued", { message_id: messageIdOf(spec.instance_id, 0), sender: "user" });
  });
}
