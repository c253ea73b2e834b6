/**
 * Limits and what is left of them, as answers show it.
 */
import { first } from "../sqlite.ts";
import { NANO_PER_USD } from "../units.ts";
import { type Caps, fundsOf, tenantFunds } from "./ledger.ts";
import { type LimitDefaults, limitsOf, TENANT } from "./limits.ts";

/** The limits of an instance or (null) the tenant as answers show them, and what is left. USD, tokens, minutes; null: none. */
export function purseOf(
  sql: SqlStorage,
  instanceId: string | null,
  defaults: LimitDefaults,
  caps: Caps,
): { limits: Record<string, number | null>; remaining: Record<string, number | string> } {
  const row = limitsOf(sql, instanceId ?? TENANT);
  const usd = (nano: number | null) => (nano === null ? null : nano / NANO_PER_USD);
  if (instanceId === null) {
    return {
      limits: {
        max_cost: usd(row.max_cost_nano) ?? defaults.maxTotalCost,
        max_total_tokens: row.max_total_tokens,
        max_instances: row.max_instances ?? defaults.maxInstances,
      },
      remaining: { cost: tenantFunds(sql, caps), cap: capOf(sql, null) },
    };
  }
  return {
    limits: {
      max_cost: usd(row.max_cost_nano),
      max_total_tokens: row.max_total_tokens ?? defaults.maxTokensPerInstance,
      timeout_minutes: row.timeout_minutes ?? defaults.instanceTimeoutMinutes,
      max_turn_minutes: row.max_turn_minutes,
    },
    remaining: { ...fundsOf(sql, instanceId, caps).remaining, cap: capOf(sql, instanceId) },
  };
}

/**
 * `hard`: no call can pass a cap. `soft`: somebody in the subtree has web tools, whose results are paid for and are known only
 * afterwards, so the last call before a cap may pass it.
 */
function capOf(sql: SqlStorage, instanceId: string | null): "hard" | "soft" {
  const below =
    instanceId === null
      ? first(sql, "SELECT 1 FROM instance WHERE soft = 1 AND active = 1 LIMIT 1")
      : first(
          sql,
          `SELECT 1 FROM instance WHERE soft = 1
             AND (instance_id = ? OR (active = 1 AND EXISTS (SELECT 1 FROM json_each(instance.path) WHERE value = ?))) LIMIT 1`,
          instanceId,
          instanceId,
        );
  return below ? "soft" : "hard";
}
