/**
 * A conversation that no longer fits the model's context, and how room is made for it.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { ranTools } from "../../entry/tools.ts";
import { output, spawn } from "../../support/door.ts";
import {
  api,
  broken,
  installFaults,
  lastCallAbout,
  newCase,
  ordered,
  POSITIONS,
  partly,
  sendAndSettle,
  setLimiter,
  toolCall,
} from "../../support/faults.ts";
import { installModel, type Script } from "../../support/model.ts";

const model = installModel();

installFaults();

describe("a conversation that no longer fits", () => {
  beforeAll(() => setLimiter(null));

  const full = {
    "the model says so": (): Script => ({
      blocks: [{ type: "thinking", thinking: "Too much." }],
      stopReason: "model_context_window_exceeded",
    }),
    "the API refuses it": broken(400, "invalid_request_error", { message: "prompt is too long: 9 tokens > 8 maximum" }),
    "the request is too large": broken(413, "request_too_large"),
  };
  const table = Object.entries(full).flatMap(([how, fault]) =>
    POSITIONS.map(([where, at]) => [how, where, fault, at] as const),
  );

  /** An instance with a past. Its model does not bind thinking to what came before, as the simulator signs no summary. */
  async function withPast(name: string): Promise<string> {
    const id = await spawn({ name, model: "claude-opus-4-8" });
    await sendAndSettle(id, `Long before ${id}.`);
    return id;
  }

  it.each(table)(
    "is summarized once and the turn goes on: %s in the %s call",
    async (_how, _where, fault, position) => {
      const [marker, found] = newCase(position, fault, 1);
      const id = await withPast(marker);
      const view = await sendAndSettle(id, `Please: ${marker}`);
      expect(view.error?.message).toBeUndefined();
      expect(view).toMatchObject({ state: "completed", response: { response: "The whole answer." } });
      expect(found.calls).toBe(3 + 1);
      const sent = lastCallAbout(marker);
      expect(sent).toContain("They talked.");
      expect(sent).not.toContain(`Long before ${id}.`);
      // Nothing is lost to a reader.
      const rows = await output(id);
      expect(rows.map((shown) => shown.type)).toContain("notice");
      expect(rows[0]?.content).toBe(`Long before ${id}.`);
      const plain = await sendAndSettle(id, `Go on, without ${id}.`);
      expect(plain.response?.response).toBe("A plain answer.");
    },
  );

  it.each(Object.entries(full))("ends the turn when the message alone is too long: %s", async (_how, fault) => {
    const [marker] = newCase(0, fault, 2);
    const id = await withPast(marker);
    const view = await sendAndSettle(id, `Please: ${marker}`);
    expect(view).toMatchObject({ state: "failed", error: { code: "too_large" } });
    expect(view.error?.message).toMatch(/Send it in parts.*left out of the conversation/);
    const plain = await sendAndSettle(id, `Go on, without ${id}.`);
    expect(plain.response?.response).toBe("A plain answer.");
  });

  it("keeps what a model said before it ran out of room, marked as cut", async () => {
    const [marker] = newCase(0, () => ({ ...partly, stopReason: "model_context_window_exceeded" }), 1);
    const id = await spawn({ name: marker });
    const view = await sendAndSettle(id, `Please: ${marker}`);
    expect(view).toMatchObject({ state: "completed", response: { truncated: true } });
    expect(view.response?.response).toContain("A beginning");
  });

  it("makes room within one step of five large results, whose turn goes on", async () => {
    const five = (): Script => ({
      blocks: Array.from({ length: 5 }, () => ({ type: "tool_use", name: "large", input: { value: "39000" } })),
    });
    const [marker, found] = newCase(0, five, 1);
    found.done = 2;
    found.position = 2;
    const id = await spawn({ name: marker, model: "claude-haiku-4-5", max_total_tokens: 1e9 });
    const view = await sendAndSettle(id, `Please: ${marker}`);
    expect(view.error?.message).toBeUndefined();
    expect(view).toMatchObject({ state: "completed", response: { response: "The whole answer." } });
    // The API finds the five too long by itself.
    ordered.badRequests += 1;
    expect(lastCallAbout(marker)).toContain("more characters were left out to make room");
    expect((await sendAndSettle(id, `Go on, without ${id}.`)).response?.response).toBe("A plain answer.");
  });

  it("shortens what it is made of until a summary fits, and goes on without one when none can be had", async () => {
    const id = await withPast("Summed");
    const [marker] = newCase(0, full["the API refuses it"], 1);
    api.summarizes = false;
    const view = await sendAndSettle(id, `Please: ${marker}`).finally(() => {
      api.summarizes = true;
    });
    expect(view).toMatchObject({ state: "completed", response: { response: "The whole answer." } });
    expect(lastCallAbout(marker)).toContain("was too long to be summarized");
    expect(lastCallAbout(marker)).not.toContain(`Long before ${id}.`);
  });

  it("is summarized from compact_at_tokens on, long before it is full", async () => {
    const id = await spawn({ model: "claude-opus-4-8", compact_at_tokens: 10_000 });
    const long = "lorem ipsum dolor sit amet ".repeat(2_000);
    await sendAndSettle(id, `First: ${long}`);
    expect(lastCallAbout("First:")).not.toContain("They talked.");
    await sendAndSettle(id, `Second, to ${id}.`);
    const sent = lastCallAbout(`Second, to ${id}.`);
    expect(sent).toContain("They talked.");
    expect(sent).not.toContain("lorem ipsum");
    // What is left is small: it is not summarized again.
    await sendAndSettle(id, `Third, to ${id}.`);
    const summaries = model.simulator.journal.filter(
      ({ body }) => body?.compaction && JSON.stringify(body.messages).includes(id),
    );
    expect(summaries.length).toBe(1);
  });

  it("runs no tool call of an answer that ended for want of room", async () => {
    const [marker] = newCase(0, () => ({ blocks: [toolCall], stopReason: "model_context_window_exceeded" }), 2);
    const id = await withPast(marker);
    expect(await sendAndSettle(id, `Please: ${marker}`)).toMatchObject({ state: "completed" });
    expect(ranTools.filter((run) => run.tool === "charge" && run.key.startsWith(id))).toEqual([]);
  });
});
