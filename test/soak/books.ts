/**
 * The Orchestrator's books, read from its database while the server is down: every balance has to be the sum of the ledger.
 */
import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** What does not add up in the databases below `state`, in words; empty when all does. Works on a copy. */
export function problemsInBooks(state: string): string[] {
  const folder = mkdtempSync(join(tmpdir(), "madrox-books-"));
  try {
    cpSync(state, folder, { recursive: true });
    const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".sqlite"));
    const books = files.flatMap((file) => {
      const database = new DatabaseSync(join(folder, file));
      try {
        return isOrchestrator(database) ? [problemsIn(database)] : [];
      } finally {
        database.close();
      }
    });
    return books.length === 0 ? ["there is no Orchestrator's database"] : books.flat();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function isOrchestrator(database: DatabaseSync): boolean {
  return database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'ledger'").get() !== undefined;
}

/** What was settled, by entries that are here and by those that have moved away. */
const SETTLED =
  "(SELECT instance_id, settled_nano FROM ledger UNION ALL SELECT instance_id, settled_nano FROM ledger_carried)";

/** Each query gives the scopes whose two sides differ. */
const RULES: Readonly<Record<string, string>> = {
  "the tenant's settled money": `SELECT 'tenant' AS scope, settled_nano AS kept, (SELECT COALESCE(SUM(settled_nano), 0) FROM ${SETTLED}) AS summed
     FROM balance WHERE scope = 'tenant'`,
  "the tenant's unsettled money": `SELECT 'tenant' AS scope, unsettled_nano AS kept,
       (SELECT COALESCE(SUM(nano), 0) FROM (SELECT reserved_nano AS nano FROM ledger WHERE kind = 'unsettled'
         UNION ALL SELECT unsettled_nano FROM ledger_carried)) AS summed
     FROM balance WHERE scope = 'tenant'`,
  "the tenant's reserved money": `SELECT 'tenant' AS scope, reserved_nano AS kept, (SELECT COALESCE(SUM(nano), 0) FROM reservation) AS summed
     FROM balance WHERE scope = 'tenant'`,
  "an instance's settled money": `SELECT instance_id AS scope, cost_nano AS kept,
       (SELECT COALESCE(SUM(settled_nano), 0) FROM ${SETTLED} AS one WHERE one.instance_id = instance.instance_id) AS summed FROM instance`,
  "a subtree's settled money": `SELECT scope, settled_nano AS kept, (
       SELECT COALESCE(SUM(one.settled_nano), 0) FROM ${SETTLED} AS one JOIN instance AS below USING (instance_id)
       WHERE instance_id = scope OR scope IN (SELECT value FROM json_each(below.path))) AS summed
     FROM balance JOIN instance ON instance.instance_id = scope`,
  // A number that was given back before its call began is asked for again.
  "ended reservations": `SELECT instance_id || '/' || attempt AS scope, SUM(kind <> 'reserve') AS kept,
       SUM(kind = 'reserve') - (SELECT COUNT(*) FROM reservation WHERE reservation.instance_id = ledger.instance_id
         AND reservation.attempt = ledger.attempt) AS summed FROM ledger GROUP BY instance_id, attempt`,
  "calls that may have been billed": `SELECT instance_id || '/' || attempt AS scope, COUNT(*) AS kept, 1 AS summed FROM ledger
     WHERE kind IN ('settled', 'unsettled') GROUP BY instance_id, attempt`,
  "active instances": `SELECT 'tenant' AS scope, active_instances AS kept, (SELECT COUNT(*) FROM instance WHERE active = 1) AS summed
     FROM tenant`,
};

function problemsIn(database: DatabaseSync): string[] {
  return Object.entries(RULES).flatMap(([what, query]) => {
    const rows = database.prepare(`SELECT * FROM (${query}) WHERE kept <> summed LIMIT 5`).all();
    return rows.map(({ scope, kept, summed }) => `${what}: ${scope} has ${kept}, and the rows say ${summed}`);
  });
}
