/**
 * `npm run soak`: SOAK_MINUTES (60) of mixed work by many callers on a started server, with a model that fails now and then,
 * and with kills. What always has to hold is looked at all along. Exits 1 at the first time that something does not.
 * SOAK_SEED repeats the choices of a run; the timing is the machine's.
 */
import { MadroxServer } from "../../scripts/local-server.ts";
import { problemsInBooks } from "./books.ts";
import { startModel } from "./model.ts";

const MINUTES = Number(process.env.SOAK_MINUTES ?? 60);
const SEED = Number(process.env.SOAK_SEED ?? 1);
const KILLS = Math.max(2, Math.round(MINUTES / 5));
const CALLERS = 6;
/** Silence of the model after which a call counts as stalled. */
const STALLED_SECONDS = 5;
/** Longer than any retry: who is at work and has not moved for so long is stuck. */
const LEASE_MS = 180_000;
/** Memory at the same age of the process may differ by this much. */
const FLAT = 1.3;

/** A small generator of numbers in 0..1 (mulberry32): the same for the same seed. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const random = seeded(SEED);
const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(random() * list.length)];
const pause = (ms: number) => new Promise((done) => setTimeout(done, ms));

const model = await startModel(random);
const madrox = new MadroxServer({
  env: {
    ANTHROPIC_API_KEY: "a-key-for-the-soak",
    ANTHROPIC_BASE_URL: model.url,
    MAX_INSTANCES: "60",
    MAX_TOTAL_COST: "100000",
    MAX_TOKENS_PER_INSTANCE: "1000000000",
    MODEL_IDLE_TIMEOUT_SECONDS: String(STALLED_SECONDS),
    LOG_LEVEL: "ERROR",
  },
});

const ids: string[] = [];
const messages = new Set<string>();
let answered = 0;
let working = true;
let up = true;

/** One call; null when the server is down just then. A 5xx is a fault of the server, whatever the model does. */
async function call(name: string, input: Record<string, unknown>): Promise<Record<string, unknown> | null> {
  if (!up) {
    await pause(200);
    return null;
  }
  try {
    const answer = await madrox.tool(name, input);
    answered += 1;
    if (answer.error === "internal") throw new SoakFailure(`${name} failed inside: ${JSON.stringify(answer)}`);
    return answer;
  } catch (error) {
    if (error instanceof SoakFailure) throw error;
    await pause(200);
    return null;
  }
}

class SoakFailure extends Error {}

async function oneThing(): Promise<void> {
  const id = pick(ids);
  const chance = random();
  if (id === undefined || (chance < 0.08 && ids.length < 40)) {
    const parent = random() < 0.5 ? id : undefined;
    const made = await call("spawn_claude", {
      name: "soak",
      tools: "standard",
      ...(parent ? { parent_instance_id: parent } : {}),
    });
    if (made?.success) ids.push(String(made.instance_id));
  } else if (chance < 0.7) {
    const wait_for_response = random() < 0.5;
    const sent = await call("send_to_instance", { instance_id: id, message: `message ${answered}`, wait_for_response });
    if (sent?.message_id) messages.add(String(sent.message_id));
  } else if (chance < 0.78) {
    const others = ids.filter((other) => other !== id).slice(0, 3);
    const coordination_type = pick(["parallel", "sequential"]) ?? "parallel";
    if (others.length > 0)
      await call("coordinate_instances", {
        coordinator_id: id,
        participant_ids: others,
        task_description: "Build it.",
        coordination_type,
      });
  } else if (chance < 0.84) {
    await call("interrupt_instance", { instance_id: id });
  } else if (chance < 0.88) {
    const ended = await call("terminate_instance", { instance_id: id, force: random() < 0.5 });
    for (const gone of (ended?.terminated as string[] | undefined) ?? [])
      if (ids.includes(gone)) ids.splice(ids.indexOf(gone), 1);
  } else {
    await call(pick(["get_instance_status", "get_instance_output", "list_instance_files"]) ?? "", { instance_id: id });
  }
}

