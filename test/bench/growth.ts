/**
 * Rows that need thousands of objects: what an operation costs among 10,000 instances beside what it costs among 10, and
 * what 10,000 turns leave in memory.
 */
import type { Client } from "./client.ts";
import { sideBySide } from "./measure.ts";
import type { Bench, Row } from "./row.ts";

const FEW = 10;
const MANY = 10_000;
const AT_ONCE = 16;

interface House {
  client: Client;
  id: string;
}

const houses = new Map<number, Promise<House>>();

/** A tenant with so many instances, of which one has worked. Made once a run. */
function houseWith(bench: Bench, instances: number): Promise<House> {
  const known = houses.get(instances);
  if (known) return known;
  const made = build(bench.tenant(`tenant-of-${instances}`), instances);
  houses.set(instances, made);
  return made;
}

async function build(client: Client, instances: number): Promise<House> {
  let left = instances - 1;
  const spawner = async () => {
    while (left-- > 0) await client.tool("spawn_claude", { name: "bench" });
  };
  await Promise.all(Array.from({ length: AT_ONCE }, spawner));
  const id = String((await client.tool("spawn_claude", { name: "bench" })).instance_id);
  await client.tool("send_to_instance", { instance_id: id, message: "Get to know each other." });
  return { client, id };
}

function growth(what: string, run: (house: House, i: number) => Promise<unknown>): Row {
  return {
    name: `${what}, among 10,000 instances`,
    floorName: "the same among 10",
    target: 1.2,
    async measure(bench) {
      const many = await houseWith(bench, MANY);
      const few = await houseWith(bench, FEW);
      return sideBySide({
        samples: 200,
        warmUp: 50,
        product: { run: (i) => run(many, i) },
        floor: { run: (i) => run(few, i) },
      });
    },
  };
}

const LONG = 1_000;
const SHORT = 10;

/** An instance after so many messages, half of them its own. */
async function after(client: Client, messages: number): Promise<string> {
  const id = String((await client.tool("spawn_claude", { name: "bench" })).instance_id);
  for (let i = 0; i < messages / 2; i++) await say(client, id, i);
  return id;
}

async function say(client: Client, id: string, i: number): Promise<void> {
  const answer = await client.tool("send_to_instance", { instance_id: id, message: `message ${i}` });
  if (answer.status !== "completed") throw new Error(`A waited message is ${answer.status}.`);
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await run();
  return performance.now() - began;
}

/** What a turn takes beyond a bare call of the model with as long a conversation, which is the payload and the model's own. */
const history: Row = {
  name: "a turn's own overhead, after 1,000 messages",
  floorName: "the same after 10",
  target: 1.5,
  async measure(bench) {
    const client = bench.tenant("tenant-of-history");
    const long = await after(client, LONG);
    const overhead = async (id: string, messages: number, i: number) => {
      const turn = await timed(() => say(client, id, i));
      return turn - (await timed(() => bench.floor.post(`/turn?history=${messages}`, `message ${i}`)));
    };
    const [product, floor]: [number[], number[]] = [[], []];
    for (let i = 0; i < 60; i++) {
      // A fresh one each time: a few turns more would make this history twice as long.
      const short = await after(client, SHORT);
      const [a, b] = [await overhead(short, SHORT, i), await overhead(long, LONG, i)];
      if (i < 10) continue;
      floor.push(a);
      product.push(b);
    }
    return { product, floor };
  },
};

/** Turns of one instance after another, so that no conversation grows long. */
async function turns(client: Client, count: number): Promise<void> {
  const each = 25;
  let left = count / each;
  const worker = async () => {
    while (left-- > 0) {
      const id = String((await client.tool("spawn_claude", { name: "bench" })).instance_id);
      for (let i = 0; i < each; i++)
        await client.tool("send_to_instance", { instance_id: id, message: `message ${i}` });
      await client.tool("terminate_instance", { instance_id: id });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** Objects leave memory some seconds after their last request; V8 gives back what it collected when nothing goes on. */
const REST_MS = 30_000;

const memory: Row = {
  name: "memory after 10,000 turns, idle again",
  floorName: "memory after 1,000 turns, idle again",
  unit: "MiB",
  target: 1.2,
  async measure(bench) {
    const client = bench.tenant("tenant-of-turns");
    const rest = () => new Promise((done) => setTimeout(done, REST_MS));
    await turns(client, 1_000);
    await rest();
    const floor = [bench.residentMiB()];
    await turns(client, 9_000);
    await rest();
    return { product: [bench.residentMiB()], floor };
  },
};

export const GROWTH_ROWS: readonly Row[] = [
  growth("spawn_claude", ({ client }) => client.tool("spawn_claude", { name: "bench" })),
  growth("send_to_instance without waiting", ({ client, id }, i) =>
    client.tool("send_to_instance", { instance_id: id, message: `message ${i}`, wait_for_response: false }),
  ),
  growth("get_instance_status of one", ({ client, id }) => client.tool("get_instance_status", { instance_id: id })),
  growth("get_instance_status, a page", ({ client }) => client.tool("get_instance_status", { limit: 20 })),
  growth("the newest events", ({ client }) => client.get("/events?limit=20")),
  growth("what was spent", ({ client }) => client.get("/spend?bucket=hour&by=model")),
  growth("get_instance_tree of one", ({ client, id }) => client.tool("get_instance_tree", { root_id: id })),
  history,
  memory,
];
