import { evictDurableObject } from "cloudflare:test";
import { beforeAll, describe, expect, it } from "vitest";
import { requestOf } from "../../src/anthropic/request.ts";
import type { InstanceSpec } from "../../src/contracts/instance-spec.ts";
import type { TranscriptEntry } from "../../src/contracts/transcript.ts";
import { output, request, send, spawn, status, tool } from "../support/door.ts";
import { installModel, scriptModel } from "../support/model.ts";
import { objectOf } from "../support/objects.ts";

const model = installModel();
beforeAll(() => scriptModel(() => undefined));

describe("a conversation", () => {
  it("goes on over many sends, each with the whole history", async () => {
    const id = await spawn({ name: "Ada", system_prompt: "You keep bees." });
    const first = await send(id, "My hive is called Poseidon.");
    expect(first).toMatchObject({ success: true, status: "completed", instance_id: id });
    expect(first.response).toMatchObject({ message_id: first.message_id, tokens_used: expect.any(Number) });
    await send(id, "What is it called?");
    const [, second = {}] = model.callsAbout("Poseidon");
    const messages = second.messages as { role: string }[];
    expect(messages.map((message) => message.role)).toEqual(["user", "assistant", "user"]);
    expect(JSON.stringify(second.system)).toContain("You keep bees.");
  });

  it("survives the eviction of its object", async () => {
    const id = await spawn();
    await send(id, "Remember the number 4711.");
    await evictDurableObject(objectOf(id));
    await send(id, "Which number?");
    const last = model.callsAbout("4711").at(-1);
    expect(last?.messages).toHaveLength(3);
    expect((await output(id)).map((row) => row.type)).toEqual(["user", "response", "user", "response"]);
  });

  it("is counted: tokens and cost of the status are those of its rows", async () => {
    const id = await spawn();
    await send(id, "one");
    await send(id, "two");
    const rows = await output(id);
    const record = await status(id);
    expect(record.total_tokens_used).toBe(rows.reduce((sum, row) => sum + row.tokens_used, 0));
    expect(record.total_cost).toBeCloseTo(
      rows.reduce((sum, row) => sum + row.cost, 0),
      9,
    );
    expect(record).toMatchObject({ state: "idle", request_count: 2, error_count: 0, queue_depth: 0 });
  });

  it("reads at least 90 % of its prompt from the cache from the second turn on", async () => {
    const id = await spawn({ role: "code_reviewer" });
    let before = { cache_read: 0, prompt: 0 };
    const shares: number[] = [];
    for (let turn = 1; turn <= 20; turn++) {
      await send(id, `Point ${turn}: is this line right?`);
      const tokens = (await status(id)).tokens as Record<"input" | "cache_read" | "cache_write", number>;
      const now = { cache_read: tokens.cache_read, prompt: tokens.input + tokens.cache_read + tokens.cache_write };
      if (turn > 1) shares.push((now.cache_read - before.cache_read) / (now.prompt - before.prompt));
      before = now;
    }
    expect(shares.reduce((sum, share) => sum + share, 0) / shares.length).toBeGreaterThanOrEqual(0.9);
  });

  it("starts by itself with an initial prompt", async () => {
    const spawned = await tool("spawn_claude", { name: "Bo", initial_prompt: "Begin with chapter one." });
    const id = String(spawned.instance_id);
    await send(id, "And then?");
    const rows = await output(id);
    expect(rows.map((row) => row.type)).toEqual(["user", "response", "user", "response"]);
    expect(rows[0]).toMatchObject({ content: "Begin with chapter one.", message_id: spawned.message_id });
  });
});

describe("a conversation that began on the simulator", () => {
  const spec = { model: "claude-sonnet-5-5", max_tokens: 100, system: "", tools: [] } as unknown as InstanceSpec;
  const said = (simulated: boolean, text: string): TranscriptEntry => ({
    seq: 0,
    n: 1,
    role: "assistant",
    simulated,
    blocks: [
      { type: "thinking", thinking: "", signature: "signed" },
      { type: "text", text },
    ],
  });
  const asked: TranscriptEntry = {
    seq: 0,
    n: 1,
    role: "user",
    simulated: false,
    blocks: [{ type: "text", text: "Well?" }],
  };

  it.each([
    ["Claude", false, 1],
    ["the simulator", true, 1],
  ])("shows %s what both said, and only what it thought itself", (_who, simulated, thoughts) => {
    const entries = [asked, said(true, "Simulated."), asked, said(false, "Real."), asked];
    const { messages } = requestOf(spec, entries, { responseSchema: null, simulated });
    const text = JSON.stringify(messages);
    expect(text).toContain("Simulated.");
    expect(text).toContain("Real.");
    expect(text.split('"thinking",').length - 1).toBe(thoughts);
  });
});

describe("a terminated instance", () => {
  it("keeps record and output, takes no messages, and frees its slot", async () => {
    const id = await spawn();
    await send(id, "hello");
    const before = (await (await request("/health")).json()) as { active_instances: number };
    const ended = await tool("terminate_instance", { instance_id: id });
    expect(ended).toMatchObject({ success: true, terminated: [id] });
    expect(await send(id, "still there?")).toMatchObject({ success: false, error: "conflict" });
    expect(await output(id)).toHaveLength(2);
    expect(await status(id)).toMatchObject({ state: "terminated", termination_reason: "terminated by request" });
    const after = (await (await request("/health")).json()) as { active_instances: number };
    expect(after.active_instances).toBe(before.active_instances - 1);
  });

  it("was never used: the same", async () => {
    const id = await spawn();
    await tool("terminate_instance", { instance_id: id });
    expect(await send(id, "hello?")).toMatchObject({ success: false, error: "conflict" });
    expect(await output(id)).toEqual([]);
  });

  it("takes its children along, children first", async () => {
    const parent = await spawn();
    const child = await spawn({ parent_instance_id: parent });
    const grandchild = await spawn({ parent_instance_id: child });
    const ended = await tool("terminate_instance", { instance_id: parent });
    expect(ended.terminated).toEqual([grandchild, child, parent]);
    expect(await tool("spawn_claude", { name: "late", parent_instance_id: parent })).toMatchObject({
      error: "conflict",
    });
  });
});
