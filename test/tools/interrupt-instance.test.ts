/**
 * interrupt_instance: the running turn stops at once, whatever it is doing, and the next goes on.
 */

import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { Orchestrator } from "../../src/orchestrator/orchestrator.ts";
import { ranTools } from "../entry/tools.ts";
import { about, done, newestAbout, STOPPED, startTurn, streamed, using } from "../support/busy-instance.ts";
import { output, send, spawn, status, tool, until } from "../support/door.ts";
import { endless, installModel, type Script, type ScriptCall, saying, scriptModel } from "../support/model.ts";
import { stopwatch } from "../support/stopwatch.ts";

const model = installModel();

beforeEach(() => scriptModel(() => undefined));

afterEach(() => scriptModel(() => undefined));

afterAll(() => {
  // The simulator is as strict as the API: an invalid conversation would have been refused.
  const refused = model.simulator.journal.filter((entry) => entry.status >= 400 && entry.status < 500);
  expect(refused.map((entry) => entry.body)).toEqual([]);
});

const STOPPED_AT_WORK =
  "The turn was stopped while this call ran. It may have taken effect: check before you repeat it.";

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
