/**
 * `npm run demo`: three specialists build a task-management app in the files of their lead, who coordinates them, and the
 * result comes as a zip. Starts a server of its own and talks to it with the client. Without ANTHROPIC_API_KEY a simulator
 * stands in for the models: what they write is prepared (demo-model.ts), all that the server does is not.
 */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSimulator } from "../src/anthropic/simulator/simulator.ts";
import { Madrox } from "../src/client/index.ts";
import { demoModel } from "./demo-model.ts";
import { MadroxServer } from "./local-server.ts";
import { serve } from "./node-server.ts";
import { settings } from "./settings.ts";

const TASK = `Build a small task-management app for the browser in our shared workspace: tasks with a title and a due date that can be
added, completed and removed. No dependencies, no build step.
- The backend developer writes tasks.js: the model, as an ES module without any DOM.
- The frontend developer writes index.html on top of it.
- The testing specialist reads both, writes tasks.test.js for node --test, and review.md with findings.
Everything is a file in the workspace; answer with a short summary of what you made and what others need to know.`;

const SPECIALISTS = [
  { name: "Backend", role: "backend_developer" },
  { name: "Frontend", role: "frontend_developer" },
  { name: "Tester", role: "testing_specialist" },
] as const;

const real = Boolean(settings().ANTHROPIC_API_KEY);
const dim = (text: string) => (process.stdout.isTTY ? `\x1b[2m${text}\x1b[0m` : text);

/** An output row in one line. */
function lineOf(type: string, content: string): string {
  if (type !== "tool_call") return content.replace(/\s+/g, " ").slice(0, 100);
  const { name, input } = JSON.parse(content) as { name: string; input: { path?: string } };
  return `${name} ${input.path ?? ""}`;
}

/** Prints what an instance does as it does it, until `signal` ends that. */
async function narrate(madrox: Madrox, id: string, name: string, signal: AbortSignal): Promise<void> {
  try {
    for await (const { event, data } of madrox.stream(id, { signal })) {
      if (event !== "output" || data.type === "user" || data.type === "tool_result") continue;
      console.log(`${name.padEnd(9)} ${dim(lineOf(String(data.type), String(data.content)))}`);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

async function build(madrox: Madrox): Promise<void> {
  const limits = { max_cost: 5, max_total_tokens: 2_000_000 };
  const lead = await madrox.spawnInstance({ name: "Lead", role: "architect", tools: "standard", ...limits });
  const team = await Promise.all(
    SPECIALISTS.map((member) =>
      madrox.spawnInstance({
        ...member,
        tools: "standard",
        workspace: "parent",
        parent_instance_id: lead.instance_id,
        max_total_tokens: limits.max_total_tokens,
      }),
    ),
  );
  const all = [lead, ...team];
  const watching = new AbortController();
  const narrated = Promise.all(all.map(({ instance_id, name }) => narrate(madrox, instance_id, name, watching.signal)));

  const { job_id } = await madrox.coordinateInstances({
    coordinator_id: lead.instance_id,
    participant_ids: team.map(({ instance_id }) => instance_id),
    task_description: TASK,
    coordination_type: "sequential",
    options: { max_cost: limits.max_cost },
  });
  await madrox.waitUntilDone([job_id]);
  const job = await madrox.getJobStatus({ job_id });
  watching.abort();
  await narrated;
  console.log(`\nThe job is ${String(job.status)}.`);

  const { files } = await madrox.listInstanceFiles({ instance_id: lead.instance_id });
  console.table(files.map(({ path, size }) => ({ file: path, bytes: size })));
  const zip = join(mkdtempSync(join(tmpdir(), "madrox-demo-")), "task-app.zip");
  writeFileSync(zip, await (await madrox.workspaceZip(lead.instance_id)).bytes());

  const bill = [];
  for await (const record of madrox.instances()) {
    bill.push({
      name: record.name,
      model: record.model,
      "fresh tokens": record.total_tokens_used,
      "cost (USD)": Number(record.total_cost).toFixed(4),
    });
  }
  console.table(bill);
  if (!real) console.log("Tokens and cost are simulated: what this would have cost at today's list prices.");
  await madrox.terminateInstance({ instance_id: lead.instance_id });
  console.log(`The app: ${zip}`);
  if (job.status !== "completed") process.exitCode = 1;
}

async function main(): Promise<void> {
  const model = real ? null : await serve(createSimulator({ script: demoModel }).handle);
  const simulated: Record<string, string> = model
    ? { ANTHROPIC_BASE_URL: model.url, ANTHROPIC_API_KEY: "simulated" }
    : {};
  const server = new MadroxServer({
    env: { LOG_LEVEL: "WARNING", ACCESS_KEYS: "", MAX_INSTANCES: "10", ...simulated },
  });
  const close = async () => {
    await server.stop();
    await model?.close();
  };
  process.once("SIGINT", () => void close().finally(() => process.exit(130)));
  process.once("SIGTERM", () => void close().finally(() => process.exit(143)));
  console.log("Starting a server ...");
  try {
    await server.start();
    console.log(
      real
        ? "Claude answers, with your ANTHROPIC_API_KEY: at most 5 dollars.\n"
        : "No ANTHROPIC_API_KEY: a simulator answers with prepared text, nothing is spent.\n",
    );
    await build(new Madrox({ url: server.url }));
  } finally {
    await close();
  }
}

await main();
