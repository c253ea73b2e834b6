/**
 * What happens to a message for an instance that is at work, in each mode, down to the exact conversation that the model
 * gets; and how a running turn is stopped.
 */

import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { Orchestrator } from "../../../src/orchestrator/orchestrator.ts";
import { ranTools } from "../../entry/tools.ts";
import { output, request, send, spawn, status, tool, until } from "../../support/door.ts";
import { installModel, type Script, type ScriptCall, saying, scriptModel } from "../../support/model.ts";
import { stopwatch } from "../../support/stopwatch.ts";

const model = installModel();
beforeEach(() => scriptModel(() => undefined));
afterEach(() => scriptModel(() => undefined));
afterAll(() => {
  // The simulator is as strict as the API: an invalid conversation would have been refused.
  const refused = model.simulator.journal.filter((entry) => entry.status >= 400 && entry.status < 500);
  expect(refused.map((entry) => entry.body)).toEqual([]);
});

const using = (name: string, value: string): Script => ({ blocks: [{ type: "tool_use", name, input: { value } }] });
/** Goes on for long after a test is over, unless it is stopped. */
const endless: Script = { ...saying("word ".repeat(1_000)), chunkChars: 5, chunkDelayMs: 50 };

const STOPPED = "[This was stopped before it was answered. Do not go on with it unless you are asked to.]";
const STOPPED_AT_WORK =
  "The turn was stopped while this call ran. It may have taken effect: check before you repeat it.";

interface Block {
  type: string;
  text?: string;
  content?: string;
}

/** A conversation in short: one line a message, what it says in order. */
function inShort(messages: unknown): string[] {
  return (messages as { role: string; content: Block[] }[]).map(({ role, content }) => {
    const parts = content.flatMap((block) => {
      if (block.type === "text") return [String(block.text)];
      if (block.type === "tool_result") return [`<${block.content}>`];
      return block.type === "tool_use" ? ["<call>"] : [];
    });
    return `${role}: ${parts.join(" | ")}`;
  });
}

/** The conversation of the newest model call about a text. */
function newestAbout(text: string): string[] {
  return inShort(model.callsAbout(text).at(-1)?.messages ?? []);
}

/** Starts a turn and resolves once the model was asked. */
async function startTurn(id: string, message: string): Promise<string> {
  const { message_id } = await send(id, message, { wait_for_response: false });
  await until(async () => model.callsAbout(message).length > 0);
  return String(message_id);
}

const done = async (...ids: unknown[]) => {
  const answer = await tool("wait", { ids, timeout_seconds: 20 });
  expect(answer.pending).toEqual([]);
  return answer.done as { status: string; error?: string; response?: Record<string, unknown> }[];
};

/** A turn that calls one tool for `ms` and then answers; everything else is answered with "Re: " and its text. */
const working =
  (marker: string, ms = 300) =>
  (call: ScriptCall) =>
    call.lastUserText === marker && call.toolResults.length === 0
      ? using("slow", String(ms))
      : saying(`Re: ${call.lastUserText.split("\n").at(-1)}`);

/** Resolves once the instance's live stream has shown `text`. */
async function streamed(id: string, text: string): Promise<void> {
  const { body } = await request(`/instances/${id}/events`);
  const reader = body?.pipeThrough(new TextDecoderStream()).getReader();
  for (let seen = ""; !seen.includes(text); ) {
    const { value, done: ended } = (await reader?.read()) ?? { done: true };
    if (ended) throw new Error(`The stream ended without ${text}.`);
    seen += value;
  }
  await reader?.cancel();
}

let unique = 0;
/** A text that no other test has. */
const about = (text: string) => `${text} (${++unique})`;

