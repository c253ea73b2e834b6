/**
 * Whether a model call fits the money and tokens that are left in every scope at once. Pure.
 *
 * Before a call its upper bound is reserved; after it, what it took is settled. A call is admitted only while
 * settled + reserved + its own bound stay within the cap of every scope, so no interleaving of parallel calls exceeds one.
 */

/** Fewest output tokens that a call is made for: with less it would end before it said anything. */
export const FLOOR_TOKENS = 1_024;

/** One scope's cap and balance, in nano-USD or in fresh tokens. */
export interface SpendingCap {
  /** `tenant`, the id of the instance whose subtree it binds, or of the job that the call is made for. */
  scope: string;
  what: "cost" | "tokens";
  limit: number;
  /** Settled and unsettled: gone for good. */
  spent: number;
  /** By calls under way: part of it may come back. */
  reserved: number;
}

/** A call's upper bound. `promptTokens` bounds its prompt; each output token costs one token and `outputRate`. */
export interface CallBound {
  promptTokens: number;
  maxTokens: number;
  /** nano-USD per token, at the dearest rate the prompt can be billed at */
  promptRate: number;
  outputRate: number;
}

export type Verdict =
  | { kind: "grant"; maxTokens: number; costNano: number; tokens: number }
  /** It will fit once calls under way are settled. */
  | { kind: "wait"; cap: SpendingCap }
  /** It does not fit, however the calls under way end. `asked` and `remaining` in the cap's unit. */
  | { kind: "refuse"; cap: SpendingCap; asked: number; remaining: number };

export function boundOf(ask: CallBound, what: SpendingCap["what"], maxTokens: number): number {
  return what === "cost"
    ? ask.promptTokens * ask.promptRate + maxTokens * ask.outputRate
    : ask.promptTokens + maxTokens;
}

/** The verdict over all caps. Shrinks the output to what is left, down to a floor. */
export function checkReservation(ask: CallBound, caps: readonly SpendingCap[]): Verdict {
  const floor = Math.min(ask.maxTokens, FLOOR_TOKENS);
  let maxTokens = ask.maxTokens;
  for (const cap of caps) {
    const left = cap.limit - cap.spent - boundOf(ask, cap.what, 0);
    const rate = cap.what === "cost" ? ask.outputRate : 1;
    const fitting = rate === 0 ? ask.maxTokens : Math.floor(left / rate);
    if (left < 0 || fitting < floor) {
      return {
        kind: "refuse",
        cap,
        asked: boundOf(ask, cap.what, floor),
        remaining: Math.max(0, cap.limit - cap.spent),
      };
    }
    maxTokens = Math.min(maxTokens, fitting);
  }
  for (const cap of caps) {
    if (boundOf(ask, cap.what, maxTokens) > cap.limit - cap.spent - cap.reserved) return { kind: "wait", cap };
  }
  return {
    kind: "grant",
    maxTokens,
    costNano: boundOf(ask, "cost", maxTokens),
    tokens: boundOf(ask, "tokens", maxTokens),
  };
}
