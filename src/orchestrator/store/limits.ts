/**
 * The table `limits`: of the tenant, of instances with their subtrees, and of jobs. Money in nano-USD, times in minutes. Null: no
 * limit of its own.
 */
import type { Config } from "../../contracts/config.ts";
import type { LimitChange } from "../../contracts/orchestrator.ts";
import { first, type Row } from "../../platform/sqlite.ts";
import type { Tx } from "../../platform/transaction.ts";
import { NANO_PER_USD } from "../../platform/units.ts";

/** What applies where no limit was set. */
export type LimitDefaults = Pick<
  Config,
  "maxTotalCost" | "maxInstances" | "maxTokensPerInstance" | "instanceTimeoutMinutes"
>;

export interface LimitRow extends Row {
  scope: string;
  max_cost_nano: number | null;
  max_total_tokens: number | null;
  timeout_minutes: number | null;
  max_turn_minutes: number | null;
  max_instances: number | null;
}

/** The scope of the whole tenant. */
export const TENANT = "tenant";

const NONE = {
  max_cost_nano: null,
  max_total_tokens: null,
  timeout_minutes: null,
  max_turn_minutes: null,
  max_instances: null,
};

export function limitsOf(sql: SqlStorage, scope: string): LimitRow {
  return first<LimitRow>(sql, "SELECT * FROM limits WHERE scope = ?", scope) ?? { scope, ...NONE };
}

/** Sets the limits that the change names and leaves the others. */
export function changeLimits(tx: Tx, scope: string, change: LimitChange): LimitRow {
  const now = limitsOf(tx, scope);
  const next: LimitRow = {
    scope,
    max_cost_nano: change.max_cost === undefined ? now.max_cost_nano : toNano(change.max_cost),
    max_total_tokens: change.max_total_tokens ?? now.max_total_tokens,
    timeout_minutes: change.timeout_minutes ?? now.timeout_minutes,
    max_turn_minutes: change.max_turn_minutes ?? now.max_turn_minutes,
    max_instances: change.max_instances ?? now.max_instances,
  };
  tx.exec(
    `INSERT OR REPLACE INTO limits (scope, max_cost_nano, max_total_tokens, timeout_minutes, max_turn_minutes, max_instances)
     VALUES (?, ?, ?, ?, ?, ?)`,
    next.scope,
    next.max_cost_nano,
    next.max_total_tokens,
    next.timeout_minutes,
    next.max_turn_minutes,
    next.max_instances,
  );
  return next;
}

/** Deletes the limits of a scope that is deleted. */
export function deleteLimits(tx: Tx, scope: string): void {
  tx.exec("DELETE FROM limits WHERE scope = ?", scope);
}

/** The tenant's limits, or the deployment's defaults where none was set. */
export function tenantLimits(sql: SqlStorage, defaults: LimitDefaults): { maxCostNano: number; maxInstances: number } {
  const row = limitsOf(sql, TENANT);
  return {
    maxCostNano: row.max_cost_nano ?? toNano(defaults.maxTotalCost),
    maxInstances: row.max_instances ?? defaults.maxInstances,
  };
}

/** Whole nano-dollars; a limit is never rounded up. */
function toNano(usd: number): number {
  return Math.floor(usd * NANO_PER_USD + 1e-6);
}
