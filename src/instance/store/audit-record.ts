/**
 * Calls on record: events of the instance that they change, which go to the registry as all of them do.
 */
import { type AuditedCall, CALLED, recordOf } from "../../contracts/audited-call.ts";
import type { Tx } from "../../platform/transaction.ts";
import { emit } from "./events.ts";

/**
 * Puts a call on record in the transaction of its change, if there is one: messages and stops have other causes, too. `subject`:
 * the message or the question that it was about.
 */
export function auditCall(tx: Tx, call: AuditedCall | undefined, now: number, subject: string | null = null): void {
  if (call) emit(tx, now, CALLED, recordOf(call, subject));
}