interface RecordOfOne {
  instance_id: string;
  state: string;
  last_activity: string;
}

/** What has to hold at every moment. */
async function look(): Promise<void> {
  const wrong = model.wrong();
  if (wrong.length > 0) throw new SoakFailure(`The API refused a transcript: ${wrong[0]}`);
  const health = (await (await fetch(`${madrox.url}/health`)).json()) as { metrics: { bound_violations: number } };
  if (health.metrics.bound_violations > 0) throw new SoakFailure("A call cost more than was reserved for it.");
  const busy = await call("get_instance_status", { state: "busy", limit: 100 });
  const records = Object.values(
    ((busy?.status as { instances?: object })?.instances ?? {}) as Record<string, RecordOfOne>,
  );
  for (const { instance_id, last_activity } of records) {
    if (Date.now() - Date.parse(last_activity) > LEASE_MS)
      throw new SoakFailure(`${instance_id} is busy and has not moved since ${last_activity}.`);
  }
}

async function work(): Promise<void> {
  while (working) await oneThing();
}

/** Everything that was accepted comes to its end once nothing more is asked. */
async function drain(): Promise<void> {
  const deadline = Date.now() + LEASE_MS;
  const open = new Set(messages);
  while (open.size > 0) {
    if (Date.now() > deadline)
      throw new SoakFailure(`${open.size} accepted messages have no end: ${[...open].slice(0, 5)}`);
    const some = [...open].slice(0, 50);
    const waited = await call("wait", { ids: some, timeout_seconds: 10 });
    for (const { id } of (waited?.done as { id: string }[] | undefined) ?? []) open.delete(id);
    if (waited && waited.success === false) throw new SoakFailure(`wait: ${JSON.stringify(waited).slice(0, 500)}`);
  }
}

const memory: number[] = [];
const began = Date.now();
const minute = () => ((Date.now() - began) / 60_000).toFixed(1);
console.log(`soak: ${MINUTES} minutes, ${KILLS} kills, seed ${SEED}`);
try {
  await madrox.start();
  const callers = Promise.all(Array.from({ length: CALLERS }, work));
  callers.catch(() => undefined);
  for (let kill = 1; kill <= KILLS; kill++) {
    const until = began + (kill / KILLS) * MINUTES * 60_000;
    while (Date.now() < until) {
      await Promise.race([pause(Math.min(5_000, Math.max(0, until - Date.now()))), callers]);
      await look();
    }
    memory.push(madrox.residentMiB());
    up = false;
    await madrox.kill();
    const problems = problemsInBooks(madrox.state);
    if (problems.length > 0) throw new SoakFailure(`The books do not add up: ${problems.join("; ")}`);
    await madrox.start();
    up = true;
    console.log(
      `minute ${minute()}: ${answered} answers, ${model.calls()} model calls, ${memory.at(-1)?.toFixed(0)} MiB, books right`,
    );
  }
  working = false;
  await callers;
  await drain();
  await look();
  await madrox.kill();
  const problems = problemsInBooks(madrox.state);
  if (problems.length > 0) throw new SoakFailure(`The books do not add up: ${problems.join("; ")}`);
  // The first stretch warms up.
  const [, second = Number.NaN] = memory;
  if (memory.length > 2 && (memory.at(-1) ?? 0) > second * FLAT)
    throw new SoakFailure(`Memory grew: ${memory.map((mib) => mib.toFixed(0)).join(", ")} MiB before the kills.`);
  console.log(
    `soak: passed. ${answered} answers, ${messages.size} messages, ${model.calls()} model calls, ${KILLS} kills.`,
  );
} catch (error) {
  console.error(`soak: FAILED in minute ${minute()}: ${error instanceof SoakFailure ? error.message : String(error)}`);
  console.error(madrox.log.slice(-2_000));
  process.exitCode = 1;
} finally {
  working = false;
  await madrox.stop();
  await model.close();
}
process.exit();
