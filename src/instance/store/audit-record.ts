/**
 * Calls on record: events of the instance that they change, which go to the registry as all of them do.
 */
import { type AuditedCall, CALLED, recordOf } from "../../contracts/audited-call.ts";
import { emit } from "./instance-row.ts";

/**
 * Puts a call on record, if there is one: messages and stops have other causes, too. Call inside the transaction of the change.
 * `subject`: the message or the question that it was about.
 */
export function recordCall(
  sql: SqlStorage,
  call: AuditedCall | undefined,
  now: number,
  subject: string | null = null,
): void {
  if (call) emit(sql, now, CALLED, recordOf(call, subject));
}
