/**
 * Terminating instances: on request, or because they were idle for too long.
 */
import type { TerminateReceipt, TerminateRequest } from "../../contracts/orchestrator.ts";
import { unknownInstance } from "../../contracts/refusals.ts";
import { ok, type Result } from "../../platform/errors.ts";
import { recall, remember } from "../../platform/idempotency.ts";
import { first } from "../../platform/sqlite.ts";
import type { Tx } from "../../platform/transaction.ts";
import { recordCall } from "../store/audit-record.ts";
import { logEvent } from "../store/event-log.ts";
import { forgetSecrets } from "../store/first-uses.ts";
import { instanceIds, markTerminated, rowOf } from "../store/instance-rows.ts";
import { enqueue } from "../store/outbox.ts";
import { countTerminated } from "../store/tenant-row.ts";
import { openJobsOf } from "./jobs.ts";
import { forgetQuestions } from "./questions.ts";
import { idleDeadline, TREE } from "./tree.ts";
import { forgetWaits } from "./wait-graph.ts";

/** The reason in the record of an instance that was idle for too long. */
const IDLE_TIMEOUT = "idle timeout";
const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * Terminates an instance and everything below it: marks the rows, and enqueues stopping the objects and cancelling the jobs that
 * they started. Repeating it changes nothing. `not_found`.
 */
export function terminate(
  tx: Tx,
  request: TerminateRequest,
  retentionDays: number,
  now: number,
): Result<TerminateReceipt> {
  const known = recall<TerminateReceipt>(tx, request.idempotency);
  if (known) return known;
  if (!rowOf(tx, request.instance_id)) return unknownInstance(request.instance_id);
  const ended = instanceIds(
    tx,
    `${TREE} SELECT instance_id FROM tree CROSS JOIN instance ON instance_id = tree.id WHERE active = 1
       ORDER BY depth DESC, instance_id`,
    request.instance_id,
  );
  // One that was to finish its turn is stopped now: its object has ended before only if it says so itself.
  if (request.force) {
    const before = instanceIds(
      tx,
      `${TREE} SELECT instance_id FROM tree CROSS JOIN instance ON instance_id = tree.id WHERE active = 0`,
      request.instance_id,
    );
    for (const id of before) enqueue(tx, id, "stop_now", now);
  }
  for (const id of ended) {
    const reason = id === request.instance_id ? request.reason : `parent ${request.instance_id} terminated`;
    markTerminated(tx, id, reason, now + retentionDays * DAY_MS, now);
    forgetSecrets(tx, id);
    forgetQuestions(tx, id);
    forgetWaits(tx, id);
    enqueue(tx, id, request.force ? "stop_now" : "stop", now);
    logEvent(tx, id, 0, now, "instance.terminated", { reason, force: request.force });
  }
  // Due before the stops, so that a job is cancelled before the end of its instances can make it fail.
  for (const job of openJobsOf(tx, ended)) enqueue(tx, job, "cancel", now - 1);
  if (ended.length > 0) countTerminated(tx, ended.length);
  recordCall(tx, request.audit, request.instance_id, now);
  return remember(tx, request.idempotency, ok({ terminated: ended }), now);
}

/** Instances that were never used and are past their idle deadline, up to a hundred. */
export function unusedSince(sql: SqlStorage, now: number): string[] {
  return instanceIds(sql, "SELECT instance_id FROM instance WHERE unused_until <= ? AND active = 1 LIMIT 100", now);
}

/** The next idle deadline of an instance that was never used, in ms since the epoch, or null. */
export function nextUnused(sql: SqlStorage): number | null {
  return (
    first<{ at: number }>(
      sql,
      "SELECT unused_until AS at FROM instance WHERE unused_until IS NOT NULL ORDER BY unused_until LIMIT 1",
    )?.at ?? null
  );
}

/**
 * Terminates an instance that is past its idle deadline, or returns when to check `again`, in ms since the epoch. `terminated` is
 * empty for one that had ended before.
 */
export function endIdle(
  tx: Tx,
  instanceId: string,
  timeoutMs: number,
  retentionDays: number,
  now: number,
): { ended: true; terminated: string[] } | { ended: false; again: number } {
  const due = idleDeadline(tx, instanceId, timeoutMs, now);
  if (due !== null && due > now) return { ended: false, again: due };
  const request = { instance_id: instanceId, force: false, reason: IDLE_TIMEOUT };
  const answer = due === null ? null : terminate(tx, request, retentionDays, now);
  return { ended: true, terminated: answer?.ok ? answer.value.terminated : [] };
}
