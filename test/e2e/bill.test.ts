/**
 * The ledger against the bill: 500 model calls with faults of every kind, interrupts, and the whole server killed in between,
 * must add up to what the model's own server has counted.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, expect, it } from "vitest";
import { MadroxServer } from "../../scripts/local-server.ts";
import type { Bill } from "./billing-server.ts";

/** See billing-server.ts. Importing it would start it here. */
const ENDLESS = "Go on for ever.";
const SEED = "20261123";
const INSTANCES = 20;
const MESSAGES_EACH = 8;
/** One message in so many is answered without end, and interrupted. */
const INTERRUPT_EVERY = 8;
/** The server is killed when the model has been called so often. */
const KILL_AT = [150, 350];

let model: ChildProcess;
let modelUrl: string;
let madrox: MadroxServer;

beforeAll(async () => {
  model = spawn(process.execPath, ["test/e2e/billing-server.ts", SEED], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(model.stdout as NodeJS.ReadableStream, "data")) as [Buffer];
  modelUrl = line.toString().trim();
  madrox = new MadroxServer({
    config: "test/entry/wrangler.toml",
    env: {
      ANTHROPIC_API_KEY: "a-key-for-tests",
      ANTHROPIC_BASE_URL: modelUrl,
      MAX_INSTANCES: "100",
      MAX_TOKENS_PER_INSTANCE: "100000000",
      MODEL_IDLE_TIMEOUT_SECONDS: "5",
    },
  });
  await madrox.start();
});

afterAll(async () => {
  await madrox.stop();
  model.kill("SIGKILL");
});

const pause = () => new Promise((done) => setTimeout(done, 50));
const control = (path: string) => fetch(modelUrl + path, { method: "POST" });
const billNow = async () => (await (await fetch(`${modelUrl}/bill`)).json()) as Bill;

/** The time is only there so that a failure has a name. */
async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 300_000;
  while (!(await holds())) {
    expect(Date.now(), what).toBeLessThan(deadline);
    await pause();
  }
}

/** Calls a tool, again and again while nobody is there to answer. */
async function tool(name: string, input: Record<string, unknown>): Promise<Record<string, unknown>> {
  for (;;) {
    const answer = await madrox.tool(name, input).catch(() => null);
    if (answer) return answer;
    await pause();
  }
}

interface Cost {
  settled: number;
  unsettled: number;
  reserved: number;
}

/** In nano-USD. */
async function ledger(): Promise<Cost & { bound_violations: number }> {
  const response = await fetch(`${madrox.url}/health`);
  const { metrics } = (await response.json()) as { metrics: { cost: Cost; bound_violations: number } };
  const nano = (usd: number) => Math.round(usd * 1e9);
  return {
    settled: nano(metrics.cost.settled),
    unsettled: nano(metrics.cost.unsettled),
    reserved: nano(metrics.cost.reserved),
    bound_violations: metrics.bound_violations,
  };
}

/** Sends all of one instance's messages, each after the end of the one before. Returns how each ended. */
async function converse(i: number): Promise<string[]> {
  const spawned = await tool("spawn_claude", {
    name: `worker ${i}`,
    model: i % 2 ? "haiku" : "sonnet",
    idempotency_key: `spawn ${i}`,
  });
  const instance_id = String(spawned.instance_id);
  const endless = `${ENDLESS} Worker ${i}.`;
  const ends: string[] = [];
  for (let n = 0; n < MESSAGES_EACH; n++) {
    const interrupted = n % INTERRUPT_EVERY === i % INTERRUPT_EVERY;
    const { message_id } = await tool("send_to_instance", {
      instance_id,
      message: interrupted ? endless : `Message ${n} for worker ${i}`,
      wait_for_response: false,
      idempotency_key: `message ${n}`,
    });
    for (let end: string | undefined; !end; ) {
      const { done } = (await tool("wait", { ids: [message_id], timeout_seconds: interrupted ? 0.2 : 10 })) as {
        done: { status: string }[];
      };
      end = done[0]?.status;
      const open = async () => (await billNow()).open.includes(endless);
      if (interrupted && !end && (await open())) await tool("interrupt_instance", { instance_id });
      if (end) ends.push(end);
    }
  }
  return ends;
}

/** Kills the server when every answer that ended is in its ledger, and others are under way. */
async function killAt(calls: number): Promise<void> {
  await until(`call ${calls}`, async () => (await billNow()).calls >= calls);
  await control("/hold");
  await until("the ledger has what ended", async () => (await ledger()).settled === (await billNow()).settled);
  await until("answers are under way", async () => (await billNow()).open.length > 0);
  await madrox.kill();
  await until("the killed calls are gone", async () => (await billNow()).open.length === 0);
  await control("/release");
  await madrox.start();
}

it("settles what the model's own server has counted, to the nano-dollar", { timeout: 600_000 }, async () => {
  const conversations = Promise.all(Array.from({ length: INSTANCES }, (_, i) => converse(i)));
  for (const calls of KILL_AT) await killAt(calls);
  const ends = (await conversations).flat();
  await until("nothing is reserved", async () => (await ledger()).reserved === 0);

  const bill = await billNow();
  const book = await ledger();
  expect(book.settled).toBe(bill.settled);
  expect(book.settled + book.unsettled).toBeGreaterThanOrEqual(bill.billed);
  expect(book).toMatchObject({ reserved: 0, bound_violations: 0 });
  // It was the run that it was meant to be.
  expect(bill.calls).toBeGreaterThanOrEqual(500);
  expect(bill.billed).toBeGreaterThan(bill.settled);
  expect(Object.keys(bill.faults).sort()).toEqual(["429", "500", "529", "eof", "error_event", "reset", "stall"]);
  expect(ends).toHaveLength(INSTANCES * MESSAGES_EACH);
  expect(ends.filter((end) => end === "cancelled").length).toBeGreaterThanOrEqual(INSTANCES);
  expect(ends.filter((end) => end === "completed").length).toBeGreaterThanOrEqual(INSTANCES);
});
