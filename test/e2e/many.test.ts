/**
 * Many at once on a real server: spawns up to the limit, and waiting by several callers while the server is killed under them.
 */

import { afterAll, beforeAll, expect, it } from "vitest";
import { MadroxServer } from "../../scripts/local-server.ts";
import { type NodeServer, serve } from "../../scripts/node-server.ts";
import { createSimulator } from "../../src/anthropic/simulator/simulator.ts";

const INSTANCES = 20;
const MESSAGES_EACH = 9;

interface Entry {
  id: string;
  status: string;
}
interface Waited {
  done: Entry[];
  pending: Entry[];
}

/** Those that the first test spawned: the second one uses them. */
let instances: string[] = [];
let model: NodeServer;
let madrox: MadroxServer;
/** While it is false, no answer of the model ends. */
let open = false;
let calls = 0;

beforeAll(async () => {
  const simulator = createSimulator({
    script: async () => {
      calls += 1;
      // Half of the first messages are answered before the kill.
      if (calls > INSTANCES / 2) while (!open) await new Promise((done) => setTimeout(done, 50));
      return { blocks: [{ type: "text", text: "Done." }] };
    },
  });
  model = await serve((request) => simulator.handle(request));
  madrox = new MadroxServer({
    env: { ANTHROPIC_API_KEY: "a-key-for-tests", ANTHROPIC_BASE_URL: model.url, MAX_INSTANCES: String(INSTANCES) },
  });
  await madrox.start();
});

afterAll(async () => {
  await madrox.stop();
  await model.close();
});

async function tool(name: string, input: Record<string, unknown>): Promise<Record<string, unknown>> {
  for (;;) {
    const answer = await madrox.tool(name, input).catch(() => null);
    if (answer) return answer;
    await new Promise((done) => setTimeout(done, 50));
  }
}

const wait = async (ids: readonly string[], until: unknown, timeout_seconds: number) =>
  (await tool("wait", { ids, until, timeout_seconds })) as unknown as Waited;

/** Waits again and again, as a client does, until there is enough. */
async function waitUntil(ids: readonly string[], until: number): Promise<Waited> {
  for (;;) {
    const answer = await wait(ids, until, 50);
    if (answer.done.length >= until) return answer;
  }
}

it("admits as many instances as MAX_INSTANCES says, however many are spawned at once", async () => {
  const spawned = await Promise.all(
    Array.from({ length: 50 }, (_, i) => tool("spawn_claude", { name: `worker ${i}` })),
  );
  instances = spawned.flatMap(({ success, instance_id }) => (success ? [String(instance_id)] : []));
  expect(instances).toHaveLength(INSTANCES);
  expect(spawned.filter(({ error }) => error === "limit_reached")).toHaveLength(50 - INSTANCES);
});

it("gives everybody who waits the same answers, and consumes nothing, across a kill", {
  timeout: 300_000,
}, async () => {
  const messages = await Promise.all(
    instances.flatMap((instance_id) =>
      Array.from({ length: MESSAGES_EACH }, async (_, n) =>
        String(
          (await tool("send_to_instance", { instance_id, message: `job ${n}`, wait_for_response: false })).message_id,
        ),
      ),
    ),
  );
  const ids = [...instances, ...messages];
  expect(new Set(ids).size).toBe(200);
  const any = await wait(ids, "any", 50);
  expect(any.done.length).toBeGreaterThanOrEqual(1);

  // Two callers for each way to wait.
  const half = Promise.all([waitUntil(ids, 100), waitUntil(ids, 100)]);
  const all = Promise.all([waitUntil(ids, 200), waitUntil(ids, 200)]);
  // When this is answered, those before it are at the server.
  await wait(ids, "any", 0);
  await madrox.kill();
  open = true;
  await madrox.start();
  for (const { done, pending } of await half) expect(done.length + pending.length).toBe(200);
  const [one, two] = await all;
  expect(one.done.map(({ id }) => id)).toEqual(ids);
  expect(one.done.slice(INSTANCES).map(({ status }) => status)).toEqual(messages.map(() => "completed"));
  expect(two).toEqual(one);
  expect(await wait(ids, "all", 0)).toEqual(one);
  expect((await wait(ids, "any", 0)).done).toEqual(one.done);
});
