/**
 * The rows of the report, in its order. A further row is a further entry, here or in a list of its own kind.
 */
import { randomUUID } from "node:crypto";
import { GROWTH_ROWS } from "./growth.ts";
import { IDLE_ROWS } from "./idle.ts";
import { LOCAL_ROWS } from "./local.ts";
import { MANY_ROWS } from "./many.ts";
import { sideBySide } from "./measure.ts";
import type { Row } from "./row.ts";
import { at, send, spawn, spawnUsed, terminate, times } from "./steps.ts";
import { WATCHED_ROWS } from "./watched.ts";
import { WEIGHT_ROWS } from "./weight.ts";

/** An answer that no row waits for: the turn stays open until the instance is terminated. */
const NEVER = "[600000 ms]";

const status: Row = {
  name: "get_instance_status over MCP",
  floorName: "a bare tool that reads one row of an object",
  target: 1.3,
  async measure(bench) {
    const id = await spawn(bench);
    await bench.floor.tool("insert", { name: "read", text: "a row" });
    return sideBySide({
      samples: 300,
      warmUp: 100,
      product: { run: () => bench.product.tool("get_instance_status", { instance_id: id }) },
      floor: { run: () => bench.floor.tool("read", { name: "read" }) },
    });
  },
};

const spawning: Row = {
  name: "spawn_claude over MCP",
  floorName: "a bare tool that inserts one row into an object",
  target: 1.5,
  measure: (bench) =>
    sideBySide({
      samples: 300,
      warmUp: 50,
      product: { run: () => spawn(bench) },
      floor: { run: () => bench.floor.tool("insert", { name: "insert", text: "a row" }) },
    }),
};

const sendToIdle: Row = {
  name: "send without waiting, idle instance in memory",
  floorName: "a bare tool that inserts one row into an object",
  target: 1.8,
  async measure(bench) {
    const [samples, warmUp] = [100, 20];
    const ids = await times(samples + warmUp, () => spawnUsed(bench));
    const messages = ids.map(() => `${randomUUID()} ${NEVER}`);
    const arrivals = messages.map((message) => bench.model.arrival(message));
    const result = await sideBySide({
      samples,
      warmUp,
      product: {
        // Brings the object back if it was evicted meanwhile.
        before: (i) => bench.product.tool("get_instance_output", { instance_id: at(ids, i), limit: 1 }),
        run: (i) => send(bench, at(ids, i), at(messages, i), false),
        // The turn that it started must not run into the next sample.
        after: (i) => at(arrivals, i),
      },
      floor: {
        // An object that has been written to before, as the product's has.
        before: (i) => bench.floor.tool("insert", { name: `idle ${i}`, text: "a row" }),
        run: (i) => bench.floor.tool("insert", { name: `idle ${i}`, text: "a row" }),
      },
    });
    await terminate(bench, ids);
    return result;
  },
};

const sendToBusy: Row = {
  name: "send without waiting, busy instance in memory",
  floorName: "a bare tool that inserts one row into an object",
  target: 1.8,
  async measure(bench) {
    const id = await spawnUsed(bench);
    const first = `${randomUUID()} ${NEVER}`;
    const arrival = bench.model.arrival(first);
    await send(bench, id, first, false);
    await arrival;
    const result = await sideBySide({
      samples: 200,
      warmUp: 30,
      product: { run: (i) => send(bench, id, `message ${i}`, false) },
      floor: { run: () => bench.floor.tool("insert", { name: "busy", text: "a row" }) },
    });
    await terminate(bench, [id]);
    return result;
  },
};

const sendToFresh: Row = {
  name: "send without waiting, instance never used before",
  floorName: "a bare tool that inserts one row into a new object",
  target: null,
  async measure(bench) {
    const [samples, warmUp] = [60, 10];
    const ids = await times(samples + warmUp, () => spawn(bench));
    const messages = ids.map(() => `${randomUUID()} ${NEVER}`);
    const arrivals = messages.map((message) => bench.model.arrival(message));
    const result = await sideBySide({
      samples,
      warmUp,
      product: { run: (i) => send(bench, at(ids, i), at(messages, i), false), after: (i) => at(arrivals, i) },
      floor: { run: (i) => bench.floor.tool("insert", { name: `fresh ${i}`, text: "a row" }) },
    });
    await terminate(bench, ids);
    return result;
  },
};

const turn: Row = {
  name: "a whole turn, model takes 500 ms",
  floorName: "a Worker that makes the same model call",
  target: 1.05,
  async measure(bench) {
    const id = await spawnUsed(bench);
    const result = await sideBySide({
      samples: 20,
      warmUp: 2,
      product: { run: (i) => send(bench, id, `turn ${i} [500 ms]`, true) },
      floor: { run: (i) => bench.floor.post("/turn", `turn ${i} [500 ms]`) },
    });
    await terminate(bench, [id]);
    return result;
  },
};

