/**
 * Limits and what is left of them, in the units of answers: USD, tokens, minutes.
 */

import type { Funds, Hardness } from "../../contracts/records.ts";
import { first } from "../../platform/sqlite.ts";
import { NANO_PER_USD } from "../../platform/units.ts";
import { type LimitDefaults, limitsOf, TENANT } from "../store/limits.ts";
import { balances, type DefaultCaps, ownFresh, scopesOf, spendingCapsOf } from "./ledger.ts";
import type { SpendingCap } from "./reservation-check.ts";

/** The limits of an instance or (null) the tenant as answers show them, and what is left. USD, tokens, minutes; null: none. */
export function limitsAndRemaining(
  sql: SqlStorage,
  instanceId: string | null,
  defaults: LimitDefaults,
  caps: DefaultCaps,
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
    remaining: fundsOf(sql, instanceId, caps).remaining,
  };
}

export function fundsOf(sql: SqlStorage, instanceId: string, caps: DefaultCaps): Funds {
  const own = first<{ cost_nano: number; unsettled_nano: number }>(
    sql,
    "SELECT cost_nano, unsettled_nano FROM instance WHERE instance_id = ?",
    instanceId,
  );
  const binding = spendingCapsOf(sql, instanceId, scopesOf(sql, instanceId), caps);
  const tightest = (what: SpendingCap["what"]) =>
    binding
      .filter((cap) => cap.what === what)
      .map((cap) => ({ scope: cap.scope, left: Math.max(0, cap.limit - cap.spent - cap.reserved) }))
      .reduce((least, next) => (next.left < least.left ? next : least));
  const cost = tightest("cost");
  const tokens = tightest("tokens");
  return {
    spent: {
      cost: ((own?.cost_nano ?? 0) + (own?.unsettled_nano ?? 0)) / NANO_PER_USD,
      unsettled_cost: (own?.unsettled_nano ?? 0) / NANO_PER_USD,
      tokens: ownFresh(sql, instanceId),
    },
    remaining: {
      cost: cost.left / NANO_PER_USD,
      cost_scope: cost.scope,
      tokens: tokens.left,
      tokens_scope: tokens.scope,
      cap: capOf(sql, instanceId),
    },
  };
}

/** What the tenant may still spend, in USD. */
function tenantFunds(sql: SqlStorage, caps: DefaultCaps): number {
  const row = balances(sql, [TENANT]).get(TENANT);
  const used = row ? row.settled_nano + row.unsettled_nano + row.reserved_nano : 0;
  return Math.max(0, caps.tenantNano - used) / NANO_PER_USD;
}

function capOf(sql: SqlStorage, instanceId: string | null): Hardness {
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
