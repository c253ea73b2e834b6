/**
 * Whether an instance's recent model calls succeed. Checked with every heartbeat of a working turn and when the work is
 * done, never for its own sake: an idle instance makes no calls that could fail.
 */

import type { CallCounts, Unhealthy } from "../../contracts/instance-spec.ts";
import type { Tx } from "../../platform/transaction.ts";
import { healthOf, setHealth } from "../store/instance-row.ts";
import { lastCalls } from "../store/model-calls.ts";

/** As many of the newest model calls count. Those that were stopped from outside, or lost with their process, say nothing. */
export const LAST_CALLS = 10;
/** With this many failures among them an instance becomes unhealthy. */
const UNHEALTHY_FROM = 5;
/** And with at most this many healthy again. The gap keeps a single call from changing the verdict back and forth. */
const HEALTHY_UP_TO = 2;

/** Null: healthy. Pure; returns `before` itself unless the figures change the verdict. */
export function verdictOn(before: Unhealthy | null, figures: CallCounts, now: number): Unhealthy | null {
  if (before === null) return figures.failed >= UNHEALTHY_FROM ? { ...figures, since: now } : null;
  return figures.failed <= HEALTHY_UP_TO ? null : before;
}

/** Stores a changed verdict. Returns the event for it, or null when nothing changed. */
export function judgeHealth(tx: Tx, now: number): { kind: string; data: Record<string, number> } | null {
  const before = healthOf(tx);
  const { calls, failed } = lastCalls(tx, LAST_CALLS);
  const verdict = verdictOn(before, { calls, failed }, now);
  if (verdict === before) return null;
  setHealth(tx, verdict);
  const data = { calls, failed, error_rate: calls === 0 ? 0 : Number((failed / calls).toFixed(2)) };
  return { kind: verdict === null ? "instance.recovered" : "instance.unhealthy", data };
}
