/**
 * Instances that work together, on a server that is killed again and again: a job of each type, and a parent that waits for
 * children of its own. The model's server stands outside and survives.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { MadroxServer } from "../../scripts/local-server.ts";
import { type NodeServer, serve } from "../../scripts/node-server.ts";
import { createSimulator, type ScriptCall } from "../../src/anthropic/simulator/simulator.ts";

const TYPES = ["sequential", "parallel", "consensus", "delegated"] as const;
const KILLS = 4;
const PARTICIPANTS = 3;

/** A parent spawns three children, waits for them, and says what they said; everything else is the simulator's plain answer. */
function play(call: ScriptCall) {
  const first = JSON.stringify((call.body.messages as unknown[])[0]);
  const delayMs = 150;
  if (first.includes("be a child")) return { delayMs, blocks: [{ type: "text" as const, text: "a child's answer" }] };
  if (!first.includes("be a parent")) return { delayMs };
  const answers = call.toolResults.map(({ text }) => JSON.parse(text) as Record<string, unknown>);
  if (call.step === 0) {
    const spawns = [1, 2, 3].map((n) => ({
      type: "tool_use" as const,
      name: "spawn_claude",
      input: { name: `child ${n}`, tools: "none", initial_prompt: "be a child" },
    }));
    return { delayMs, blocks: spawns };
  }
  if (call.step === 1) {
    const ids = answers.map((answer) => answer.message_id);
    return { delayMs, blocks: [{ type: "tool_use" as const, name: "wait", input: { ids } }] };
  }
  const done = answers[0]?.done as { response: { response: string } }[];
  return { delayMs, blocks: [{ type: "text" as const, text: done.map((one) => one.response.response).join(" + ") }] };
}

const simulator = createSimulator({ journalLimit: 100_000, script: play });
let model: NodeServer;
let madrox: MadroxServer;

beforeAll(async () => {
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
});

interface Step {
  instance_id: string;
  status: string;
  message_ids: string[];
}

it("ends every job, and every wait, as if nothing had happened, and asks nobody twice", async () => {
  const spawn = async (name: string, input: Record<string, unknown> = {}) =>
    String((await madrox.tool("spawn_claude", { name, tools: "none", ...input })).instance_id);
  const jobs = await Promise.all(
    TYPES.map(async (type) => {
      const coordinator_id = await spawn(`${type} coordinator`);
      const names = Array.from({ length: PARTICIPANTS }, (_, i) => `${type} ${i}`);
      const participant_ids = await Promise.all(names.map((name) => spawn(name)));
      const started = await madrox.tool("coordinate_instances", {
        coordinator_id,
        participant_ids,
        coordination_type: type,
        task_description: `Work out ${type}.`,
        ...(type === "consensus" ? { options: { choices: ["left", "right"] } } : {}),
      });
      expect(started).toMatchObject({ success: true });
      return String(started.task_id);
    }),
  );
  const parents = await Promise.all([1, 2].map((n) => spawn(`parent ${n}`, { tools: "full" })));
  const asked = await Promise.all(
    parents.map(async (instance_id) => {
      const input = { instance_id, message: "be a parent", wait_for_response: false };
      return String((await madrox.tool("send_to_instance", input)).message_id);
    }),
  );

  for (let kill = 0; kill < KILLS; kill++) {
    await new Promise((done) => setTimeout(done, 200 + Math.random() * 1000));
    await madrox.kill();
    await madrox.start();
  }
  const done = new Map<string, Record<string, unknown>>();
  while (done.size < jobs.length + asked.length) {
    const answer = await madrox.tool("wait", { ids: [...jobs, ...asked], timeout_seconds: 5 });
    for (const one of answer.done as Record<string, unknown>[]) done.set(String(one.id), one);
  }

  for (const id of asked) {
    expect(done.get(id)).toMatchObject({
      response: { response: "a child's answer + a child's answer + a child's answer" },
    });
  }
  for (const id of jobs) {
    const job = (await madrox.tool("get_job_status", { job_id: id })) as unknown as { status: string; steps: Step[] };
    expect([job.status, job.steps.map((step) => step.status)]).toEqual(["completed", job.steps.map(() => "completed")]);
    const messages = new Map<string, number>();
    for (const instance of new Set(job.steps.map((step) => step.instance_id))) {
      const { output } = (await madrox.tool("get_instance_output", { instance_id: instance, limit: 1000 })) as {
        output: { type: string; message_id: string }[];
      };
      for (const row of output.filter(({ type }) => type === "user"))
        messages.set(row.message_id, (messages.get(row.message_id) ?? 0) + 1);
    }
    // Each instance has exactly the messages of its steps, each once.
    expect([...messages].sort()).toEqual(job.steps.map((step) => [step.message_ids.join(), 1]).sort());
  }
  const { status } = (await madrox.tool("get_instance_status", { limit: 1 })) as unknown as {
    status: { total_instances: number };
  };
  expect(status.total_instances).toBe(TYPES.length * (PARTICIPANTS + 1) + parents.length * 4);
  expect(simulator.journal.filter((entry) => entry.status >= 400)).toEqual([]);
}, 240_000);
