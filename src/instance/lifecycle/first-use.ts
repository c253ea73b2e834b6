/**
 * The first use of an instance's object: it takes over from the registry what it is.
 */

import type { FirstUse } from "../../contracts/orchestrator.ts";
import { messageIdOf } from "../../platform/ids.ts";
import { migrate } from "../../platform/sqlite.ts";
import { inTransaction } from "../../platform/transaction.ts";
import { emit } from "../store/events.ts";
import { insertInstanceRow } from "../store/instance-row.ts";
import { insertMessage } from "../store/messages.ts";
import { INSTANCE_SCHEMA } from "../store/schema.ts";
import { insertSpec } from "../store/spec.ts";

/** Whether this object was ever used. Asked before its data is brought to this version, so of a table that every version has. */
export function isInitialized(sql: SqlStorage): boolean {
  return sql.exec("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'").toArray().length > 0;
}

/** Makes the tables and fills them, all or nothing. `simulated`: the simulator answers, as there is no key. */
export function initialize(storage: DurableObjectStorage, fresh: FirstUse, simulated: boolean, now: number): void {
  const { spec, limits, secrets, initial_prompt: prompt } = fresh;
  inTransaction(storage, (tx) => {
    migrate(storage, INSTANCE_SCHEMA);
    insertSpec(tx, spec, secrets);
    insertInstanceRow(tx, { createdAt: spec.created_at, limits, simulated, queued: prompt === null ? 0 : 1 });
    if (prompt === null) return;
    insertMessage(tx, { n: 0, sender: "user", content: prompt, createdAt: spec.created_at, trace: spec.trace });
    emit(tx, now, "message.queued", { message_id: messageIdOf(spec.instance_id, 0), sender: "user" });
  });
}
