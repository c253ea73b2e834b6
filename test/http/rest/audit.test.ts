import { env } from "cloudflare:test";
import { beforeAll, describe, expect, test } from "vitest";
import { auditOf } from "../../../src/contracts/audited-call.ts";
import type { ChainLink } from "../../../src/contracts/orchestrator.ts";
import { instanceOf, orchestratorOf } from "../../../src/contracts/stubs.ts";
import { GENESIS } from "../../../src/orchestrator/store/hash-chain.ts";
import { unwrap } from "../../../src/platform/errors.ts";
import { request, send, spawn, status, tool, until } from "../../support/door.ts";
import { exported, parsed, problemsOf } from "../../support/log-export.ts";
import { installModel, scriptModel } from "../../support/model.ts";

beforeAll(() => {
  installModel();
});

async function head(): Promise<ChainLink> {
  return (await (await request("/audit/head")).json()) as ChainLink;
}

/** What is on record of an instance, once it is this much: what its own object changed is there with its next report. */
async function callsOn(instanceId: string, atLeast: number): Promise<Record<string, unknown>[]> {
  return until(async () => {
    const calls = parsed(await exported())
      .filter((line) => line.kind === "audit.called" && line.instance_id === instanceId)
      .map((line) => line.data);
    return calls.length >= atLeast && calls;
  });
}

