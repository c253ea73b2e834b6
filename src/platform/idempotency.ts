/**
 * Idempotency keys: the same key with the same request gets the answer of the first call, and no second effect.
 * The row is written in the transaction of the effect, so a crash leaves both or neither. Failures are not kept:
 * they had no effect, and the same call may succeed later.
 */
import { err, ok, type Result } from "./errors.ts";
import type { Idempotency } from "./idempotency-key.ts";
import { first } from "./sqlite.ts";
import type { Tx } from "./transaction.ts";

/** The table, for an object's first schema step. */
export const IDEMPOTENCY_TABLE = `
  CREATE TABLE idempotency (
    key TEXT PRIMARY KEY,
    body_hash TEXT NOT NULL,
    answer TEXT NOT NULL,
    created_at INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX idempotency_by_age ON idempotency (created_at);`;

/** How long a key is honoured, as in DESIGN 6. */
const KEY_LIFETIME_MS = 24 * 60 * 60 * 1000;

/** The answer that this key had before, a `conflict` when it belonged to another request, or null. */
export function recall<T>(sql: SqlStorage, idempotency: Idempotency | undefined): Result<T> | null {
  if (!idempotency) return null;
  const row = first<{ body_hash: string; answer: string }>(
    sql,
    "SELECT body_hash, answer FROM idempotency WHERE key = ?",
    idempotency.key,
  );
  if (!row) return null;
  if (row.body_hash !== idempotency.body_hash) return otherRequest(idempotency.key);
  return ok(JSON.parse(row.answer) as T);
}

/** Keeps a successful answer under the caller's key, and forgets keys past their time. Returns the answer. */
export function remember<T>(tx: Tx, idempotency: Idempotency | undefined, answer: Result<T>, now: number): Result<T> {
  if (!idempotency || !answer.ok) return answer;
  tx.exec("DELETE FROM idempotency WHERE created_at < ?", now - KEY_LIFETIME_MS);
  tx.exec(
    "INSERT INTO idempotency (key, body_hash, answer, created_at) VALUES (?, ?, ?, ?)",
    idempotency.key,
    idempotency.body_hash,
    JSON.stringify(answer.value),
    now,
  );
  return answer;
}

export function otherRequest(key: string): Result<never> {
  return err(
    "conflict",
    `The idempotency key "${key}" was used with another request. Use a new key for a new request, or repeat the first one unchanged.`,
    { idempotency_key: key },
  );
}
