/**
 * The table `tenant`: one row with the sums over all instances, changed with every one of them, so that no list is ever summed.
 * Nothing else writes it.
 */
import type { InstanceEvent, TokenCounts } from "../../contracts/instance-spec.ts";
import type { Row } from "../../platform/sqlite.ts";
import type { Tx } from "../../platform/transaction.ts";
import { countersAfter, parseCounters } from "./counters.ts";

export interface TenantRow extends Row {
  /** Those that are there, terminated ones included. */
  total_instances: number;
  active_instances: number;
  /** Those that were there once. */
  deleted_instances: number;
  tokens_input: number;
  tokens_output: number;
  tokens_cache_read: number;
  tokens_cache_write: number;
  bound_violations: number;
  counters: string | null;
}

export function tenantRow(sql: SqlStorage): TenantRow {
  return sql.exec<TenantRow>("SELECT * FROM tenant").one();
}

export function countSpawned(tx: Tx): void {
  tx.exec("UPDATE tenant SET total_instances = total_instances + 1, active_instances = active_instances + 1");
}

export function countTerminated(tx: Tx, count: number): void {
  tx.exec("UPDATE tenant SET active_instances = active_instances - ?", count);
}

export function countDeleted(tx: Tx): void {
  tx.exec("UPDATE tenant SET total_instances = total_instances - 1, deleted_instances = deleted_instances + 1");
}

/** An instance has taken so many tokens more. */
export function countTokens(tx: Tx, more: TokenCounts): void {
  tx.exec(
    `UPDATE tenant SET tokens_input = tokens_input + ?, tokens_output = tokens_output + ?,
       tokens_cache_read = tokens_cache_read + ?, tokens_cache_write = tokens_cache_write + ?`,
    more.input,
    more.output,
    more.cache_read,
    more.cache_write,
  );
}

/** Counts how messages went. */
export function countMessages(tx: Tx, events: readonly InstanceEvent[]): void {
  const { counters } = tenantRow(tx);
  tx.exec("UPDATE tenant SET counters = ?", JSON.stringify(events.reduce(countersAfter, parseCounters(counters))));
}

/** A model call took more than its bound. */
export function countViolation(tx: Tx): void {
  tx.exec("UPDATE tenant SET bound_violations = bound_violations + 1");
}
