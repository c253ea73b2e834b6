/**
 * Data of an earlier version in this one. The fixture is what the first version with files (commit 10e679f) left on disk: one
 * instance that has answered a message and has a file, and one that was never used.
 */
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { MadroxServer } from "../../scripts/local-server.ts";
import { Madrox } from "../../src/client/index.ts";

const FIXTURE = fileURLToPath(new URL("../fixtures/first-version", import.meta.url));

/** When the fixture was made. Its times are moved to now, as nothing in it is to run out. */
const MADE_AT = Date.parse("2026-11-23T01:58:10Z");

function restore(state: string): void {
  const ago = Date.now() - MADE_AT;
  const dumps = readdirSync(FIXTURE, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".sql"));
  for (const name of dumps) {
    const file = join(state, "v3", "do", name.replace(/\.sql$/, ".sqlite"));
    mkdirSync(dirname(file), { recursive: true });
    const database = new DatabaseSync(file, { enableForeignKeyConstraints: false });
    const sql = readFileSync(join(FIXTURE, name), "utf8");
    database.exec(sql.replace(/\b179\d{10}\b/g, (time) => String(Number(time) + ago)));
    database.close();
  }
}

const server = new MadroxServer({
  prepare: restore,
  env: { ANTHROPIC_API_KEY: "", ACCESS_KEYS: "", LOG_LEVEL: "ERROR" },
});
beforeAll(() => server.start());
afterAll(() => server.stop());

it("opens what an earlier version left, and goes on with it", async () => {
  const madrox = new Madrox({ url: server.url });
  const found = new Map<string, string>();
  for await (const record of madrox.instances()) found.set(String(record.name), String(record.instance_id));
  expect([...found.keys()].sort()).toEqual(["Ada of old", "Never used"]);
  const ada = String(found.get("Ada of old"));

  const { status } = await madrox.getInstanceStatus({ instance_id: ada });
  expect(status).toMatchObject({ state: "idle", role: "architect", request_count: 1, limits: { max_cost: 2 } });
  const before = Number(status.total_cost);
  expect(before).toBeGreaterThan(0);
  const file = await madrox.retrieveInstanceFile({ instance_id: ada, path: "notes/a.md" });
  expect(file.content).toBe("# Of old");

  const answer = await madrox.ask(ada, "And now?");
  expect(answer.response).toContain("The conversation now holds 3 messages.");
  const rows = [];
  for await (const { type, content } of madrox.output(ada)) rows.push({ type, content });
  expect(rows.map(({ type }) => type)).toEqual(["user", "response", "user", "response"]);
  expect(rows[0]?.content).toBe("Remember the word heron.");
  const after = await madrox.getInstanceStatus({ instance_id: ada });
  expect(Number(after.status.total_cost)).toBeGreaterThan(before);

  const never = String(found.get("Never used"));
  expect((await madrox.ask(never, "Hello")).response).toContain("simulated reply");
  // What this version has and that one had not.
  const job = await madrox.coordinateInstances({
    coordinator_id: ada,
    participant_ids: [never],
    task_description: "Say something.",
    coordination_type: "sequential",
  });
  expect((await madrox.waitUntilDone([job.job_id])).done).toMatchObject([{ status: "completed" }]);
});
