/**
 * A model call as an instance asks its Orchestrator for it.
 */
import type { Failure } from "../platform/errors.ts";

/** `output_config.effort`: how much the model spends on an answer. */
export type Effort = "low" | "medium" | "high" | "xhigh" | "max";

/** Tokens of one model call by kind, as prices know them. `input` leaves out what was read from or written to the prompt cache. */
export interface TokenUsage {
  input: number;
  output: number;
  cacheRead: number;
  cacheWrite5m: number;
  cacheWrite1h: number;
  webSearches: number;
}

/** What an instance asks for before a model call. */
export interface ReservationRequest {
  /** The instance's number for the call. Asking twice for the same one reserves once. */
  attempt: number;
  model: string;
  /** Upper bound of the prompt's tokens, and the most that it is to answer. */
  promptTokens: number;
  maxTokens: number;
  /** ms since the epoch; prices change with time */
  at: number;
  /** The coordinated task that the call's message belongs to, or null. */
  job?: string | null;
}

/**
 * Admission to a model call that answers with at most `maxTokens`; or when to ask again (ms since the epoch), and why; or that
 * only a higher cap helps.
 */
export type Admission =
  | { granted: true; maxTokens: number }
  | { granted: false; until: number; reason: string }
  | { granted: false; until: null; error: Failure };

/** How a model call ended, for the concurrency limiter. `pushed_back`: the API asks for fewer calls, and none before `until`. */
export type CallOutcome = { kind: "ok" } | { kind: "failed" } | { kind: "pushed_back"; until: number };