describe("the audit record of calls", () => {
  test("says who called what on which instance with what outcome, and never what was said", async () => {
    const id = await spawn({ name: "Audited" });
    await send(id, "the content marker");
    await tool("set_limits", { instance_id: id, max_cost: 2 });
    await tool("terminate_instance", { instance_id: id });
    await send(id, "too late");
    const calls = await callsOn(id, 5);
    expect(calls.map(({ tool, outcome, actor }) => [tool, outcome, actor])).toEqual([
      ["spawn_claude", "ok", "local"],
      ["send_to_instance", "ok", "local"],
      ["set_limits", "ok", "local"],
      ["terminate_instance", "ok", "local"],
      ["send_to_instance", "conflict", "local"],
    ]);
    expect((await exported()).join("\n")).not.toContain("content marker");
  });

  test("leaves out what only reads, and what was no call at all", async () => {
    const id = await spawn();
    await tool("get_instance_status", { instance_id: id });
    await tool("send_to_instance", { instance_id: id });
    expect((await callsOn(id, 1)).map((call) => call.tool)).toEqual(["spawn_claude"]);
  });

  test("has the routes that change something without a tool", async () => {
    const id = await spawn();
    const path = `/instances/${id}/files/notes.txt`;
    await request(path, { method: "PUT", body: "text" });
    await request(path, { method: "DELETE" });
    await request(path, { method: "DELETE" });
    await request(`/instances/${id}`, { method: "DELETE" });
    expect((await callsOn(id, 5)).map(({ tool, outcome }) => [tool, outcome])).toEqual([
      ["spawn_claude", "ok"],
      ["write_instance_file", "ok"],
      ["delete_instance_file", "ok"],
      ["delete_instance_file", "not_found"],
      ["delete_instance", "conflict"],
    ]);
  });

  test("has one record for a call that is repeated with its key", async () => {
    const id = await spawn();
    const calls: [string, Record<string, unknown>][] = [
      ["send_to_instance", { message: "once" }],
      ["set_limits", { max_cost: 2 }],
      ["write_instance_file", { path: "a.txt", content: "a" }],
      ["terminate_instance", {}],
    ];
    for (const [name, input] of calls) {
      const once = { ...input, instance_id: id, idempotency_key: `${name} of ${id}` };
      expect(await tool(name, once)).toEqual(await tool(name, once));
    }
    expect((await callsOn(id, 5)).map((call) => call.tool).toSorted()).toEqual(
      ["spawn_claude", ...calls.map(([name]) => name)].toSorted(),
    );
  });

  test("has a broadcast where its messages are, and one that nobody took where it was sent", async () => {
    const parent = await spawn();
    const children = [await spawn({ parent_instance_id: parent }), await spawn({ parent_instance_id: parent })];
    const { results } = await tool("broadcast_to_children", { parent_id: parent, message: "hello" });
    for (const [i, child] of children.entries()) {
      const [, call] = await callsOn(child, 2);
      const messageId = (results as Record<string, unknown>[])[i]?.message_id;
      expect(call).toMatchObject({ tool: "broadcast_to_children", outcome: "ok", subject: messageId });
      await tool("terminate_instance", { instance_id: child });
    }
    await tool("broadcast_to_children", { parent_id: parent, message: "hello" });
    expect((await callsOn(parent, 2)).at(-1)).toMatchObject({ tool: "broadcast_to_children", outcome: "conflict" });
  });

  test("has what is changed in an instance's object within a moment, whether or not it is at work", async () => {
    const held = Promise.withResolvers<undefined>();
    scriptModel(() => held.promise);
    const id = await spawn();
    await tool("interrupt_instance", { instance_id: id });
    await send(id, "work", { wait_for_response: false });
    await until(async () => (await status(id)).state === "busy");
    await send(id, "and more", { wait_for_response: false });
    await tool("write_instance_file", { instance_id: id, path: "a.txt", content: "a" });
    const calls = await callsOn(id, 5);
    held.resolve(undefined);
    expect(calls.map((call) => call.tool)).toEqual([
      "spawn_claude",
      "interrupt_instance",
      "send_to_instance",
      "send_to_instance",
      "write_instance_file",
    ]);
  });

  test("is not in the stream of what an instance does", async () => {
    const id = await spawn();
    await send(id, "hello");
    const { events } = unwrap(await instanceOf(env, "default", id).follow("0", 0));
    expect(events.map(({ data }) => data.kind)).toContain("message.completed");
    expect(events.map(({ data }) => data.kind)).not.toContain("audit.called");
  });

  test("names the key, the client and the instance behind a call", async () => {
    const stub = orchestratorOf(env, "actors");
    const principal = { tenant: "actors", scopes: [], instance: null, keyId: "k1", client: "c1" };
    const question = "q_01K0000000000000000000000A_3";
    await stub.record(auditOf(principal, "answer_question"), question, "conflict");
    const instance = "inst_01K0000000000000000000000B";
    await stub.record(auditOf({ ...principal, instance }, "spawn_claude"), null, "limit_reached");
    const { events } = await stub.events({ after: 0, instance_id: null, limit: 10, waitMs: 0 });
    expect(events.map(({ instance_id, data }) => ({ instance_id, ...data }))).toEqual([
      {
        instance_id: "inst_01K0000000000000000000000A",
        tool: "answer_question",
        outcome: "conflict",
        actor: "key:k1",
        client: "c1",
        subject: question,
      },
      { instance_id: "", tool: "spawn_claude", outcome: "limit_reached", actor: `instance:${instance}`, client: "c1" },
    ]);
  });
});

describe("the export of the event log", () => {
  test("is the whole event log in order, and holds against its head", async () => {
    const id = await spawn();
    await send(id, "one");
    const end = await head();
    const lines = (await exported()).slice(0, end.seq);
    expect(problemsOf(lines, end)).toEqual([]);
    const rows = parsed(lines);
    expect(rows.map((line) => line.seq)).toEqual(rows.map((_line, i) => i + 1));
    expect(rows[0]?.prev).toBe(GENESIS);
    expect(rows.filter((line) => line.instance_id === id).map((line) => line.kind)).toEqual(
      expect.arrayContaining(["instance.spawned", "message.queued", "message.completed", "audit.called"]),
    );
  });

  test("goes on after any line", async () => {
    const all = await exported();
    const rest = await exported(3);
    expect(rest.slice(0, all.length - 3)).toEqual(all.slice(3));
    expect(problemsOf([...all.slice(0, 3), ...rest])).toEqual([]);
  });

  test.each(["-1", "x", "1.5"])("refuses to begin after %s", async (after) => {
    const response = await request(`/audit?after=${after}`);
    expect(response.status).toBe(400);
  });
});
