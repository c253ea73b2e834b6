/**
 * Calls that change something go on record before they are answered: who called what, on whom, with what outcome. What a call
 * has done it has done, so an Orchestrator that can't be reached is no failure of it; the log says that a record is missing.
 */
import { failureOf } from "../errors.ts";
import { describe } from "../log.ts";
import type { AuditedCall } from "../orchestrator/api.ts";
import type { ToolContext } from "./tool.ts";

type Caller = Pick<ToolContext, "principal" | "orchestrator" | "log">;

/** Puts a call on record that began at `at` (ms since the epoch). Never throws. */
export async function record(
  { principal, orchestrator, log }: Caller,
  call: Pick<AuditedCall, "tool" | "subject" | "outcome" | "at">,
): Promise<void> {
  const { instance, keyId, client } = principal;
  const entry = { ...call, principal: { instance, keyId, client }, duration_ms: Date.now() - call.at };
  try {
    await orchestrator.record(entry).catch(() => orchestrator.record(entry));
  } catch (error) {
    log.error("audit.missing", { tool: call.tool, outcome: call.outcome, error: describe(error) });
  }
}

/** Does what a route without a tool does, on record under a name of its own. Throws what `work` throws. */
export async function recorded<T>(
  caller: Caller,
  tool: string,
  subject: string | null,
  work: () => Promise<T>,
): Promise<T> {
  const at = Date.now();
  try {
    const result = await work();
    await record(caller, { tool, subject, outcome: "ok", at });
    return result;
  } catch (error) {
    await record(caller, { tool, subject, outcome: failureOf(error).code, at });
    throw error;
  }
}

/** Where a call's input or answer names what it was about, best first. */
const NAMES = ["instance_id", "job_id", "task_id", "question_id", "parent_id", "coordinator_id", "parent_instance_id"];

/** The id that a call was about: what it made, else what it named. */
export function subjectOf(input: unknown, answer: unknown): string | null {
  for (const source of [answer, input]) {
    const fields = (typeof source === "object" && source !== null ? source : {}) as Record<string, unknown>;
    const supervisor = (fields.supervisor as { instance_id?: unknown } | undefined)?.instance_id;
    const found = [supervisor, ...NAMES.map((name) => fields[name])].find((value) => typeof value === "string");
    if (found !== undefined) return String(found).slice(0, 100).toWellFormed();
  }
  return null;
}
