/**
 * What happens to a message for an instance that is at work, in each mode, down to the exact conversation that the model
 * gets; and how a running turn is stopped.
 */

import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { ranTools } from "../../entry/tools.ts";
import { about, done, inShort, newestAbout, STOPPED, startTurn, using, working } from "../../support/busy-instance.ts";
import { output, send, spawn, status, until } from "../../support/door.ts";
import { endless, installModel, saying, scriptModel } from "../../support/model.ts";
import { stopwatch } from "../../support/stopwatch.ts";

const model = installModel();

beforeEach(() => scriptModel(() => undefined));

afterEach(() => scriptModel(() => undefined));

afterAll(() => {
  // The simulator is as strict as the API: an invalid conversation would have been refused.
  const refused = model.simulator.journal.filter((entry) => entry.status >= 400 && entry.status < 500);
  expect(refused.map((entry) => entry.body)).toEqual([]);
});

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
