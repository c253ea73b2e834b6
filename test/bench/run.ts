/**
 * `npm run bench`: the built product and its floors in one `workerd`, measured side by side. `npm run bench -- spawn` runs
 * the rows whose name has that in it, and leaves the last whole report as it is. `npm run bench:full` has more rows,
 * `npm run bench:scale` those of a registry of 100,000. The exit code is 1 when a target was missed. `--profile` shows where the
 * product's CPU time goes in each row; its times are longer then.
 */
import { randomUUID } from "node:crypto";
import { Client } from "./client.ts";
import type { Times } from "./measure.ts";
import { ModelServer } from "./model.ts";
import { profile, show } from "./profile.ts";
import { HEADER, lineOf, type Result, resultOf, summary, writeJson } from "./report.ts";
import type { Bench } from "./row.ts";
import { FULL_ROWS, ROWS } from "./rows.ts";
import { SCALE_ROWS } from "./scale.ts";
import { serveBuilt } from "./workerd.ts";

/** A whole run's report, and that of some rows alone. */
const RESULTS = {
  whole: "bench-results/latest.json",
  scale: "bench-results/scale.json",
  some: "bench-results/some.json",
};

process.once("SIGINT", () => process.exit(130));
const full = process.argv.includes("--full");
const profiled = process.argv.includes("--profile");
const wanted = process.argv.slice(2).find((word) => !word.startsWith("--")) ?? "";
const scale = process.argv.includes("--scale");
const rows = (scale ? SCALE_ROWS : full ? FULL_ROWS : ROWS).filter(({ name }) => name.includes(wanted));
if (rows.length === 0) throw new Error(`No row has "${wanted}" in its name.`);

const model = new ModelServer();
await model.start();
const TENANTS = [
  ...Array.from({ length: 16 }, (_, i) => `tenant-${i}`),
  "tenant-of-10",
  "tenant-of-10000",
  "tenant-of-turns",
  "tenant-of-history",
  "tenant-of-idlers",
];
const keys = Object.fromEntries(TENANTS.map((tenant) => [tenant, `mdx_${randomUUID()}${randomUUID()}`]));
const limits = { MAX_INSTANCES: "1000000", MAX_TOTAL_COST: "1000000", MAX_TOKENS_PER_INSTANCE: "1000000000" };
const vars = {
  ...limits,
  ANTHROPIC_API_KEY: "a-key-for-the-bench",
  ANTHROPIC_BASE_URL: model.url,
  LOG_LEVEL: "WARNING",
};
const runtime = await serveBuilt([
  { name: "product", config: "wrangler.toml", vars },
  { name: "tenants", config: "wrangler.toml", vars: { ...vars, ACCESS_KEYS: JSON.stringify(keys) } },
  { name: "floor", config: "test/bench/floor.toml", vars },
]);
const results: Result[] = [];
try {
  const product = new Client(runtime.url("product"));
  const floor = new Client(runtime.url("floor"), `/mcp?tools=${await product.toolCount()}`);
  const bench: Bench = {
    product,
    floor,
    model,
    tenant: (name) => new Client(runtime.url("tenants"), "/mcp", keys[name]),
    objects: (className) => `${runtime.disk("tenants")}/tenants-${className}`,
    residentMiB: () => runtime.residentMiB(),
  };
  console.log(HEADER);
  for (const row of rows) {
    let times: Times | undefined;
    const measure = async () => {
      times = await row.measure(bench);
    };
    if (profiled) show(await profile(runtime.inspector, "product", measure), `bench-results/${row.name}.cpuprofile`);
    else await measure();
    if (!times) continue;
    const result = resultOf(row, times);
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
writeJson(wanted !== "" ? RESULTS.some : scale ? RESULTS.scale : RESULTS.whole, runtime.version, results);
console.log(`\n${summary(results)}`);
process.exitCode = results.every(({ met }) => met) ? 0 : 1;
