/**
 * A tool that an instance can use. The engine takes its tools as a list and knows nothing else of them.
 */
import type { Config } from "../config/config.ts";
import type { Secrets } from "../platform/secrets.ts";
import type { OwnToolDefinition } from "./instance-spec.ts";
import type { WorkspaceApi } from "./workspace.ts";

export interface ToolContext {
  tenant: string;
  instanceId: string;
  /** The same for every run of this call: what the tool does elsewhere is idempotent by it. */
  key: string;
  /** Aborted when the turn is stopped or the tool's time is over. */
  signal: AbortSignal;
  /** The instance's files: its own, or those it shares with its parent. */
  workspace: WorkspaceApi;
  /** Opens what the instance was given in confidence. It must not get into a result. */
  secrets(): Promise<Secrets>;
  env: Env;
  config: Config;
  /** All tools that instances of this Worker can have. */
  instanceTools: readonly InstanceTool[];
  /** The instance's parent, or null. */
  parentId: string | null;
  /** The instance's name, for those who hear from it. */
  name: string;
  /** When this call first ran, in ms since the epoch: a parked call runs again. */
  startedAt: number;
  /** A message has come in meanwhile that should not wait: the tool answers with what it has. */
  nudged: boolean;
  /** The instance's newest event when the call was taken up: orders what it says to the registry. */
  eventSeq: number;
  /** The coordinated task that the turn works for, or null: what is sent on counts there too. */
  job: string | null;
  /** The call's own `traceparent`, for what it sends on. */
  trace?: string | null;
  /** Asks a question, once for this call, and says how it stands. While it is open the tool parks on its id. */
  ask(question: Asked): QuestionState;
}

/** A question. `to`: an instance, or null for a person. `options` empty: any answer. Times in ms since the epoch. */
export interface Asked {
  kind: "question" | "approval";
  to: string | null;
  text: string;
  options: string[];
  defaultAnswer: string | null;
  expiresAt: number | null;
}

export interface QuestionState {
  id: string;
  state: "open" | "answered" | "expired" | "closed";
  answer: string | null;
  /** Who answered: `user`, or an instance's id. */
  by: string | null;
}

/**
 * Instead of a result: the call waits for `needed` of `ids` (messages, instances, jobs, questions), until `until` (ms since the
 * epoch) at most, and then runs again. Whoever parks has seen to it that the instance is told (`watch`).
 */
export interface Park {
  reason: string;
  ids: readonly string[];
  needed: number;
  until: number | null;
  /** A message that should not wait brings the call back early. */
  nudge: boolean;
}

/** Sets of tools that a spawn may name: each has all of the one before it, and what it adds. `none` has nothing. */
export const TOOL_PRESETS = ["none", "read_only", "standard", "full"] as const;
export type ToolPreset = (typeof TOOL_PRESETS)[number];

export interface ToolResult {
  content: string;
  isError?: boolean;
}

export type ToolOutcome = ToolResult | { park: Park };

export interface InstanceTool extends OwnToolDefinition {
  /** Whether running it twice for one call does no harm. If not, a crash in its middle is reported to the model as such. */
  repeatable: boolean;
  /** The smallest preset that has it. */
  preset: ToolPreset;
  /** ms after which it is stopped and reported as failed; 120,000 unless given. */
  timeoutMs?: number;
  /** Throwing is the same as an error result with the exception's message. */
  run(input: Record<string, unknown>, context: ToolContext): Promise<ToolOutcome>;
}

/** The tools of a preset. */
export function presetTools(tools: readonly InstanceTool[], preset: ToolPreset): InstanceTool[] {
  const rank = (name: ToolPreset) => TOOL_PRESETS.indexOf(name);
  return preset === "none" ? [] : tools.filter((tool) => rank(tool.preset) <= rank(preset));
}

/** The definition without its code, as it is frozen into a spec. */
export function definitionOf(tool: InstanceTool): OwnToolDefinition {
  return { name: tool.name, description: tool.description, input_schema: tool.input_schema };
}

const DEFAULT_TIMEOUT_MS = 120_000;

/**
 * Longest result that is given to the model, in characters: a larger one would fill its context with one call.
 * About 100,000 tokens at most.
 */
const MAX_RESULT_CHARACTERS = 200_000;

/** Runs one call. Never throws: whatever goes wrong is an error result that says so. */
export async function runTool(
  tool: InstanceTool | undefined,
  name: string,
  input: Record<string, unknown>,
  context: ToolContext,
): Promise<{ content: string; isError: boolean } | { park: Park }> {
  if (!tool) return { content: `There is no tool named ${name}.`, isError: true };
  const limit = tool.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const controller = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stopped = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`The tool took longer than ${limit / 1000} s and was stopped.`)), limit);
    const cancel = () => reject(new Error("The tool was stopped."));
    if (context.signal.aborted) cancel();
    else context.signal.addEventListener("abort", cancel, { once: true });
  });
  try {
    const signal = AbortSignal.any([context.signal, controller.signal]);
    const result = await Promise.race([tool.run(input, { ...context, signal }), stopped]);
    if ("park" in result) return result;
    return { content: bounded(result.content), isError: result.isError ?? false };
  } catch (error) {
    return { content: bounded(error instanceof Error ? error.message : String(error)), isError: true };
  } finally {
    clearTimeout(timer);
    controller.abort();
    stopped.catch(() => undefined);
  }
}

function bounded(text: string): string {
  const whole = text.toWellFormed();
  if (whole.length <= MAX_RESULT_CHARACTERS) return whole;
  const cut = whole.slice(0, MAX_RESULT_CHARACTERS).toWellFormed();
  return `${cut}\n[${whole.length - MAX_RESULT_CHARACTERS} more characters were cut off: ask for less at a time.]`;
}
