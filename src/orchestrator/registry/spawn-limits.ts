/**
 * The limits of an instance that is spawned. What an instance gives to those that it spawns is at most its own.
 */
import type { LimitChange, SpawnRequest } from "../../contracts/orchestrator.ts";
import { err, ok, type Result } from "../../platform/errors.ts";
import { NANO_PER_USD } from "../../platform/units.ts";
import { scopesOf } from "../budget/ledger.ts";
import { type LimitDefaults, limitsOf, tenantLimits } from "../store/limits.ts";

/** What binds an instance. `max_cost` in USD, tokens fresh. `max_turn_minutes` null: nothing does. */
export interface OwnLimits {
  max_cost: number;
  max_total_tokens: number;
  timeout_minutes: number;
  max_turn_minutes: number | null;
}

const NAMES = ["max_cost", "max_total_tokens", "timeout_minutes", "max_turn_minutes"] as const;

/** The limits that the new instance gets. `forbidden` for more than its spawner has, where that is an instance. */
export function spawnLimits(
  sql: SqlStorage,
  { spawner, limits: asked, suggested_limits: suggested = {} }: SpawnRequest,
  defaults: LimitDefaults,
): Result<LimitChange> {
  if (spawner != null) return limitsWithin(asked, suggested, ownLimits(sql, spawner, defaults), defaults);
  return ok(Object.fromEntries(NAMES.map((name) => [name, asked[name] ?? suggested[name]])));
}

function ownLimits(sql: SqlStorage, instanceId: string, defaults: LimitDefaults): OwnLimits {
  const own = limitsOf(sql, instanceId);
  const above = scopesOf(sql, instanceId)
    .slice(1)
    .map((scope) => limitsOf(sql, scope));
  const least = (values: (number | null)[]) => Math.min(...values.map((value) => value ?? Number.POSITIVE_INFINITY));
  return {
    max_cost:
      least([tenantLimits(sql, defaults).maxCostNano, ...above.map(({ max_cost_nano }) => max_cost_nano)]) /
      NANO_PER_USD,
    max_total_tokens: least([
      own.max_total_tokens ?? defaults.maxTokensPerInstance,
      ...above.map(({ max_total_tokens }) => max_total_tokens),
    ]),
    timeout_minutes: own.timeout_minutes ?? defaults.instanceTimeoutMinutes,
    max_turn_minutes: own.max_turn_minutes,
  };
}

/**
 * `asked` as far as `own` has it: `forbidden` beyond. A template only suggests: what of it goes beyond is lowered. Money and tokens of
 * the spawner bind its whole subtree anyway; times bind each instance alone, so what is left open is the spawner's, if that is less.
 */
export function limitsWithin(
  asked: LimitChange,
  suggested: LimitChange,
  own: OwnLimits,
  defaults: Pick<LimitDefaults, "instanceTimeoutMinutes">,
): Result<LimitChange> {
  const beyond = NAMES.filter((name) => (asked[name] ?? 0) > (own[name] ?? Number.POSITIVE_INFINITY));
  if (beyond.length > 0) {
    const most = beyond.map((name) => `${name} ${own[name]} (asked: ${asked[name]})`).join(", ");
    return err("forbidden", `An instance can give at most its own limits to others: ${most}.`, {
      fields: beyond,
      limits: { ...own },
    });
  }
  const shared = (name: "max_cost" | "max_total_tokens") => {
    const wish = suggested[name];
    return asked[name] ?? (wish !== undefined && wish <= own[name] ? wish : undefined);
  };
  const idle = suggested.timeout_minutes ?? defaults.instanceTimeoutMinutes;
  const turn = Math.min(suggested.max_turn_minutes ?? Number.POSITIVE_INFINITY, own.max_turn_minutes ?? Infinity);
  return ok({
    max_cost: shared("max_cost"),
    max_total_tokens: shared("max_total_tokens"),
    timeout_minutes: asked.timeout_minutes ?? leastUnlessDefault(idle, own.timeout_minutes, defaults),
    max_turn_minutes: asked.max_turn_minutes ?? (turn === Infinity ? undefined : turn),
  });
}

function leastUnlessDefault(
  wish: number,
  own: number,
  { instanceTimeoutMinutes }: Pick<LimitDefaults, "instanceTimeoutMinutes">,
): number | undefined {
  const least = Math.min(wish, own);
  return least === instanceTimeoutMinutes ? undefined : least;
}
