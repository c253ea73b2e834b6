/**
 * The one dispatcher: every door runs tools through it, so that every door gives the same answer.
 */
import type * as z from "zod";
import { auditOf } from "../../contracts/audited-call.ts";
import type { Relations } from "../../contracts/orchestrator.ts";
import type { Origin } from "../../contracts/request-origin.ts";
import { assertScope } from "../../contracts/scopes.ts";
import { type ErrorBody, errorBody, failureOf, MadroxError } from "../../platform/errors.ts";
import type { Idempotency } from "../../platform/idempotency-key.ts";
import { invalidInput } from "../../platform/invalid-input.ts";
import { describe } from "../../platform/log.ts";
import { recordRefusal, subjectOf } from "./audit.ts";
import { CATALOGUE, toolByName } from "./catalogue.ts";
import { assertReachable } from "./reachability.ts";
import { SuspendSignal } from "./suspension.ts";
import { isTask, type StartedTask, type Tool, type ToolAnswer, type ToolContext } from "./tool.ts";

/**
 * Runs a tool by name on whatever the caller sent. Never throws (but `ParkSignal`, for an instance that has to wait): a failure is
 * an answer with `success: false` and a code.
 * `key` is an idempotency key that came beside the input (a header); one in the input goes before it.
 */
export async function dispatch(
  context: Omit<ToolContext, keyof Origin>,
  name: unknown,
  input: unknown,
  key: string | null = null,
): Promise<ToolAnswer | ErrorBody> {
  return callTool(context, name, input, key, (tool, ready, parsed) => tool.run(ready, parsed));
}

/** The same for a caller that can follow a task: what would wait long is answered with one. */
export async function dispatchOrBegin(
  context: Omit<ToolContext, keyof Origin>,
  name: unknown,
  input: unknown,
): Promise<ToolAnswer | ErrorBody | StartedTask> {
  return callTool(context, name, input, null, (tool, ready, parsed) => (tool.begin ?? tool.run)(ready, parsed));
}

async function callTool<Answer extends ToolAnswer | StartedTask>(
  context: Omit<ToolContext, keyof Origin>,
  name: unknown,
  input: unknown,
  key: string | null,
  run: (tool: Tool, context: ToolContext, input: Record<string, unknown>) => Promise<Answer>,
): Promise<Answer | ErrorBody> {
  const started = Date.now();
  const { principal } = context;
  const fields = { tool: String(name).slice(0, 100), tenant: principal.tenant, key: principal.keyId ?? undefined };
  const tool = typeof name === "string" ? toolByName(name) : undefined;
  const audit = tool?.changes ? auditOf(principal, tool.name) : undefined;
  try {
    if (!tool) throw unknownTool(name);
    assertScope(principal.scopes, tool.scope);
    assertDepth(input);
    const given = withKey(tool, input ?? {}, key);
    const parsed = tool.input.safeParse(given);
    if (!parsed.success) throw notCallable(tool, parsed.error);
    if (tool.scopeFor) assertScope(principal.scopes, tool.scopeFor(parsed.data));
    const idempotency = await idempotencyOf(tool, parsed.data);
    const relations = await relationsFor(tool, context, parsed.data);
    const ready: ToolContext = { ...context, idempotency, audit, ...(relations ? { relations } : {}) };
    const result = await run(tool, ready, parsed.data);
    const success = isTask(result) || result.success;
    context.log.info("tool.called", { ...fields, success, duration_ms: Date.now() - started });
    return result;
  } catch (error) {
    if (error instanceof SuspendSignal) throw error;
    const failure = failureOf(error);
    // What is no call at all has touched nothing.
    if (audit && failure.code !== "invalid_input") await recordRefusal(context, audit, subjectOf(input), failure.code);
    if (failure.code === "internal") context.log.error("tool.failed", { ...fields, error: describe(error) });
    else
      context.log.info("tool.called", {
        ...fields,
        success: false,
        error: failure.code,
        duration_ms: Date.now() - started,
      });
    return errorBody(failure);
  }
}

/** For an instance that calls: that all it touches is in its reach. Throws `forbidden`. */
async function relationsFor(
  tool: Tool,
  { principal, orchestrator }: Pick<ToolContext, "principal" | "orchestrator">,
  input: Record<string, unknown>,
): Promise<Relations | null> {
  if (principal.instance === null) return null;
  if (!tool.forInstances) throw new MadroxError("forbidden", `${tool.name} is not for instances.`);
  return assertReachable(orchestrator, principal.instance, tool.forInstances.touches(input));
}

function unknownTool(name: unknown): MadroxError {
  const names = CATALOGUE.map((tool) => tool.name);
  const asked =
    typeof name === "string"
      ? `no tool named ${JSON.stringify(name.slice(0, 100).toWellFormed())}`
      : "no tool without a name";
  return new MadroxError("not_found", `There is ${asked}. There are: ${names.join(", ")}.`, { tools: names });
}

/** Levels of nesting in a call's arguments, at most: what is deeper breaks whoever walks it by recursion. */
const MAX_DEPTH = 64;

function assertDepth(input: unknown): void {
  let level = [input];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH)
      throw new MadroxError("invalid_input", `The arguments are nested deeper than ${MAX_DEPTH} levels.`);
    level = level.flatMap((value) => (typeof value === "object" && value !== null ? Object.values(value) : []));
  }
}

function withKey(tool: Tool, input: unknown, key: string | null): unknown {
  if (key === null || !tool.changes || typeof input !== "object" || input === null) return input;
  return { idempotency_key: key, ...input };
}

function notCallable(tool: Tool, error: z.ZodError): MadroxError {
  return invalidInput(error, {
    refusal: `${tool.name} can't be called like this.`,
    whole: "arguments",
    unknown: "is no argument of this tool",
  });
}

/** The caller's key with a hash of everything else it asked for. */
async function idempotencyOf(tool: Tool, input: Record<string, unknown>): Promise<Idempotency | undefined> {
  const { idempotency_key: key, ...rest } = input;
  for (const field of tool.unhashed ?? []) delete rest[field];
  if (typeof key !== "string") return undefined;
  const body = new TextEncoder().encode(JSON.stringify([tool.name, sorted(rest)]));
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", body));
  return { key, body_hash: hash.reduce((hex, byte) => hex + byte.toString(16).padStart(2, "0"), "") };
}

/** The same value with its keys in order, so that their order in the request doesn't matter. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}
