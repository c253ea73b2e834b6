/**
 * `npm run bench`: the built product and its floors in one `workerd`, measured side by side. `npm run bench -- spawn` runs
 * the rows whose name has that in it. The exit code is 1 when a target was missed.
 */
import { Client } from "./client.ts";
import { ModelServer } from "./model.ts";
import { HEADER, lineOf, type Result, resultOf, summary, writeJson } from "./report.ts";
import { ROWS } from "./rows.ts";
import { serveBuilt } from "./workerd.ts";

const RESULTS = "bench-results/latest.json";

process.once("SIGINT", () => process.exit(130));
const wanted = process.argv[2] ?? "";
const rows = ROWS.filter(({ name }) => name.includes(wanted));
if (rows.length === 0) throw new Error(`No row has "${wanted}" in its name.`);

const model = new ModelServer();
await model.start();
const key = { ANTHROPIC_API_KEY: "a-key-for-the-bench", ANTHROPIC_BASE_URL: model.url };
const runtime = await serveBuilt([
  { name: "product", config: "wrangler.toml", vars: { ...key, MAX_INSTANCES: "100000" } },
  { name: "floor", config: "test/bench/floor.toml", vars: { ...key, MAX_INSTANCES: "100000" } },
]);
const results: Result[] = [];
try {
  const product = new Client(runtime.url("product"));
  const floor = new Client(runtime.url("floor"), `/mcp?tools=${await product.toolCount()}`);
  console.log(HEADER);
  for (const row of rows) {
    const result = resultOf(row, await row.measure({ product, floor, model }));
    results.push(result);
    console.log(lineOf(result));
  }
  product.close();
  floor.close();
} catch (error) {
  console.error(runtime.log());
  throw error;
} finally {
  await runtime.stop();
  await model.stop();
}
writeJson(RESULTS, runtime.version, results);
console.log(`\n${summary(results)}`);
process.exitCode = results.every(({ met }) => met) ? 0 : 1;
