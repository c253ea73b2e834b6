/**
 * Audit records in the tenant's event log.
 */
import { type AuditedCall, CALLED, recordOf } from "../../contracts/audited-call.ts";
import { isInstanceId, isJobId, parseMessageId, parseQuestionId } from "../../platform/ids.ts";
import type { Tx } from "../../platform/transaction.ts";
import { logEvent } from "./event-log.ts";

/**
 * Appends the audit record of a call to the change that it made. Without a call (a change may have other causes) it does nothing.
 * `subject`: the id that the call was about, or null: the tenant.
 */
export function recordCall(
  tx: Tx,
  call: AuditedCall | undefined,
  subject: string | null,
  now: number,
  outcome = "ok",
): void {
  if (!call) return;
  const about = subject === null ? "" : ownerOf(subject);
  logEvent(tx, about, 0, now, CALLED, recordOf(call, subject === about ? null : subject, outcome));
}

/** The instance or job that an id belongs to; empty: the tenant. */
function ownerOf(id: string): string {
  if (isInstanceId(id) || isJobId(id)) return id;
  return parseQuestionId(id)?.instanceId ?? parseMessageId(id)?.instanceId ?? "";
}