describe("a message for a busy instance", () => {
  it("is queued: it gets a turn of its own after the running one", async () => {
    const id = await spawn();
    const [first, second] = [about("Count the bees."), about("Count the ants.")];
    scriptModel(working(first));
    const running = await startTurn(id, first);
    const queued = await send(id, second, { wait_for_response: false });
    expect(queued).toMatchObject({ success: true, status: "queued" });
    await done(running, queued.message_id);
    expect(newestAbout(second)).toEqual([
      `user: ${first}`,
      "assistant: <call>",
      "user: <done at last>",
      `assistant: Re: ${first}`,
      `user: ${second}`,
    ]);
  });

  it("has its place in the queue by priority, then by age", async () => {
    const id = await spawn();
    const first = about("Begin.");
    scriptModel(working(first));
    const running = await startTurn(id, first);
    const ids: unknown[] = [running];
    for (const [text, priority] of [
      ["normal", 0],
      ["urgent", 5],
      ["some day", -3],
      ["also urgent", 5],
      ["also normal", undefined],
      ["at once", 1000],
    ] as const) {
      const answer = await send(id, text, {
        wait_for_response: false,
        ...(priority === undefined ? {} : { priority }),
      });
      expect(answer.status).toBe("queued");
      ids.push(answer.message_id);
    }
    await done(...ids);
    const users = (await output(id)).filter((row) => row.type === "user").map((row) => row.content);
    expect(users).toEqual([first, "at once", "urgent", "also urgent", "normal", "also normal", "some day"]);
  });

  it("steers: it joins the running turn behind the tool results, and both get the same answer", async () => {
    const id = await spawn();
    const [first, second, third] = [about("Look for bees."), about("Only red ones."), about("And small ones.")];
    scriptModel(working(first, 400));
    const running = await startTurn(id, first);
    const waits = await send(id, about("Afterwards, this."), { wait_for_response: false });
    const steering: unknown[] = [];
    for (const text of [second, third]) {
      const answer = await send(id, text, { wait_for_response: false, when_busy: "steer", priority: -10 });
      expect(answer).toMatchObject({ success: true, status: "queued" });
      steering.push(answer.message_id);
    }
    const [one, two, three] = await done(running, ...steering);
    expect(inShort(model.callsAbout(second)[0]?.messages)).toEqual([
      `user: ${first}`,
      "assistant: <call>",
      `user: <done at last> | ${second} | ${third}`,
    ]);
    expect(one).toMatchObject({ status: "completed", response: { response: `Re: ${third}`, message_id: running } });
    for (const [i, joined] of [two, three].entries()) {
      expect(joined).toMatchObject({ status: "completed", response: { response: `Re: ${third}` } });
      expect(joined?.response?.message_id).toBe(steering[i]);
    }
    // Every message has its own question and answer in the output; what the turn cost stands there once.
    const rows = await output(id);
    for (const message of [running, ...steering]) {
      const types = rows.filter((row) => row.message_id === message).map((row) => row.type);
      expect(types.filter((type) => type === "user" || type === "response")).toEqual(["user", "response"]);
    }
    await done(waits.message_id);
    const record = await status(id);
    expect(record).toMatchObject({ queue_depth: 0, state: "idle" });
    expect(record.total_tokens_used).toBe((await output(id)).reduce((sum, row) => sum + row.tokens_used, 0));
  });

  it("steers a turn that calls no more tools: it gets a turn of its own", async () => {
    const id = await spawn();
    const [first, second] = [about("Tell me of bees."), about("In French.")];
    scriptModel((call) =>
      call.lastUserText === first
        ? { ...saying("Bees fly."), chunkChars: 1, chunkDelayMs: 40 }
        : saying("Les abeilles volent."),
    );
    const running = await startTurn(id, first);
    const steering = await send(id, second, { when_busy: "steer" });
    const [one] = await done(running);
    expect(one).toMatchObject({ response: { response: "Bees fly." } });
    expect(steering).toMatchObject({ status: "completed", response: { response: "Les abeilles volent." } });
    expect(newestAbout(second)).toEqual([`user: ${first}`, "assistant: Bees fly.", `user: ${second}`]);
  });

  it("interrupts: the running turn is cancelled, and it is next, before all that was queued", async () => {
    const id = await spawn();
    const [first, second] = [about("Write a novel."), about("Stop that. Say hello.")];
    scriptModel((call) => (call.lastUserText === first ? endless : saying("Hello.")));
    const running = await startTurn(id, first);
    const queued = await send(id, "Whatever comes.", { wait_for_response: false, priority: 1000 });
    const elapsed = stopwatch();
    const interrupting = await send(id, second, { when_busy: "interrupt" });
    expect(elapsed()).toBeLessThan(1_000);
    expect(interrupting).toMatchObject({ status: "completed", response: { response: "Hello." } });
    const [one, two] = await done(running, queued.message_id);
    expect(one).toMatchObject({ status: "cancelled", error: "cancelled" });
    expect(two).toMatchObject({ status: "completed" });
    expect(inShort(model.callsAbout(second)[0]?.messages).at(-1)).toContain(`${STOPPED} | ${second}`);
    const users = (await output(id)).filter((row) => row.type === "user").map((row) => row.content);
    expect(users).toEqual([first, second, "Whatever comes."]);
  });

  it("is rejected: a conflict, nothing is taken, and the turn is not disturbed", async () => {
    const id = await spawn();
    const first = about("Keep at it.");
    scriptModel(working(first));
    const running = await startTurn(id, first);
    const answer = await send(id, "Not now?", { when_busy: "reject" });
    expect(answer).toMatchObject({ success: false, error: "conflict", details: { instance_id: id } });
    expect(answer).not.toHaveProperty("message_id");
    expect(await done(running)).toMatchObject([{ status: "completed" }]);
    expect((await output(id)).filter((row) => row.type === "user")).toHaveLength(1);
  });

  it.each(["queue", "steer", "interrupt", "reject"])("is no different for an idle instance (%s)", async (when_busy) => {
    const id = await spawn();
    const text = about("Are you free?");
    expect(await send(id, text, { when_busy })).toMatchObject({ status: "completed" });
    expect(await send(id, "Still?", { when_busy })).toMatchObject({ status: "completed" });
    expect(newestAbout(text).map((line) => line.split(":")[0])).toEqual(["user", "assistant", "user"]);
  });

  it("steers with a schema for its answer: the answer follows it", async () => {
    const id = await spawn();
    const first = about("Look around.");
    const response_schema = { type: "object", properties: { ok: { type: "boolean" } }, required: ["ok"] };
    scriptModel((call) => {
      if (call.lastUserText === first && call.toolResults.length === 0) return using("slow", "300");
      return JSON.stringify(call.body.output_config ?? {}).includes("format") ? saying('{"ok":true}') : saying("Fine.");
    });
    const running = await startTurn(id, first);
    const steering = await send(id, "As JSON.", { when_busy: "steer", response_schema });
    expect(await done(running)).toMatchObject([{ status: "completed" }]);
    expect(steering).toMatchObject({ status: "completed", response: { structured: { ok: true } } });
  });

  it("interrupts once: repeated with its key, it does not stop its own turn", async () => {
    const id = await spawn();
    const [first, second] = [about("Write a novel."), about("Write a line.")];
    scriptModel((call) => {
      if (call.lastUserText === first) return endless;
      return { ...saying("A line of bees."), chunkChars: 1, chunkDelayMs: 40 };
    });
    await startTurn(id, first);
    const input = { when_busy: "interrupt", idempotency_key: crypto.randomUUID() };
    const sent = await send(id, second, { ...input, wait_for_response: false });
    await until(async () => model.callsAbout(second).length > 0);
    const again = await send(id, second, { ...input, wait_for_response: false });
    expect(again.message_id).toBe(sent.message_id);
    expect(await done(sent.message_id)).toMatchObject([{ status: "completed" }]);
    expect(model.callsAbout(second)).toHaveLength(1);
  });

  it("interrupts once: repeated with its key, it does not break off its own tools", async () => {
    const id = await spawn();
    const text = about("Use the tool.");
    scriptModel(working(text, 400));
    const input = { when_busy: "interrupt", idempotency_key: crypto.randomUUID() };
    const sent = await send(id, text, { ...input, wait_for_response: false });
    await until(async () => ranTools.some((run) => run.tool === "slow" && run.key.startsWith(id)));
    await send(id, text, { ...input, wait_for_response: false });
    await done(sent.message_id);
    expect(newestAbout(text).at(-1)).toBe("user: <done at last>");
  });
});

