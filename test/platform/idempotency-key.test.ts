/**
 * The Idempotency-Key: what is repeated with it happens once.
 */
import { beforeEach, describe, expect, it } from "vitest";
import { newInstanceId } from "../../src/platform/ids.ts";
import { type Json, output, spawn, tool } from "../support/door.ts";
import { mcpTool } from "../support/mcp.ts";
import { installModel, scriptModel } from "../support/model.ts";
import { idsOn, page } from "../support/pages.ts";
import { type Input, postTool } from "../support/refusals.ts";

installModel();

beforeEach(() => scriptModel(() => undefined));

describe("an Idempotency-Key", () => {
  const run = async (name: string, input: Input, key: string) => {
    const response = await postTool(JSON.stringify({ tool: name, arguments: input }), { "idempotency-key": key });
    return { http: response.status, answer: (await response.json()) as Json };
  };

  it("makes a repeated spawn one spawn", async () => {
    const key = crypto.randomUUID();
    const parent = await spawn();
    const input = { name: "Ada", parent_instance_id: parent, initial_prompt: "Begin." };
    const first = await run("spawn_claude", input, key);
    expect(first).toMatchObject({ http: 200, answer: { success: true } });
    expect(await run("spawn_claude", input, key)).toEqual(first);
    // The order of the fields is not part of the request.
    expect(await run("spawn_claude", Object.fromEntries(Object.entries(input).reverse()), key)).toEqual(first);
    expect(idsOn(await page({ parent_id: parent }))).toEqual([first.answer.instance_id]);
  });

  it("makes spawns at the same time one spawn", async () => {
    const key = crypto.randomUUID();
    const parent = await spawn();
    const input = { name: "Ada", parent_instance_id: parent };
    const answers = await Promise.all(Array.from({ length: 8 }, () => run("spawn_claude", input, key)));
    expect(new Set(answers.map(({ answer }) => answer.instance_id)).size).toBe(1);
    expect(idsOn(await page({ parent_id: parent }))).toHaveLength(1);
  });

  it("makes a repeated message one message", async () => {
    const key = crypto.randomUUID();
    const id = await spawn();
    const input = { instance_id: id, message: "Once." };
    const first = await run("send_to_instance", input, key);
    expect(first).toMatchObject({ http: 200, answer: { success: true, status: "completed" } });
    expect(await run("send_to_instance", input, key)).toEqual(first);
    const [one, two] = await Promise.all([1, 2].map(() => run("send_to_instance", input, key)));
    expect([one, two]).toEqual([first, first]);
    expect((await output(id)).map((row) => row.type)).toEqual(["user", "response"]);
  });

  it("still has the answer to a message when the instance has ended", async () => {
    const key = crypto.randomUUID();
    const id = await spawn();
    const input = { instance_id: id, message: "Last words?" };
    const first = await run("send_to_instance", input, key);
    await tool("terminate_instance", { instance_id: id });
    expect(await run("send_to_instance", input, key)).toEqual(first);
  });

  it("gives a repeated termination the first one's answer", async () => {
    const key = crypto.randomUUID();
    const id = await spawn();
    const child = await spawn({ parent_instance_id: id });
    const first = await run("terminate_instance", { instance_id: id }, key);
    expect(first).toMatchObject({ http: 200, answer: { success: true, terminated: [child, id] } });
    expect(await run("terminate_instance", { instance_id: id }, key)).toEqual(first);
    const later = await tool("terminate_instance", { instance_id: id });
    expect(later).toMatchObject({ success: true, terminated: [] });
  });

  it.each([
    ["spawn_claude", () => ({ name: "Ada" }), { name: "Bo" }],
    ["send_to_instance", (id: string) => ({ instance_id: id, message: "One." }), { message: "Two." }],
    ["terminate_instance", (id: string) => ({ instance_id: id }), { force: true }],
  ])("of another %s is a conflict without effect", async (name, inputOf, other) => {
    const key = crypto.randomUUID();
    const id = await spawn();
    const input = inputOf(id);
    const first = await run(name, input, key);
    expect(first.http).toBe(200);
    const rows = await output(id);
    const second = await run(name, { ...input, ...other }, key);
    expect(second).toMatchObject({ http: 409, answer: { success: false, error: "conflict" } });
    expect(await output(id)).toEqual(rows);
    expect(await run(name, input, key)).toEqual(first);
  });

  it("in the arguments goes before the header", async () => {
    const [inside, outside] = [crypto.randomUUID(), crypto.randomUUID()];
    const first = await run("spawn_claude", { name: "Ada", idempotency_key: inside }, outside);
    const second = await run("spawn_claude", { name: "Ada", idempotency_key: inside }, crypto.randomUUID());
    expect(second.answer.instance_id).toBe(first.answer.instance_id);
    // The header's was not used up.
    expect((await run("spawn_claude", { name: "Bo" }, outside)).http).toBe(200);
  });

  it("is not used up by a call that failed", async () => {
    const key = crypto.randomUUID();
    const parent = newInstanceId();
    expect((await run("spawn_claude", { name: "Ada", parent_instance_id: parent }, key)).http).toBe(404);
    expect((await run("spawn_claude", { name: "Ada" }, key)).http).toBe(200);
  });

  it.each(["", "k".repeat(201)])(
    "of %j is refused where it counts, and nothing to a tool that only reads",
    async (key) => {
      expect(await run("spawn_claude", { name: "Ada" }, key)).toMatchObject({
        http: 400,
        answer: { error: "invalid_input", message: expect.stringContaining("idempotency_key") },
      });
      expect((await run("get_instance_status", { limit: 1 }, key)).http).toBe(200);
    },
  );

  it("of a call over REST is known over MCP", async () => {
    const key = crypto.randomUUID();
    const input = { name: "Ada" };
    const first = await run("spawn_claude", input, key);
    const answer = await mcpTool("spawn_claude", { ...input, idempotency_key: key });
    expect(answer).toEqual(first.answer);
  });
});
