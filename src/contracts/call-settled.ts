/**
 * How a model call ended, for the ledger. The event of the call's end carries it from the instance to the Orchestrator, so it
 * is applied exactly once, with the event. This module alone knows where in the event's data it is.
 */
import type { InstanceEvent } from "./instance-spec.ts";
import type { TokenUsage } from "./model-call.ts";

/** `settled`: it cost what it used. `unsettled`: it may have been billed, and stays counted as reserved. `release`: it was not billed. */
export type CallEnding =
  | { kind: "settled"; usage: TokenUsage; requestId: string | null }
  | { kind: "unsettled"; usage?: TokenUsage; requestId?: string | null }
  | { kind: "release" };

export interface CallSettled {
  /** The instance's number of the call, under which it was reserved. */
  attempt: number;
  ending: CallEnding;
}

/** The settlement's part of the event's data. `usage`: what the API reported, up to where the call broke off. */
export function settlementData(
  attempt: number,
  billed: CallEnding["kind"],
  usage: TokenUsage,
  requestId: string | null,
): InstanceEvent["data"] {
  return {
    attempt,
    billed,
    request_id: requestId,
    input: usage.input,
    output: usage.output,
    cache_read: usage.cacheRead,
    cache_write_5m: usage.cacheWrite5m,
    cache_write_1h: usage.cacheWrite1h,
    web_searches: usage.webSearches,
  };
}

/** The settlement that an event carries, or null. What it does not say of the ending may have been billed. */
export function settlementOf({ kind, data }: Pick<InstanceEvent, "kind" | "data">): CallSettled | null {
  if (!kind.startsWith("model_call.")) return null;
  const attempt = Number(data.attempt);
  if (data.billed === "release") return { attempt, ending: { kind: "release" } };
  const tokens = (field: string) => Number(data[field] ?? 0);
  const usage: TokenUsage = {
    input: tokens("input"),
    output: tokens("output"),
    cacheRead: tokens("cache_read"),
    cacheWrite5m: tokens("cache_write_5m"),
    cacheWrite1h: tokens("cache_write_1h"),
    webSearches: tokens("web_searches"),
  };
  const requestId = typeof data.request_id === "string" ? data.request_id : null;
  return { attempt, ending: { kind: data.billed === "settled" ? "settled" : "unsettled", usage, requestId } };
}
