/// <reference types="vite/types/importMeta.d.ts" />
/**
 * Who writes a row: one file per table. Read from the sources, as every statement is text in them.
 */
import { describe, expect, it } from "vitest";

const SOURCES: Record<string, string> = import.meta.glob<string>("../../src/**/*.ts", {
  query: "?raw",
  import: "default",
  eager: true,
});

/** Schemas make the tables and bring older rows forward; nothing else of theirs runs. */
const isSchema = (path: string) => path.endsWith("/schema.ts");

/** Each object has a database of its own; an instance's files are in the instance's. */
const databaseOf = (path: string) => {
  const room = path.split("/")[3] ?? "";
  return room === "workspace" ? "instance" : room;
};

const WRITES =
  /\b(?:INSERT(?: OR [A-Z]+)? INTO|REPLACE INTO|UPDATE(?: OR [A-Z]+)?|DELETE FROM) (\$\{|"?[a-z_]+"?)(?=[\s"`(]|\w|$)/g;

/** The files that write each table, as `<database>.<table>`. */
function writers(sources: Record<string, string>): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const [path, source] of Object.entries(sources)) {
    if (isSchema(path)) continue;
    for (const [, table = ""] of source.matchAll(WRITES)) {
      const key = `${databaseOf(path)}.${table.replaceAll('"', "")}`;
      found.set(key, (found.get(key) ?? new Set()).add(path));
    }
  }
  return found;
}

/** Writes a table whose name is a parameter: it delivers what any object keeps in one. */
const ANY_TABLE = ["../../src/platform/delivery.ts"];

describe("the rows of a table", () => {
  it("are looked for where they are written", () => {
    const found = writers(SOURCES);
    expect([...(found.get("instance.message") ?? [])]).toEqual(["../../src/instance/store/messages.ts"]);
    expect(found.size).toBeGreaterThan(25);
  });

  it.each([
    "INSERT INTO message (n) VALUES (1)",
    "INSERT OR IGNORE INTO message (n) VALUES (1)",
    "REPLACE INTO message (n) VALUES (1)",
    "UPDATE message SET n = 1",
    "UPDATE OR IGNORE message SET n = 1",
    "DELETE FROM message",
  ])("are seen to be written by: %s", (statement) => {
    const found = writers({
      "../../src/instance/a.ts": `sql.exec("${statement}")`,
      "../../src/instance/schema.ts": statement,
    });
    expect([...found]).toEqual([["instance.message", new Set(["../../src/instance/a.ts"])]]);
  });

  it("are written by one file", () => {
    const shared = [...writers(SOURCES)]
      .filter(([table, files]) => files.size > 1 && !table.endsWith(".${"))
      .map(([table, files]) => `${table}: ${[...files].sort().join(" ")}`);
    expect(shared).toEqual([]);
  });

  it("are written under a name that can be read, but by the one module that delivers any table's", () => {
    const named = [...writers(SOURCES)].filter(([table]) => table.endsWith(".${")).flatMap(([, files]) => [...files]);
    expect(named.filter((path) => !ANY_TABLE.includes(path))).toEqual([]);
  });
});