const firstText: Row = {
  name: "send to the first text of the answer in a stream, 500 ms",
  floorName: "a Worker that streams the same model call",
  target: 1.05,
  async measure(bench) {
    const [samples, warmUp] = [20, 2];
    // In memory, and with nothing behind them that a stream would begin with.
    const ids = await times(samples + warmUp, async () => {
      const id = await spawn(bench);
      await bench.product.tool("get_instance_output", { instance_id: id, limit: 1 });
      return id;
    });
    let read: (awaited: string) => Promise<void> = () => Promise.reject(new Error("No stream is open."));
    const result = await sideBySide({
      samples,
      warmUp,
      product: {
        before: async (i) => {
          read = await bench.product.open(`/instances/${at(ids, i)}/events`);
        },
        run: (i) => {
          const arrived = read("event: text");
          return Promise.all([send(bench, at(ids, i), `stream ${i} [500 ms]`, false), arrived]);
        },
      },
      floor: {
        run: async (i) => (await bench.floor.open("/stream", "POST", `stream ${i} [500 ms]`))("Done"),
      },
    });
    await terminate(bench, ids);
    return result;
  },
};

const fiveAtOnce: Row = {
  name: "five sends at once to five instances, model takes 1 s",
  floorName: "a Worker that makes five such calls at once",
  // Side by side, not one after the other (that would be 5), with 60 ms a turn for the thread that they share: together
  // well under 1.5 s.
  target: 1.3,
  async measure(bench) {
    const ids = await times(5, () => spawnUsed(bench));
    const result = await sideBySide({
      samples: 8,
      warmUp: 1,
      product: { run: (i) => Promise.all(ids.map((id) => send(bench, id, `round ${i} [1000 ms]`, true))) },
      floor: { run: (i) => Promise.all(ids.map((id) => bench.floor.post("/turn", `${id} round ${i} [1000 ms]`))) },
    });
    await terminate(bench, ids);
    return result;
  },
};

/**
 * What a turn costs beside the model must not grow with what came before it: the time from the end of one model answer to
 * the next call, which holds a commit, a start, two reports and the building of the next request.
 */
const longQueue: Row = {
  name: "overhead of a turn: last 100 of 1,000 queued messages",
  floorName: "the same for the first 100",
  // Some growth is honest: every call sends the whole conversation, 2,000 messages at the end.
  target: 2.5,
  async measure(bench) {
    const id = await spawn(bench);
    const first = `${randomUUID()} [held]`;
    const arrival = bench.model.arrival(first);
    await send(bench, id, first, false);
    await arrival;
    for (let i = 1; i < 1000; i++) await send(bench, id, `message ${i}`, false);
    const seen = bench.model.spans.length;
    const last = bench.model.arrival("message 999");
    bench.model.release(first);
    await last;
    await terminate(bench, [id]);
    const spans = bench.model.spans.slice(seen);
    const gaps = spans.slice(1).map(({ began }, i) => began - at(spans, i).ended);
    return { floor: gaps.slice(0, 100), product: gaps.slice(-100) };
  },
};

/** What the Orchestrator takes for the events that arise in one second: it keeps up while that is less than the second. */
const events: Row = {
  name: "one second's events of 200 instances, 10 each",
  floorName: "the second in which they arise",
  target: 1,
  async measure({ floor }) {
    const product: number[] = [];
    for (let second = 0; second < 12; second++) {
      const began = performance.now();
      await floor.post(`/traffic?second=${second}&instances=200&events=10`, "");
      // The first two spawn the instances and warm up.
      if (second >= 2) product.push(performance.now() - began);
    }
    return { product, floor: product.map(() => 1_000) };
  },
};

const nothing: Row = {
  name: "for comparison: the bare insert",
  floorName: "a request that does nothing",
  target: null,
  measure: ({ floor }) =>
    sideBySide({
      samples: 200,
      warmUp: 50,
      product: { run: () => floor.tool("insert", { name: "comparison", text: "a row" }) },
      floor: { run: () => floor.post("/", "") },
    }),
};

export const ROWS: readonly Row[] = [
  status,
  spawning,
  sendToIdle,
  sendToBusy,
  sendToFresh,
  turn,
  firstText,
  fiveAtOnce,
  longQueue,
  ...MANY_ROWS,
  events,
  ...WATCHED_ROWS,
  ...WEIGHT_ROWS,
  ...LOCAL_ROWS,
  nothing,
];

/** Those that need thousands of objects: `npm run bench:full`. */
export const FULL_ROWS: readonly Row[] = [...ROWS, ...GROWTH_ROWS, ...IDLE_ROWS];
