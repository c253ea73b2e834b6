/**
 * Two instances write the same paths at the same time, from outside over REST and from inside with their own tools, and each
 * sees only its own files, while they run and after they have ended. `ISOLATION_SECONDS` says for how long; 5 unless given.
 */
import { unzipSync } from "fflate";
import { afterAll, beforeAll, expect, it } from "vitest";
import { MadroxServer } from "../../scripts/local-server.ts";
import { type NodeServer, serve } from "../../scripts/node-server.ts";
import { createSimulator, type ScriptCall } from "../../src/anthropic/simulator/simulator.ts";

const SECONDS = Number(process.env.ISOLATION_SECONDS ?? "5");
const PATHS = Array.from({ length: 20 }, (_, i) => `same/${i % 4}/${i}.txt`);
/** Loops from outside for each instance, beside the one of its model. */
const LOOPS = 4;

let model: NodeServer;
let madrox: MadroxServer;
let deadline = 0;
const inside = { calls: 0, foreign: [] as string[] };

const pick = () => PATHS[Math.floor(Math.random() * PATHS.length)] ?? "";

/** The model is told whose it is, and writes and reads the same paths as everyone until the time is over. */
function work(call: ScriptCall) {
  const [me = ""] = /inst_\w+/.exec(JSON.stringify(call.body.messages)) ?? [];
  for (const { text, isError } of call.toolResults.slice(-2)) {
    inside.calls += 1;
    const owners = isError ? [] : (text.match(/inst_\w+/g) ?? []);
    inside.foreign.push(...owners.filter((owner) => owner !== me));
  }
  if (Date.now() > deadline) return { blocks: [{ type: "text" as const, text: "Done." }] };
  const write = { name: "write_file", input: { path: pick(), content: `${me} inside ${call.step}` } };
  return {
    blocks: [
      { type: "tool_use" as const, ...write },
      { type: "tool_use" as const, name: "read_file", input: { path: pick() } },
    ],
  };
}

beforeAll(async () => {
  const simulator = createSimulator({ journalLimit: 10, script: work });
  model = await serve((request) => simulator.handle(request));
  madrox = new MadroxServer({
    config: "test/entry/wrangler.toml",
    env: {
      ANTHROPIC_API_KEY: "a-key-for-tests",
      ANTHROPIC_BASE_URL: model.url,
      MAX_STEPS: "100000",
      MAX_TOKENS_PER_INSTANCE: "1000000000",
      MAX_TOTAL_COST: "1000000",
    },
  });
  await madrox.start();
});

afterAll(async () => {
  await madrox.stop();
  await model.close();
});

const fileUrl = (id: string, path: string) => `${madrox.url}/instances/${id}/files/${path}`;

/** Every file of an instance belongs to it: as a zip, which reads all of them. */
async function assertOwn(id: string): Promise<number> {
  const response = await fetch(`${madrox.url}/instances/${id}/workspace.zip`);
  const zipped = unzipSync(new Uint8Array(await response.arrayBuffer()));
  const found = Object.entries(zipped).filter(([path]) => !path.endsWith("/"));
  for (const [path, bytes] of found) {
    expect(PATHS).toContain(path);
    expect(new TextDecoder().decode(bytes).split(" ")[0]).toBe(id);
  }
  return found.length;
}

it("two instances that write the same paths see only their own files", async () => {
  const ids = await Promise.all(
    ["Ada", "Bo"].map(async (name) => String((await madrox.tool("spawn_claude", { name })).instance_id)),
  );
  const outside = { writes: 0, reads: 0, missing: 0 };
  deadline = Date.now() + SECONDS * 1000;
  await Promise.all(
    ids.map((id) =>
      madrox.tool("send_to_instance", { instance_id: id, message: `You are ${id}.`, wait_for_response: false }),
    ),
  );
  const loop = async (id: string) => {
    for (let n = 0; Date.now() < deadline; n++) {
      const put = await fetch(fileUrl(id, pick()), { method: "PUT", body: `${id} outside ${n}` });
      expect(put.ok).toBe(true);
      outside.writes += 1;
      const got = await fetch(fileUrl(id, pick()));
      const text = await got.text();
      if (got.status === 404) outside.missing += 1;
      else expect(text.split(" ")[0]).toBe(id);
      outside.reads += 1;
      if (n % 50 === 49) await assertOwn(id);
    }
  };
  await Promise.all(ids.flatMap((id) => Array.from({ length: LOOPS }, () => loop(id))));
  await madrox.tool("wait", { ids, timeout_seconds: 50 });
  expect(inside.foreign).toEqual([]);
  expect(inside.calls).toBeGreaterThan(0);
  for (const id of ids) {
    const before = await assertOwn(id);
    await madrox.tool("terminate_instance", { instance_id: id });
    expect(await assertOwn(id)).toBe(before);
  }
  console.info(`${SECONDS} s: ${JSON.stringify({ ...outside, inside: inside.calls, foreign: inside.foreign.length })}`);
});
