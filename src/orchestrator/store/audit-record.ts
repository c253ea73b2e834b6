/**
 * Calls on record in the tenant's log, by what they were about.
 */
import { type AuditedCall, CALLED, recordOf } from "../../contracts/audited-call.ts";
import { isInstanceId, isJobId, parseMessageId, parseQuestionId } from "../../platform/ids.ts";
import type { Tx } from "../../platform/transaction.ts";
import { logEvent } from "./event-log.ts";

/**
 * Puts a call on record with the change that it made, if there is one: changes have other causes, too. `subject`: the id that it
 * was about, or null: the tenant.
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

/** The instance or job that an id belongs to; empty for what belongs to the tenant. */
function ownerOf(id: string): string {
  if (isInstanceId(id) || isJobId(id)) return id;
  return parseQuestionId(id)?.instanceId ?? parseMessageId(id)?.instanceId ?? "";
}
