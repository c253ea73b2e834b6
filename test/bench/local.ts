/**
 * What `npm start` adds to the runtime, and what it takes: its listener, Miniflare's plugins, the process that watches over it.
 */
import { MadroxServer } from "../../scripts/local-server.ts";
import { Client } from "./client.ts";
import { sideBySide } from "./measure.ts";
import type { Row } from "./row.ts";

const INSTANCES = 200;
const AT_ONCE = 8;

/** A server as a user starts it, while `use` uses it; `ms` is how long its start took. */
async function withServer<T>(use: (server: MadroxServer, ms: number) => Promise<T>): Promise<T> {
  const server = new MadroxServer({
    env: { ANTHROPIC_API_KEY: "", ACCESS_KEYS: "", LOG_LEVEL: "WARNING", MAX_INSTANCES: "100000" },
  });
  try {
    const began = performance.now();
    await server.start();
    return await use(server, performance.now() - began);
  } finally {
    await server.stop();
  }
}

const status: Row = {
  name: "get_instance_status through npm start",
  floorName: "the same call in a bare workerd",
  target: 1.5,
  measure: (bench) =>
    withServer(async (server) => {
      const local = new Client(server.url);
      const [here, there] = await Promise.all(
        [local, bench.product].map((client) => client.tool("spawn_claude", { name: "bench" })),
      );
      const times = await sideBySide({
        samples: 400,
        warmUp: 150,
        product: { run: () => local.tool("get_instance_status", { instance_id: here?.instance_id }) },
        floor: { run: () => bench.product.tool("get_instance_status", { instance_id: there?.instance_id }) },
      });
      local.close();
      return times;
    }),
};

const memory: Row = {
  name: "memory of npm start with 200 instances that have answered",
  floorName: "what it may take",
  unit: "MiB",
  target: 1,
  measure: () =>
    withServer(async (server) => {
      let left = INSTANCES;
      const worker = async () => {
        while (left-- > 0) {
          const { instance_id } = await server.tool("spawn_claude", { name: "bench" });
          await server.tool("send_to_instance", { instance_id, message: "Good day." });
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, worker));
      return { product: [server.residentMiB()], floor: [500] };
    }),
};

const ready: Row = {
  name: "npm start until it is ready, when nothing has changed",
  floorName: "what it may take",
  target: 1,
  async measure() {
    // The first may have to build.
    await withServer(async () => undefined);
    const times: number[] = [];
    for (let i = 0; i < 3; i++) await withServer(async (_server, ms) => times.push(ms));
    return { product: times, floor: [3_000] };
  },
};

export const LOCAL_ROWS: readonly Row[] = [status, memory, ready];
