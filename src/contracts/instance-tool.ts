/**
 * A tool that an instance can use. The turn runner takes its tools as a list and knows nothing else of them.
 */
import type { Secrets } from "../platform/secrets.ts";
import type { Config } from "./config.ts";
import type { OwnToolDefinition } from "./instance-spec.ts";
import type { Power } from "./powers.ts";
import { TOOL_PRESETS, type ToolPreset } from "./tool-presets.ts";
import type { WorkspaceApi } from "./workspace.ts";

export interface InstanceToolContext {
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
  /** The instance's name, for those that it writes to. */
  name: string;
  /** When this call first ran, in ms since the epoch: a suspended call runs again. */
  startedAt: number;
  /** A message has come in meanwhile that should not wait: the tool answers with what it has. */
  wokenEarly: boolean;
  /** The instance's newest event when the call was taken up: orders what it says to the registry. */
  eventSeq: number;
  /** The coordinated task that the turn works for, or null: what is sent on counts there too. */
  job: string | null;
  /** The call's own `traceparent`, for what it sends on. */
  trace?: string | null;
  /** Asks a question, once for this call, and returns its state. While it is open the tool suspends on its id. */
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
 * epoch) at most, and then runs again. The tool that suspends has seen to it that the instance is notified (`subscribe`).
 */
export interface Waitpoint {
  reason: string;
  ids: readonly string[];
  needed: number;
  until: number | null;
  /** A message that should not wait brings the call back early. */
  wakeEarly: boolean;
}

export interface ToolResult {
  content: string;
  isError?: boolean;
}

export type ToolOutcome = ToolResult | { waitpoint: Waitpoint };

export interface InstanceTool extends OwnToolDefinition {
  /** Whether running it twice for one call does no harm. If not, a crash in its middle is reported to the model as such. */
  repeatable: boolean;
  /** The smallest preset that has it. */
  preset: ToolPreset;
  /** All that it can do. */
  powers: readonly Power[];
  /** Where it depends on the input, which may be anything: what this call can do, never more than `powers`. */
  powersFor?(input: Record<string, unknown>): readonly Power[];
  /** ms after which it is stopped and reported as failed; 120,000 unless given. */
  timeoutMs?: number;
  /** Throwing is the same as an error result with the exception's message. */
  run(input: Record<string, unknown>, context: InstanceToolContext): Promise<ToolOutcome>;
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
