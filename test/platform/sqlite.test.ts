/**
 * The schema of a fresh object, and of one that has come to it step by step.
 */
import { runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { INSTANCE_SCHEMA } from "../../src/instance/store/schema.ts";
import { newInstanceId } from "../../src/platform/ids.ts";
import { migrate, type Schema } from "../../src/platform/sqlite.ts";
import { objectOf } from "../support/objects.ts";

describe("a fresh object", () => {
  /** Every table with its columns, and every index, each as SQLite tells it. */
  async function shapeAfter(schema: Schema): Promise<Record<string, unknown>> {
    return runInDurableObject(objectOf(newInstanceId(Date.now())), (_instance, { storage }) => {
      migrate(storage, schema);
      const rows = (query: string) => storage.sql.exec(query).toArray();
      const names = rows(
        "SELECT name, type FROM sqlite_master WHERE type IN ('table', 'index') AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_cf_%' AND sql IS NOT NULL",
      );
      return Object.fromEntries(
        names.map(({ name, type }) => {
          const columns = rows(`PRAGMA ${type === "table" ? "table_info" : "index_xinfo"}("${name}")`);
          const flat = columns.map(({ cid: _position, seqno: _place, ...column }) => JSON.stringify(column)).sort();
          const filter = rows(
            `SELECT substr(sql, instr(sql, ' WHERE ')) AS text FROM sqlite_master WHERE name = '${name}'`,
          );
          return [String(name), { columns: flat, filter: type === "index" ? filter[0]?.text : "" }];
        }),
      );
    });
  }

  it("has the tables that an old one has come to", async () => {
    const { steps } = INSTANCE_SCHEMA;
    const fresh = await shapeAfter(INSTANCE_SCHEMA);
    expect(fresh).toEqual(await shapeAfter({ steps }));
    expect(Object.keys(fresh).length).toBeGreaterThan(20);
  });
});
