/**
 * Whether a model call fits the money and tokens that are left, in every scope at once. Pure.
 *
 * Before a call its upper bound is reserved, after it what it really took is settled. A call is let in only while
 * settled + reserved + its own bound stay within the cap of each scope, so no interleaving of parallel calls passes one.
 */

/** Output tokens below which a call is not worth making: it would end before it said anything. */
export const FLOOR_TOKENS = 1_024;

/** One scope's cap and balance, in nano-USD or in fresh tokens. */
export interface Purse {
  /** `tenant`, the id of the instance whose subtree it is, or of the job that the call is made for; with `what`, the name under which a refusal speaks of it. */
  scope: string;
  what: "cost" | "tokens";
  cap: number;
  /** Settled and unsettled: it will not come back. */
  spent: number;
  /** Of calls under way: a part of it may come back. */
  reserved: number;
}

/** A call's upper bound. `promptTokens` bounds its prompt; each output token costs one token and `outputRate`. */
export interface Ask {
  promptTokens: number;
  maxTokens: number;
  /** nano-USD a token, the dearest way the prompt can be counted */
  promptRate: number;
  outputRate: number;
}

export type Verdict =
  | { kind: "grant"; maxTokens: number; costNano: number; tokens: number }
  /** It fits as soon as calls under way have been settled. */
  | { kind: "wait"; purse: Purse }
  /** It does not fit what is left, however the calls under way end. `asked` and `remaining` in the purse's unit. */
  | { kind: "refuse"; purse: Purse; asked: number; remaining: number };

export function boundOf(ask: Ask, what: Purse["what"], maxTokens: number): number {
  return what === "cost"
    ? ask.promptTokens * ask.promptRate + maxTokens * ask.outputRate
    : ask.promptTokens + maxTokens;
}

/** The verdict over all purses. Shrinks the output to what is left, down to a floor. */
export function judge(ask: Ask, purses: readonly Purse[]): Verdict {
  const floor = Math.min(ask.maxTokens, FLOOR_TOKENS);
  let maxTokens = ask.maxTokens;
  for (const purse of purses) {
    const left = purse.cap - purse.spent - boundOf(ask, purse.what, 0);
    const rate = purse.what === "cost" ? ask.outputRate : 1;
    const fitting = rate === 0 ? ask.maxTokens : Math.floor(left / rate);
    if (left < 0 || fitting < floor) {
      return {
        kind: "refuse",
        purse,
        asked: boundOf(ask, purse.what, floor),
        remaining: Math.max(0, purse.cap - purse.spent),
      };
    }
    maxTokens = Math.min(maxTokens, fitting);
  }
  for (const purse of purses) {
    if (boundOf(ask, purse.what, maxTokens) > purse.cap - purse.spent - purse.reserved) return { kind: "wait", purse };
  }
  return {
    kind: "grant",
    maxTokens,
    costNano: boundOf(ask, "cost", maxTokens),
    tokens: boundOf(ask, "tokens", maxTokens),
  };
}
