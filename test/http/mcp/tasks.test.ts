/**
 * The tasks extension of MCP (io.modelcontextprotocol/tasks, revision 2026-07-28), request by request as a client writes
 * them: each one is a connection of its own, so whatever is found again was durable.
 */

import { abortAllDurableObjects, evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { newInstanceId, newJobId, ulid } from "../../../src/platform/ids.ts";
import { output, request, send, spawn, tool, until } from "../../support/door.ts";
import { answerOf, mcpRequest, modernRequest } from "../../support/mcp.ts";
import { endless, installModel, type Script, saying, scriptModel } from "../../support/model.ts";
import { stopwatch } from "../../support/stopwatch.ts";

const model = installModel();
beforeEach(() => scriptModel(() => undefined));
afterEach(() => scriptModel(() => undefined));

const TASKS = "io.modelcontextprotocol/tasks";
const INVALID_PARAMS = -32602;
const METHOD_NOT_FOUND = -32601;
const MISSING_CAPABILITY = -32021;
const DAY_MS = 24 * 60 * 60 * 1000;

interface CallResult {
  resultType?: string;
  structuredContent?: Record<string, unknown>;
  content?: { type: string; text: string }[];
  isError?: boolean;
}

interface Task extends CallResult {
  taskId?: string;
  status?: string;
  createdAt?: string;
  lastUpdatedAt?: string;
  statusMessage?: string;
  pollIntervalMs?: number;
  ttlMs?: number;
  result?: CallResult;
}

interface Reply {
  result?: Task;
  error?: { code: number; message: string; data?: unknown };
}

/** One request of a client that follows tasks (or does not, with other extensions). */
async function rpc(
  method: string,
  params: Record<string, unknown>,
  extensions: Record<string, unknown> | null = { [TASKS]: {} },
): Promise<Reply> {
  return (await answerOf(await request("/mcp", modernRequest(method, params, extensions)))) as Reply;
}

const call = (name: string, input: Record<string, unknown>, extensions?: Record<string, unknown> | null) =>
  rpc("tools/call", { name, arguments: input }, extensions);
const get = async (taskId: unknown) => (await rpc("tasks/get", { taskId })).result;

/** Polls a task until it is over. */
const ended = (taskId: unknown) =>
  until(async () => {
    const task = await get(taskId);
    return task?.status !== "working" && task;
  });

const slowly = (text: string): Script => ({ ...saying(text), chunkChars: 1, chunkDelayMs: 30 });

/** A task without what differs from look to look. */
const same = ({ lastUpdatedAt: _when, ...task }: Task = {}) => task;

describe("a call that would wait long", () => {
  it("is announced: the server has the extension", async () => {
    const { result } = await rpc("server/discover", {});
    expect(result).toMatchObject({ capabilities: { extensions: { [TASKS]: {} } } });
  });

  it("send_to_instance is answered with a task at once, and the task's result is what the call would have said", async () => {
    const id = await spawn();
    scriptModel(() => slowly("Bees fly at night."));
    const began = Date.now();
    const elapsed = stopwatch();
    const { result } = await call("send_to_instance", { instance_id: id, message: "Do bees fly?", timeout_seconds: 1 });
    expect(elapsed()).toBeLessThan(500);
    expect(result).toMatchObject({
      resultType: "task",
      taskId: expect.stringMatching(/^msg_/),
      status: "working",
      ttlMs: DAY_MS,
      pollIntervalMs: expect.any(Number),
    });
    expect(result).not.toHaveProperty("structuredContent");
    for (const time of [result?.createdAt, result?.lastUpdatedAt]) {
      expect(new Date(String(time)).toISOString()).toBe(time);
      expect(Math.abs(Date.parse(String(time)) - began)).toBeLessThan(5_000);
    }

    const working = await get(result?.taskId);
    expect(working).toMatchObject({ resultType: "complete", taskId: result?.taskId, status: "working" });
    expect(working).toMatchObject({
      createdAt: result?.createdAt,
      statusMessage: expect.stringMatching(/^(queued|working)$/),
    });
    expect(working).not.toHaveProperty("result");

    const task = await ended(result?.taskId);
    expect(task).toMatchObject({ resultType: "complete", status: "completed", createdAt: result?.createdAt });
    const answer = task.result?.structuredContent;
    expect(answer).toMatchObject({
      success: true,
      status: "completed",
      instance_id: id,
      message_id: result?.taskId,
      response: { response: "Bees fly at night." },
    });
    expect(task.result).not.toHaveProperty("isError");
    expect(JSON.parse(task.result?.content?.[0]?.text ?? "")).toEqual(answer);
    const plain = await tool("wait", { ids: [result?.taskId] });
    expect(plain.done).toMatchObject([{ response: answer?.response }]);
    // A finished task can be asked for again, and stays what it was.
    expect(same(await get(result?.taskId))).toEqual(same(task));
  });

  it("gives with its idempotency key the same task, also when that is over", async () => {
    const id = await spawn();
    const input = { instance_id: id, message: "Only once.", idempotency_key: crypto.randomUUID() };
    const first = await call("send_to_instance", input);
    expect(first.result).toMatchObject({ resultType: "task" });
    const task = await ended(first.result?.taskId);
    const again = await call("send_to_instance", input);
    expect(again.result).toMatchObject({ resultType: "complete", structuredContent: task.result?.structuredContent });
    expect(await output(id)).toHaveLength(2);
  });

  it("coordinate_instances is answered with a task whose id is the job's, and whose result is that of get_job_status", async () => {
    scriptModel((asked) => saying(asked.lastUserText.includes("You coordinate") ? "The whole." : "A part."));
    const job = {
      coordinator_id: await spawn(),
      participant_ids: [await spawn()],
      task_description: "Build a bridge.",
    };
    const { result } = await call("coordinate_instances", job);
    expect(result).toMatchObject({ resultType: "task", taskId: expect.stringMatching(/^job_/), status: "working" });
    const task = await ended(result?.taskId);
    expect(task).toMatchObject({ status: "completed", createdAt: result?.createdAt });
    expect(task.result?.structuredContent).toMatchObject({
      success: true,
      job_id: result?.taskId,
      status: "completed",
      result: { summary: "The whole.", outputs: [{ text: "A part." }] },
    });

    scriptModel(() => endless);
    const other = (await call("coordinate_instances", job)).result?.taskId;
    await rpc("tasks/cancel", { taskId: other });
    expect(await get(other)).toMatchObject({ status: "cancelled" });
    expect(await tool("get_job_status", { job_id: other })).toMatchObject({ status: "cancelled" });
    expect((await get(newJobId())) ?? null).toBeNull();
  });

  it("wait is answered with a task, whose result is that of wait", async () => {
    const ids = await Promise.all([spawn(), spawn()]);
    scriptModel(() => slowly("Done at last."));
    const sent = await Promise.all(ids.map((id) => send(id, "Begin.", { wait_for_response: false })));
    const messages = sent.map((answer) => answer.message_id);
    const { result } = await call("wait", { ids: messages });
    expect(result).toMatchObject({ resultType: "task", status: "working", taskId: expect.stringMatching(/^wait_/) });
    expect(await get(result?.taskId)).toMatchObject({ status: "working", statusMessage: "0 of 2 done" });
    const task = await ended(result?.taskId);
    expect(task).toMatchObject({ status: "completed", statusMessage: "2 of 2 done" });
    const { success, message, done, pending } = await tool("wait", { ids: messages });
    expect(task.result?.structuredContent).toEqual({ success, message, done, pending });
  });

  it.each([
    ["any", 1],
    [2, 2],
  ])("wait for %s is over when enough is done", async (howMany, count) => {
    const ids = await Promise.all([spawn(), spawn(), spawn()]);
    const [slow, ...quick] = ["Never ends.", "Quick.", "Quick, too."];
    scriptModel((asked) => (asked.lastUserText === slow ? endless : slowly(asked.lastUserText)));
    const sent = await Promise.all(
      [slow, ...quick].map((text, i) => send(ids[i] ?? "", text ?? "", { wait_for_response: false })),
    );
    const messages = sent.map((answer) => answer.message_id);
    const { result } = await call("wait", { ids: messages, until: howMany });
    expect(result).toMatchObject({ resultType: "task" });
    const { structuredContent } = (await ended(result?.taskId)).result ?? {};
    const done = structuredContent?.done as { id: string }[];
    expect(done.length).toBeGreaterThanOrEqual(count);
    expect(done.map((one) => one.id)).not.toContain(messages[0]);
    expect(structuredContent?.pending).toContainEqual(expect.objectContaining({ id: messages[0] }));
    await tool("interrupt_instance", { instance_id: ids[0] });
  });

  it.each<[string, string, (id: string, message: unknown) => Record<string, unknown>]>([
    [
      "send without waiting",
      "send_to_instance",
      (instance_id) => ({ instance_id, message: "Go.", wait_for_response: false }),
    ],
    ["wait for what is done", "wait", (_id, message) => ({ ids: [message] })],
    ["wait for no time", "wait", (id, message) => ({ ids: [id, message], timeout_seconds: 0 })],
    ["a tool that never waits", "get_instance_status", (instance_id) => ({ instance_id })],
  ])("is not one of these: %s", async (_what, name, input) => {
    const id = await spawn();
    const { message_id } = await send(id, "Hello.");
    const { result } = await call(name, input(id, message_id));
    expect(result).toMatchObject({ resultType: "complete", structuredContent: { success: true } });
  });

  it.each<[string, string, Record<string, unknown>, string]>([
    ["an unknown instance", "send_to_instance", { instance_id: newInstanceId(), message: "Anyone?" }, "not_found"],
    ["an unknown id", "wait", { ids: [newInstanceId()] }, "not_found"],
    ["no id", "wait", { ids: ["bees"] }, "invalid_input"],
    ["more than there are", "wait", { ids: [newInstanceId()], until: 2 }, "invalid_input"],
  ])("is refused as an error, not as a task: %s", async (_what, name, input, code) => {
    const { result } = await call(name, input);
    expect(result).toMatchObject({ isError: true, structuredContent: { success: false, error: code } });
    expect(result?.resultType ?? "complete").toBe("complete");
  });

  it("that fails is a completed task with an error in it", async () => {
    const id = await spawn();
    scriptModel(() => ({
      delayMs: 100,
      fault: { kind: "status", status: 401, type: "authentication_error", message: "invalid x-api-key" },
    }));
    const { result } = await call("send_to_instance", { instance_id: id, message: "Try." });
    const waiting = await call("wait", { ids: [result?.taskId] });
    const task = await ended(result?.taskId);
    expect(task).toMatchObject({
      status: "completed",
      result: {
        isError: true,
        structuredContent: {
          success: false,
          error: "upstream_error",
          status: "failed",
          instance_id: id,
          message_id: result?.taskId,
        },
      },
    });
    expect(task).not.toHaveProperty("error");
    // To have waited is no failure, whatever came of it.
    const waited = (await ended(waiting.result?.taskId)).result ?? {};
    expect(waited).not.toHaveProperty("isError");
    expect(waited.structuredContent).toMatchObject({
      success: true,
      done: [{ status: "failed", error: "upstream_error" }],
    });
  });

  it("survives the end of every object that knows of it", async () => {
    const id = await spawn();
    const { message_id } = await send(id, "One.");
    scriptModel((asked) => (asked.lastUserText === "Two." ? endless : undefined));
    const sent = await call("send_to_instance", { instance_id: id, message: "Two." });
    const waiting = await call("wait", { ids: [message_id, sent.result?.taskId] });
    await until(async () => model.callsAbout("Two.").length > 0);
    await abortAllDurableObjects();
    scriptModel(() => undefined);
    expect(await get(sent.result?.taskId)).toMatchObject({ status: "working", createdAt: sent.result?.createdAt });
    expect(await get(waiting.result?.taskId)).toMatchObject({
      status: "working",
      statusMessage: "1 of 2 done",
      createdAt: waiting.result?.createdAt,
    });
    // The alarm that starts the turn again, without the wait for it.
    await runDurableObjectAlarm(env.INSTANCE.getByName(`default/${id}`));
    const [one, two] = await Promise.all([ended(sent.result?.taskId), ended(waiting.result?.taskId)]);
    for (const task of [one, two]) expect(task).toMatchObject({ status: "completed" });
    await evictDurableObject(env.INSTANCE.getByName(`default/${id}`));
    await evictDurableObject(env.ORCHESTRATOR.getByName("default"));
    expect(same(await get(sent.result?.taskId))).toEqual(same(one));
    expect(same(await get(waiting.result?.taskId))).toEqual(same(two));
  });
});

describe("tasks/cancel", () => {
  /** A running turn and a message behind it, both as tasks. */
  async function twoTasks() {
    const id = await spawn();
    const text = `On and on, ${id}.`;
    scriptModel((asked) => (asked.lastUserText === text ? endless : undefined));
    const running = await call("send_to_instance", { instance_id: id, message: text });
    await until(async () => model.callsAbout(text).length > 0);
    const queued = await call("send_to_instance", { instance_id: id, message: "Next." });
    return { id, running: running.result?.taskId, queued: queued.result?.taskId };
  }

  it("stops a running turn in less than a second, and the queue goes on", async () => {
    const { running, queued } = await twoTasks();
    expect(await get(queued)).toMatchObject({ status: "working", statusMessage: "queued" });
    const elapsed = stopwatch();
    expect((await rpc("tasks/cancel", { taskId: running })).error).toBeUndefined();
    const task = await get(running);
    expect(elapsed()).toBeLessThan(1_000);
    expect(task).toMatchObject({ status: "cancelled", statusMessage: expect.stringContaining("cancelled") });
    expect(task).not.toHaveProperty("result");
    expect(await ended(queued)).toMatchObject({ status: "completed" });
  });

  it("takes a queued message out, and leaves the running turn alone", async () => {
    const { id, running, queued } = await twoTasks();
    expect((await rpc("tasks/cancel", { taskId: queued })).error).toBeUndefined();
    expect(await get(queued)).toMatchObject({ status: "cancelled" });
    expect(await get(running)).toMatchObject({ status: "working" });
    await rpc("tasks/cancel", { taskId: running });
    expect(await send(id, "Are you free?")).toMatchObject({ status: "completed" });
    expect((await output(id)).filter((row) => row.content === "Next.")).toEqual([]);
  });

  it("of a wait lets go of nothing but the wait", async () => {
    const { running } = await twoTasks();
    const { result } = await call("wait", { ids: [running] });
    expect((await rpc("tasks/cancel", { taskId: result?.taskId })).error).toBeUndefined();
    expect(await get(result?.taskId)).toMatchObject({ status: "cancelled" });
    expect(await get(running)).toMatchObject({ status: "working" });
    await rpc("tasks/cancel", { taskId: running });
    expect(await get(result?.taskId)).toMatchObject({ status: "cancelled" });
  });

  it("is acknowledged again when it is repeated, and for what is over, which stays as it is", async () => {
    const { running, queued } = await twoTasks();
    for (let i = 0; i < 2; i++) expect((await rpc("tasks/cancel", { taskId: running })).error).toBeUndefined();
    const task = await ended(queued);
    expect((await rpc("tasks/cancel", { taskId: queued })).error).toBeUndefined();
    expect(same(await get(queued))).toEqual(same(task));
  });

  it("stops the turn of a message that joined another", async () => {
    const id = await spawn();
    scriptModel((asked) =>
      asked.lastUserText === `Look, ${id}.` && asked.toolResults.length === 0
        ? { blocks: [{ type: "tool_use", name: "slow", input: { value: "200" } }] }
        : endless,
    );
    await call("send_to_instance", { instance_id: id, message: `Look, ${id}.` });
    const steering = await call("send_to_instance", { instance_id: id, message: `Here, ${id}.`, when_busy: "steer" });
    await until(async () => model.callsAbout(`Here, ${id}.`).length > 0);
    expect((await rpc("tasks/cancel", { taskId: steering.result?.taskId })).error).toBeUndefined();
    const task = await get(steering.result?.taskId);
    await tool("interrupt_instance", { instance_id: id });
    expect(task).toMatchObject({ status: "cancelled" });
  });
});

describe.each(["tasks/get", "tasks/update", "tasks/cancel"])("%s", (method) => {
  it.each([
    ["no id", "bees"],
    ["an empty one", ""],
    ["a message of no instance", `msg_${ulid()}_1`],
    ["a wait that there was not", `wait_${ulid()}`],
    ["an instance", newInstanceId()],
  ])("knows no task of an unknown id: %s", async (_what, taskId) => {
    const { error, result } = await rpc(method, { taskId });
    expect(result).toBeUndefined();
    expect(error).toMatchObject({ code: INVALID_PARAMS, message: expect.any(String) });
  });

  it("knows no message that its instance does not have", async () => {
    const { message_id } = await send(await spawn(), "Hello.");
    const { error } = await rpc(method, { taskId: String(message_id).replace(/_\d+$/, "_99") });
    expect(error).toMatchObject({ code: INVALID_PARAMS });
  });

  it.each([
    ["no id at all", {}],
    ["a number", { taskId: 7 }],
  ])("is refused with %s", async (_what, params) => {
    expect((await rpc(method, params)).error).toMatchObject({ code: INVALID_PARAMS });
  });

  it.each([
    ["nothing", null],
    ["another extension", { "io.modelcontextprotocol/ui": {} }],
  ])("is refused for a client that declares %s, and does nothing", async (_what, extensions) => {
    const { message_id } = await send(await spawn(), "Hello.");
    const { error } = await rpc(method, { taskId: message_id }, extensions);
    expect(error).toMatchObject({
      code: MISSING_CAPABILITY,
      data: { requiredCapabilities: { extensions: { [TASKS]: {} } } },
    });
    expect(await get(message_id)).toMatchObject({ status: "completed" });
  });

  it("is answered for a known task", async () => {
    const { message_id } = await send(await spawn(), "Hello.");
    const { error, result } = await rpc(method, { taskId: message_id });
    expect(error).toBeUndefined();
    expect(result).toMatchObject({ resultType: "complete" });
  });

  it("is no method for a client of 2025", async () => {
    const old = mcpRequest(method, { taskId: "bees" }, { "mcp-protocol-version": "2025-11-25" });
    const response = await request("/mcp", old);
    expect(await response.text()).toContain(String(METHOD_NOT_FOUND));
  });
});

describe("a client that does not follow tasks", () => {
  it.each([
    ["no extension", null],
    ["another one", { "io.modelcontextprotocol/ui": {} }],
  ])("is never given one (%s)", async (_what, extensions) => {
    const id = await spawn();
    scriptModel(() => slowly("Here I am."));
    const sent = await call("send_to_instance", { instance_id: id, message: "Hello?" }, extensions);
    expect(sent.result).toMatchObject({
      resultType: "complete",
      structuredContent: { status: "completed", response: { response: "Here I am." } },
    });
    const next = await call("send_to_instance", { instance_id: id, message: "And?", timeout_seconds: 0 }, extensions);
    const message = next.result?.structuredContent?.message_id;
    const waited = await call("wait", { ids: [message] }, extensions);
    expect(waited.result).toMatchObject({ resultType: "complete", structuredContent: { pending: [] } });
  });
});
