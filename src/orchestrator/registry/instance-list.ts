/**
 * The list of instances, in pages.
 */
import type { ListQuery } from "../../contracts/orchestrator.ts";
import type { InstancePage } from "../../contracts/records.ts";
import { tenantSpent } from "../budget/ledger.ts";
import { INSTANCE_COLUMNS, type InstanceRow } from "../store/instance-rows.ts";
import { tenantRow } from "../store/tenant-row.ts";
import { statusOf } from "./status.ts";

/** One page of instances in the order of their spawning, with the tenant's totals. `prefix` as in `statusOf`. */
export function listInstances(sql: SqlStorage, query: ListQuery, prefix: string, now: number): InstancePage {
  const where: string[] = [];
  const values: SqlStorageValue[] = [];
  const match = (condition: string, value: string | undefined) => {
    if (value === undefined) return;
    where.push(condition);
    values.push(value);
  };
  match("parent_id = ?", query.parent_id);
  // Children are the fewest. The unary plus keeps SQLite from using the other indexes when a parent is given.
  const other = query.parent_id === undefined ? "" : "+";
  match(`${other}state = ?`, query.state);
  match(`${other}role = ?`, query.role);
  match(query.newest ? "instance_id < ?" : "instance_id > ?", query.cursor);
  if (query.newest) where.push("active = 1");
  const rows = sql
    .exec<InstanceRow>(
      `SELECT ${INSTANCE_COLUMNS} FROM instance ${where.length ? `WHERE ${where.join(" AND ")}` : ""}
       ORDER BY instance_id ${query.newest ? "DESC" : ""} LIMIT ?`,
      ...values,
      query.limit + 1,
    )
    .toArray();
  const page = rows.slice(0, query.limit);
  const totals = tenantRow(sql);
  return {
    instances: page.map((row) => statusOf(row, prefix, now)),
    total_instances: totals.total_instances,
    active_instances: totals.active_instances,
    total_tokens_used: totals.tokens_input + totals.tokens_cache_write + totals.tokens_output,
    total_cost_nano: tenantSpent(sql),
    next_cursor: rows.length > page.length ? (page.at(-1)?.instance_id ?? null) : null,
  };
}
