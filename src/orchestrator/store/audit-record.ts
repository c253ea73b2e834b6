/**
 * Calls on record in the tenant's log, by what they were about.
 */
import { type AuditedCall, CALLED, recordOf } from "../../contracts/audited-call.ts";
import { isInstanceId, isJobId, parseMessageId, parseQuestionId } from "../../platform/ids.ts";
import { logEvent } from "./event-log.ts";

/**
 * Puts a call on record, if there is one: changes have other causes, too. Call inside the transaction of the change. `subject`:
 * the id that it was about, or null: the tenant.
 */
export function recordCall(
  sql: SqlStorage,
  call: AuditedCall | undefined,
  subject: string | null,
  now: number,
  outcome = "ok",
): void {
  if (!call) return;
  const about = subject === null ? "" : ownerOf(subject);
  logEvent(sql, about, 0, now, CALLED, recordOf(call, subject === about ? null : subject, outcome));
}

/** The instance or job that an id belongs to; empty for what belongs to the tenant. */
function ownerOf(id: string): string {
  if (isInstanceId(id) || isJobId(id)) return id;
  return parseQuestionId(id)?.instanceId ?? parseMessageId(id)?.instanceId ?? "";
}