describe("interrupt_instance", () => {
  /** Unlike 429 and 529 it does not close the gate, which the tests share. */
  const failing: Script = {
    fault: { kind: "status", status: 500, type: "api_error", message: "Oh no.", retryAfterSeconds: 30 },
  };
  const state = (id: string, expected: string) => until(async () => (await status(id)).state === expected);

  it.each<{
    when: string;
    script: (call: ScriptCall) => Script;
    ready: (id: string) => Promise<unknown>;
    seen: string;
  }>([
    {
      when: "mid-stream",
      script: () => endless,
      ready: (id) => streamed(id, "event: text"),
      // What was streamed of the answer stands before it.
      seen: `user: ${STOPPED} | SECOND`,
    },
    {
      when: "before the first byte",
      script: () => ({ delayMs: 900 }),
      ready: (id) => state(id, "busy"),
      seen: `user: FIRST | ${STOPPED} | SECOND`,
    },
    {
      when: "while a tool runs",
      script: (call) => (call.toolResults.length === 0 ? using("slow", "20000") : saying("Done.")),
      ready: (id) => until(async () => ranTools.some((run) => run.key.startsWith(id))),
      seen: `user: <${STOPPED_AT_WORK}> | ${STOPPED} | SECOND`,
    },
    {
      when: "while it waits for a retry",
      script: () => failing,
      ready: (id) => state(id, "waiting"),
      seen: `user: FIRST | ${STOPPED} | SECOND`,
    },
  ])("stops a turn in less than a second $when, keeps what it cost, and the next message works", async (row) => {
    const id = await spawn();
    const [first, second] = [about("First."), about("Second.")];
    scriptModel((call) => (call.lastUserText === first ? row.script(call) : saying("Here.")));
    const running = await startTurn(id, first);
    await row.ready(id);
    const elapsed = stopwatch();
    const answer = await tool("interrupt_instance", { instance_id: id, reason: "that is enough" });
    expect(elapsed()).toBeLessThan(1_000);
    expect(answer).toMatchObject({ success: true, instance_id: id, interrupted: [running] });
    const view = await tool("wait", { ids: [running], timeout_seconds: 0 });
    expect(view.done).toEqual([
      expect.objectContaining({ status: "cancelled", message: expect.stringContaining("that is enough") }),
    ]);
    await state(id, "idle");
    // What was streamed is not thrown away: it stays readable, marked as cut, and the model knows that it said it.
    const cut = (await output(id)).filter((shown) => "cut" in shown);
    expect(cut.map(({ type }) => type)).toEqual(row.when === "mid-stream" ? ["progress"] : []);
    const before = await status(id);
    expect(before).toMatchObject({ request_count: 1, queue_depth: 0, error_count: 0 });

    expect(await send(id, second)).toMatchObject({ status: "completed", response: { response: "Here." } });
    expect(newestAbout(second).at(-1)).toBe(row.seen.replace("FIRST", first).replace("SECOND", second));
    const after = await status(id);
    expect(after.request_count).toBe(2);
    expect(Number(after.total_tokens_used)).toBeGreaterThan(Number(before.total_tokens_used));
    expect(Number(after.total_cost)).toBeGreaterThan(Number(before.total_cost));
  });

  it("reaches a turn that is just about to sleep until its retry", async () => {
    const id = await spawn();
    const text = about("Fail at first.");
    scriptModel(() => failing);
    // The registry does not take the first report of the failure; the second is what the runner does last before it sleeps.
    const reports = { failed: 0, asked: false, passed: false };
    const { report } = Orchestrator.prototype;
    const spy = vi.spyOn(Orchestrator.prototype, "report").mockImplementation(async function (
      this: Orchestrator,
      ...args
    ) {
      if (args[1] && reports.failed++ === 0) throw new Error("the Orchestrator is down");
      if (reports.failed > 0 && !reports.passed) {
        reports.asked = true;
        await until(async () => reports.passed);
      }
      return report.apply(this, args);
    });
    onTestFinished(() => spy.mockRestore());
    const running = await startTurn(id, text);
    await until(async () => reports.asked);
    const interrupting = tool("interrupt_instance", { instance_id: id });
    await until(() =>
      runInDurableObject(
        env.INSTANCE.getByName(`default/${id}`),
        (_instance, { storage }) =>
          storage.sql.exec("SELECT 1 FROM turn WHERE cancel_reason IS NOT NULL").toArray().length > 0,
      ),
    );
    reports.passed = true;
    const elapsed = stopwatch();
    expect(await interrupting).toMatchObject({ interrupted: [running] });
    expect(elapsed()).toBeLessThan(1_000);
    expect(await tool("wait", { ids: [running], timeout_seconds: 0 })).toMatchObject({ pending: [] });
  });

  it("keeps on record what a broken off answer cost", async () => {
    const id = await spawn();
    const text = about("Write on and on.");
    scriptModel(() => endless);
    await startTurn(id, text);
    // One event of text in the stream: the answer has begun, its prompt is paid for.
    await streamed(id, "event: text");
    await tool("interrupt_instance", { instance_id: id });
    await state(id, "idle");
    const record = await status(id);
    expect(record.total_tokens_used).toBeGreaterThan(0);
    expect(record.total_cost).toBeGreaterThan(0);
  });

  it("stops the running turn only: what is queued goes on", async () => {
    const id = await spawn();
    const [first, second] = [about("On and on."), about("Next one.")];
    scriptModel((call) => (call.lastUserText === first ? endless : saying("Here.")));
    const running = await startTurn(id, first);
    const queued = await send(id, second, { wait_for_response: false });
    expect(await tool("interrupt_instance", { instance_id: id })).toMatchObject({ interrupted: [running] });
    expect(await done(running, queued.message_id)).toMatchObject([{ status: "cancelled" }, { status: "completed" }]);
  });

  it("stops a turn with those who joined it: all of them are cancelled and named", async () => {
    const id = await spawn();
    const [first, second] = [about("Look here."), about("And there.")];
    scriptModel((call) =>
      call.lastUserText === first && call.toolResults.length === 0 ? using("slow", "200") : endless,
    );
    const running = await startTurn(id, first);
    const steering = await send(id, second, { wait_for_response: false, when_busy: "steer" });
    await until(async () => model.callsAbout(second).length > 0);
    expect(await tool("interrupt_instance", { instance_id: id })).toMatchObject({
      interrupted: [running, steering.message_id],
    });
    expect(await done(running, steering.message_id)).toMatchObject([{ status: "cancelled" }, { status: "cancelled" }]);
  });

  it("has nothing to stop in an idle instance, and says so", async () => {
    const id = await spawn();
    expect(await tool("interrupt_instance", { instance_id: id })).toMatchObject({
      success: true,
      message: "Nothing was running.",
      interrupted: [],
    });
  });

  it("repeated with its key does not stop the next turn", async () => {
    const id = await spawn();
    const [first, second] = [about("On and on."), about("Then this.")];
    scriptModel((call) =>
      call.lastUserText === first ? endless : { ...saying("Here I am."), chunkChars: 1, chunkDelayMs: 40 },
    );
    const running = await startTurn(id, first);
    const input = { instance_id: id, idempotency_key: crypto.randomUUID() };
    const answer = await tool("interrupt_instance", input);
    expect(answer).toMatchObject({ interrupted: [running] });
    const next = await startTurn(id, second);
    expect(await tool("interrupt_instance", input)).toEqual(answer);
    expect(await tool("interrupt_instance", { ...input, reason: "another" })).toMatchObject({ error: "conflict" });
    expect(await done(next)).toMatchObject([{ status: "completed" }]);
    expect(model.callsAbout(second)).toHaveLength(1);
  });

  it("repeated with its key stops nothing that began after it found nothing", async () => {
    const id = await spawn();
    const input = { instance_id: id, idempotency_key: crypto.randomUUID() };
    expect(await tool("interrupt_instance", input)).toMatchObject({ interrupted: [] });
    const text = about("Now then.");
    scriptModel(() => ({ ...saying("Here I am."), chunkChars: 1, chunkDelayMs: 30 }));
    const running = await startTurn(id, text);
    expect(await tool("interrupt_instance", input)).toMatchObject({ interrupted: [] });
    expect(await done(running)).toMatchObject([{ status: "completed" }]);
  });

  it("knows no instance that does not exist", async () => {
    expect(await tool("interrupt_instance", { instance_id: "inst_01ARZ3NDEKTSV4RRFFQ69G5FAV" })).toMatchObject({
      error: "not_found",
    });
  });
});
