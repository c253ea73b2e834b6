/**
 * The few things that every Durable Object does with its SQLite database.
 */

export type Row = Record<string, SqlStorageValue>;

/**
 * The tables of an object. `steps[i]` takes version i to i + 1 and is never edited once it has shipped: a change of shape is a
 * new step. `whole`, where there is one, makes in one go what all of the steps make: an object that is born a thousand times
 * a minute need not live through the past each time.
 */
export interface Schema {
  whole?: string;
  steps: readonly string[];
}

/** Brings stored data to the newest version. Runs in one transaction, so a crash leaves the old version or the new. */
export function migrate(storage: DurableObjectStorage, { whole, steps }: Schema): void {
  const { sql } = storage;
  storage.transactionSync(() => {
    sql.exec(
      "CREATE TABLE IF NOT EXISTS schema_version (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL)",
    );
    const stored = sql.exec<{ version: number }>("SELECT version FROM schema_version").toArray()[0]?.version ?? 0;
    if (stored > steps.length) {
      throw new Error(
        `Stored data has version ${stored}, this code knows ${steps.length}: deploy the newer code again.`,
      );
    }
    if (stored === steps.length) return;
    if (stored === 0 && whole !== undefined) sql.exec(whole);
    else for (const step of steps.slice(stored)) sql.exec(step);
    sql.exec("INSERT OR REPLACE INTO schema_version (id, version) VALUES (1, ?)", steps.length);
  });
}

/** The first row of a query, or undefined. */
export function first<T extends Row>(sql: SqlStorage, query: string, ...values: SqlStorageValue[]): T | undefined {
  for (const row of sql.exec<T>(query, ...values)) return row;
  return undefined;
}
