/**
 * The tenant's event log: append-only, with a sequence that never repeats. Everything that watches reads this log.
 */
import type { InstanceEvent } from "../instance/spec.ts";

/** Appends one event. `instanceSeq` is 0 for what the Orchestrator itself saw. Data holds ids, counts and codes, never content. */
export function logEvent(
  sql: SqlStorage,
  instanceId: string,
  instanceSeq: number,
  at: number,
  kind: string,
  data: InstanceEvent["data"],
): void {
  sql.exec(
    "INSERT INTO event (at, instance_id, instance_seq, kind, data) VALUES (?, ?, ?, ?, ?)",
    at,
    instanceId,
    instanceSeq,
    kind,
    JSON.stringify(data),
  );
}
