/**
 * The rows `spec` and `self`: what an instance is, and what it knows of itself; and its events.
 */

import type { InstanceEvent, InstanceSpec } from "../../contracts/instance-spec.ts";
import type { Standing } from "../../contracts/orchestrator.ts";
import { first, type Row } from "../../platform/sqlite.ts";
import type { Tx } from "../../platform/transaction.ts";

/** The row `self`. */
export interface SelfRow extends Row {
  ended: 0 | 1 | 2;
  open_n: number | null;
  next_n: number;
  queued: number;
  request_count: number;
  completed_count: number;
  error_count: number;
  response_ms_total: number;
  tokens_input: number;
  tokens_output: number;
  tokens_cache_read: number;
  tokens_cache_write: number;
  cost_nano: number;
  last_activity: number;
  error_message: string | null;
  simulated: number;
  standing: string;
}

const COLUMNS = `ended, open_n, next_n, queued, request_count, completed_count, error_count, response_ms_total, tokens_input,
  tokens_output, tokens_cache_read, tokens_cache_write, cost_nano, last_activity, error_message, simulated, standing`;

/** Undefined before the first use. */
export function selfOf(sql: SqlStorage): SelfRow | undefined {
  return first<SelfRow>(sql, `SELECT ${COLUMNS} FROM self`);
}

export function storedSpec(sql: SqlStorage): InstanceSpec | null {
  const row = first<{ spec: string }>(sql, "SELECT spec FROM spec");
  return row ? (JSON.parse(row.spec) as InstanceSpec) : null;
}

/** What `secrets.ts` opens; null: there are none. */
export function sealedSecrets(sql: SqlStorage): string | null {
  return first<{ secrets: string | null }>(sql, "SELECT secrets FROM spec")?.secrets ?? null;
}

/** Writes an event down, in the transaction of what happened and after the output rows that belong to it. */
export function emit(tx: Tx, at: number, kind: string, data: InstanceEvent["data"] = {}): void {
  tx.exec(
    `INSERT INTO event (at, kind, data, output_index)
     VALUES (?, ?, ?, COALESCE((SELECT MAX(message_index) FROM output), -1))`,
    at,
    kind,
    JSON.stringify(data),
  );
}

/** How the instance stood at its last contact with the registry. */
export function standingOf(self: SelfRow): Standing {
  return JSON.parse(self.standing) as Standing;
}

/** The number of the newest event, 0 before the first. */
export function newestEvent(sql: SqlStorage): number {
  return first<{ seq: number | null }>(sql, "SELECT MAX(seq) AS seq FROM event")?.seq ?? 0;
}

/** Messages ended with an error apart from the open turn. */
export function countErrors(tx: Tx, count: number): void {
  tx.exec("UPDATE self SET error_count = error_count + ?", count);
}
