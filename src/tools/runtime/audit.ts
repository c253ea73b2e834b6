/**
 * Calls that change something go on record: what was changed has its record where it was changed (see audit.ts); a call that was
 * refused, and so has changed nothing, gets its record here before it is answered.
 */
import { type AuditedCall, auditOf } from "../../contracts/audited-call.ts";
import { failureOf } from "../../platform/errors.ts";
import { describe } from "../../platform/log.ts";
import type { ToolContext } from "./tool.ts";

type Caller = Pick<ToolContext, "principal" | "orchestrator" | "log">;

/** Puts a call on record that was refused with this code. Never throws: the log says that the record is missing. */
export async function recordRefusal(
  { orchestrator, log }: Pick<Caller, "orchestrator" | "log">,
  call: AuditedCall,
  subject: string | null,
  code: string,
): Promise<void> {
  const record = () => orchestrator.record(call, subject, code);
  try {
    await record().catch(record);
  } catch (error) {
    log.error("audit.missing", { tool: call.tool, outcome: code, error: describe(error) });
  }
}

/** Does what a route without a tool does, on record under a name of its own: `work` hands the call on. Throws what it throws. */
export async function recorded<T>(
  caller: Caller,
  tool: string,
  subject: string | null,
  work: (call: AuditedCall) => Promise<T>,
): Promise<T> {
  const call = auditOf(caller.principal, tool);
  try {
    return await work(call);
  } catch (error) {
    await recordRefusal(caller, call, subject, failureOf(error).code);
    throw error;
  }
}

/** Where a call's input names what it is about, best first. */
const NAMES = [
  "instance_id",
  "job_id",
  "task_id",
  "question_id",
  "parent_id",
  "to_instance_id",
  "coordinator_id",
  "parent_instance_id",
];

/** The id that a call is about, by its input. */
export function subjectOf(input: unknown): string | null {
  const fields = (typeof input === "object" && input !== null ? input : {}) as Record<string, unknown>;
  const found = NAMES.map((name) => fields[name]).find((value) => typeof value === "string");
  return found === undefined ? null : String(found).slice(0, 100).toWellFormed();
}
