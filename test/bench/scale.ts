/**
 * One tenant's registry far past what one person has: 100,000 instances beside 64, each operation on the product's own
 * Orchestrator, by turns. `npm run bench:scale`. docs/scale.md has what came of it.
 */
import { sideBySide } from "./measure.ts";
import type { Bench, Row } from "./row.ts";

const FEW = 64;
const MANY = 100_000;
/** Instances that have made a model call. */
const WORKED = 20_000;
/** Operations in one sample: their mean is the sample. */
const EACH = 50;
/** Calls of an Orchestrator under way, where as many as possible are to go through. */
const AT_ONCE = 64;
/** What an operation may take at most, in times among few. */
const TARGET = 1.2;

const tenantOf = (instances: number) => `registry-of-${instances}`;

function run({ floor }: Bench, operation: string, tenant: string, count: number, atOnce: number): Promise<string> {
  return floor.post(`/registry?operation=${operation}&tenant=${tenant}&count=${count}&at_once=${atOnce}`, "");
}

let built: Promise<void> | undefined;

/** Spawns them in pieces, and lets some make one model call: the ledger and the event log are long too. */
function build(bench: Bench): Promise<void> {
  built ??= (async () => {
    for (const instances of [FEW, MANY]) {
      for (const [operation, count] of [
        ["spawn", instances],
        ["settle-of-each", Math.min(instances, WORKED)],
      ] as const) {
        for (let left = count; left > 0; left -= 1_000)
          await run(bench, operation, tenantOf(instances), Math.min(left, 1_000), AT_ONCE);
      }
    }
  })();
  return built;
}

/** The mean time of an operation that is done one after the other (`atOnce` 1), or of each of many at once. */
function operation(name: string, what: string, atOnce = 1, target: number | null = TARGET): Row {
  const count = atOnce === 1 ? EACH : 4 * atOnce;
  return {
    name: `${name}, among 100,000`,
    floorName: "the same among 64",
    target,
    async measure(bench) {
      await build(bench);
      const { product, floor } = await sideBySide({
        samples: atOnce === 1 ? 60 : 30,
        warmUp: 5,
        product: { run: () => run(bench, what, tenantOf(MANY), count, atOnce) },
        floor: { run: () => run(bench, what, tenantOf(FEW), count, atOnce) },
      });
      return { product: product.map((ms) => ms / count), floor: floor.map((ms) => ms / count) };
    },
  };
}

export const SCALE_ROWS: readonly Row[] = [
  operation("registry: status of one", "status"),
  // Others come from the file: SQLite's own memory holds a few hundred.
  operation("registry: status of each in turn", "status-of-each", 1, null),
  operation("registry: a page of the list", "list"),
  operation("registry: a page of a state", "list-of-a-state"),
  operation("registry: the top of the tree", "tree"),
  operation("registry: a page of events", "events"),
  operation("registry: a page of one's events", "events-of-one"),
  operation("registry: figures", "figures"),
  operation("registry: a day's spending, by model", "spend"),
  operation("registry: a model call reserved and settled", "settle"),
  operation("registry: the same, time each of 64 at once", "settle", AT_ONCE),
  operation("registry: the same, of each in turn", "settle-of-each", AT_ONCE, null),
  // These come last: they make few more.
  operation("registry: a spawn", "spawn"),
  operation("registry: a spawn, time each of 64 at once", "spawn", AT_ONCE),
];
