/**
 * Deleting terminated instances: their conversation at the end of its retention, everything on request.
 */
import { unknownInstance } from "../../contracts/refusals.ts";
import { err, type Result } from "../../platform/errors.ts";
import { first } from "../../platform/sqlite.ts";
import type { Tx } from "../../platform/transaction.ts";
import { recordCall } from "../store/audit-record.ts";
import { logEvent } from "../store/event-log.ts";
import { deleteFirstUse } from "../store/first-uses.ts";
import { deleteInstance, endRetention, instanceIds, rowOf } from "../store/instance-rows.ts";
import { deleteLimits } from "../store/limits.ts";
import { callerOf, dequeueAll, enqueue } from "../store/outbox.ts";
import { countDeleted } from "../store/tenant-row.ts";

/** Why an instance can't be deleted (`not_found`, `conflict`), or null. */
export function eraseRefusal(sql: SqlStorage, instanceId: string): Result<never> | null {
  const row = rowOf(sql, instanceId);
  if (!row) return unknownInstance(instanceId);
  if (row.active) {
    return err(
      "conflict",
      `The instance ${instanceId} is not terminated. Terminate it first: deleting can't be undone.`,
      {
        instance_id: instanceId,
        state: row.state,
      },
    );
  }
  const sharing = first<{ instance_id: string }>(
    sql,
    "SELECT instance_id FROM instance WHERE workspace_owner = ? LIMIT 1",
    instanceId,
  );
  if (!sharing) return null;
  return err(
    "conflict",
    `The instance ${instanceId} holds the files that ${sharing.instance_id} works in. Delete the instances that share them first.`,
    { instance_id: instanceId, shared_with: sharing.instance_id },
  );
}

/** Removes an instance whose object is empty from the registry. Its spending stays in the ledger and in the totals. */
export function removeInstance(tx: Tx, instanceId: string, now: number): void {
  if (!rowOf(tx, instanceId)) return;
  const asked = callerOf(tx, instanceId, "erase");
  deleteInstance(tx, instanceId);
  deleteFirstUse(tx, instanceId);
  dequeueAll(tx, instanceId);
  deleteLimits(tx, instanceId);
  countDeleted(tx);
  logEvent(tx, instanceId, 0, now, "instance.deleted", {});
  recordCall(tx, asked, instanceId, now);
}

/** Terminated instances whose retention is over, up to a hundred. */
export function outlived(sql: SqlStorage, now: number): string[] {
  return instanceIds(sql, "SELECT instance_id FROM instance WHERE kept_until <= ? LIMIT 100", now);
}

/** The end of the next retention, in ms since the epoch, or null. */
export function nextOutlived(sql: SqlStorage): number | null {
  return (
    first<{ at: number }>(
      sql,
      "SELECT kept_until AS at FROM instance WHERE kept_until IS NOT NULL ORDER BY kept_until LIMIT 1",
    )?.at ?? null
  );
}

/** Has an instance's conversation deleted. Its record stays. */
export function forgetConversation(tx: Tx, instanceId: string, now: number): void {
  endRetention(tx, instanceId);
  enqueue(tx, instanceId, "forget", now);
  logEvent(tx, instanceId, 0, now, "instance.forgotten", {});
}
