/**
 * The table `spec`: one row, written at the first use and never changed: what the instance is, and what it was given in confidence.
 */
import type { InstanceSpec } from "../../contracts/instance-spec.ts";
import { first } from "../../platform/sqlite.ts";
import type { Tx } from "../../platform/transaction.ts";
import { wellFormed } from "../../platform/well-formed.ts";

/** Its strings become well-formed. `secrets`: sealed (platform/secrets.ts), or null. */
export function insertSpec(tx: Tx, spec: InstanceSpec, secrets: string | null): void {
  tx.exec("INSERT INTO spec (id, spec, secrets) VALUES (1, ?, ?)", JSON.stringify(wellFormed(spec)), secrets);
}

export function storedSpec(sql: SqlStorage): InstanceSpec | null {
  const row = first<{ spec: string }>(sql, "SELECT spec FROM spec");
  return row ? (JSON.parse(row.spec) as InstanceSpec) : null;
}

/** What `platform/secrets.ts` opens; null: there are none. */
export function sealedSecrets(sql: SqlStorage): string | null {
  return first<{ secrets: string | null }>(sql, "SELECT secrets FROM spec")?.secrets ?? null;
}
