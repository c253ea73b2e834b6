/**
 * The kill test: the whole server is killed at random moments, again and again, while 20 instances work through 200
 * messages with tools. The model's server and the tools' counter stand outside and survive.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { MadroxServer } from "../../scripts/local-server.ts";
import { type NodeServer, serve } from "../../scripts/node-server.ts";
import { costOf, priceOf } from "../../src/anthropic/prices.ts";
import { createSimulator, type JournalEntry, type ScriptCall } from "../../src/anthropic/simulator/simulator.ts";

const INSTANCES = 20;
const MESSAGES_EACH = 10;
const KILLS = 3;

const runs = new Map<string, number>();
let counter: NodeServer;
let model: NodeServer;
let madrox: MadroxServer;
let lastModelCall = 0;

/** Each message takes a lookup and a charge at once, then a slow tool, then an answer. */
function job(call: ScriptCall) {
  lastModelCall = Date.now();
  const value = `${counter.url}/ran`;
  switch (call.step % 3) {
    case 0:
      return {
        delayMs: 20,
        blocks: [
          { type: "tool_use" as const, name: "lookup", input: { value } },
          { type: "tool_use" as const, name: "charge", input: { value } },
        ],
      };
    case 1:
      return { delayMs: 20, blocks: [{ type: "tool_use" as const, name: "slow", input: { value: "100" } }] };
    default:
      return { delayMs: 20, blocks: [{ type: "text" as const, text: "Done." }] };
  }
}

const simulator = createSimulator({ journalLimit: 100_000, script: job });

beforeAll(async () => {
  counter = await serve(async (request) => {
    const url = new URL(request.url);
    const run = `${url.searchParams.get("tool")} ${url.searchParams.get("key")}`;
    runs.set(run, (runs.get(run) ?? 0) + 1);
    return new Response("ok");
  });
  model = await serve((request) => simulator.handle(request));
  madrox = new MadroxServer({
    config: "test/entry/wrangler.toml",
    env: { ANTHROPIC_API_KEY: "a-key-for-tests", ANTHROPIC_BASE_URL: model.url, MAX_INSTANCES: "100" },
  });
  await madrox.start();
});

afterAll(async () => {
  await madrox.stop();
  await model.close();
  await counter.close();
});

it("gives every accepted message one final response, however often the server is killed", async () => {
  const ids = await Promise.all(
    Array.from({ length: INSTANCES }, async (_, i) => {
      const answer = await madrox.tool("spawn_claude", { name: `worker ${i}` });
      return String(answer.instance_id);
    }),
  );
  const accepted: string[] = [];
  for (let round = 0; round < MESSAGES_EACH; round++) {
    const sent = await Promise.all(
      ids.map((id) =>
        madrox.tool("send_to_instance", { instance_id: id, message: `job ${round}`, wait_for_response: false }),
      ),
    );
    for (const answer of sent) {
      expect(answer.success).toBe(true);
      accepted.push(String(answer.message_id));
    }
  }

  for (let kill = 0; kill < KILLS; kill++) {
    await new Promise((done) => setTimeout(done, 300 + Math.random() * 1500));
    await madrox.kill();
    const restarted = Date.now();
    lastModelCall = 0;
    await madrox.start();
    // Nobody asks the server for anything: its alarms have to bring the work back.
    while (lastModelCall === 0) {
      expect(Date.now() - restarted, "ms until the work went on by itself").toBeLessThan(60_000);
      await new Promise((done) => setTimeout(done, 50));
    }
  }

  const finals = new Map<string, number>();
  for (const id of ids) {
    for (;;) {
      const { status } = (await madrox.tool("get_instance_status", { instance_id: id })) as {
        status: { state: string; queue_depth: number };
      };
      if (status.state === "idle" && status.queue_depth === 0) break;
      expect(status.state).not.toBe("error");
      await new Promise((done) => setTimeout(done, 200));
    }
    const { output } = (await madrox.tool("get_instance_output", { instance_id: id, limit: 1000 })) as {
      output: { type: string; message_id: string }[];
    };
    for (const row of output)
      if (row.type === "response") finals.set(row.message_id, (finals.get(row.message_id) ?? 0) + 1);
  }

  expect(accepted.map((id) => finals.get(id))).toEqual(accepted.map(() => 1));
  const charges = [...runs].filter(([run]) => run.startsWith("charge"));
  expect(charges.filter(([, times]) => times > 1)).toEqual([]);
  expect(charges.length).toBeGreaterThan(0.9 * accepted.length);
  // What the model's own server counts lies between what is settled and what is counted in all, to the nano-dollar.
  const { metrics } = (await (await fetch(`${madrox.url}/health`)).json()) as {
    metrics: { cost: { settled: number; unsettled: number; reserved: number }; bound_violations: number };
  };
  const nano = (usd: number) => Math.round(usd * 1e9);
  const billed = simulator.journal.reduce((sum, entry) => sum + costOfEntry(entry), 0);
  expect(nano(metrics.cost.settled)).toBeLessThanOrEqual(billed);
  expect(nano(metrics.cost.settled) + nano(metrics.cost.unsettled)).toBeGreaterThanOrEqual(billed);
  expect(metrics).toMatchObject({ bound_violations: 0, cost: { reserved: 0 } });
  // The simulator refuses what the real API refuses: a transcript that broke would show as a 400.
  expect(simulator.journal.filter((entry) => entry.status >= 400)).toEqual([]);
});

function costOfEntry({ usage, body, time }: JournalEntry): number {
  if (!usage) return 0;
  const written = usage.cache_creation_input_tokens ?? 0;
  const read = usage.cache_read_input_tokens ?? 0;
  const price = priceOf(String(body?.model), time, usage.input_tokens + read + written);
  if (!price) return 0;
  return costOf(price, {
    input: usage.input_tokens,
    output: usage.output_tokens,
    cacheRead: read,
    cacheWrite5m: written,
    cacheWrite1h: 0,
    webSearches: 0,
  });
}
