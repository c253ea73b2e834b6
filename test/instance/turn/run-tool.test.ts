/**
 * One call of a tool: what it is given, how it ends, and the bounds of what it says.
 */
import { describe, expect, it, vi } from "vitest";
import type { InstanceTool, InstanceToolContext } from "../../../src/contracts/instance-tool.ts";
import { runTool } from "../../../src/instance/turn/run-tool.ts";
import { toolContext } from "../../support/context.ts";
import { installModel } from "../../support/model.ts";

installModel();

describe("one call of a tool", () => {
  const made = (fields: Partial<InstanceTool>): InstanceTool => ({
    name: "made",
    description: "For this test.",
    input_schema: { type: "object" },
    repeatable: true,
    preset: "read_only",
    powers: [],
    run: async () => ({ content: "fine" }),
    ...fields,
  });
  const context = (signal: AbortSignal = new AbortController().signal) => toolContext({ signal });
  const resultOf = async (...call: Parameters<typeof runTool>) => {
    const result = await runTool(...call);
    if ("waitpoint" in result || "stopped" in result) return expect.fail("It gave no result.");
    return result;
  };

  it.each<[string, InstanceTool | undefined, { content: string; isError: boolean }]>([
    ["a result", made({}), { content: "fine", isError: false }],
    [
      "an error of the tool's own making",
      made({ run: async () => ({ content: "no such row", isError: true }) }),
      { content: "no such row", isError: true },
    ],
    ["a tool that does not exist", undefined, { content: "There is no tool named made.", isError: true }],
    [
      "an exception",
      made({
        run: async () => {
          throw new Error("the disk is on fire");
        },
      }),
      { content: "the disk is on fire", isError: true },
    ],
    [
      "an exception before the first await",
      made({
        run: () => {
          throw new RangeError("at once");
        },
      }),
      { content: "at once", isError: true },
    ],
    [
      "something thrown that is no error",
      made({ run: () => Promise.reject("just text") }),
      { content: "just text", isError: true },
    ],
    [
      "a lone surrogate",
      made({ run: async () => ({ content: `half \ud83d` }) }),
      { content: "half \ufffd", isError: false },
    ],
    [
      "a tool that never ends",
      made({ timeoutMs: 30, run: () => new Promise(() => undefined) }),
      { content: "The tool took longer than 0.03 s and was stopped.", isError: true },
    ],
  ])("gives %s to the model", async (_name, given, result) => {
    expect(await runTool(given, "made", {}, context())).toEqual(result);
  });

  it("gives the tool its input and its key", async () => {
    const run = vi.fn(async () => ({ content: "" }));
    await runTool(made({ run }), "made", { value: 1 }, context());
    expect(run).toHaveBeenCalledWith({ value: 1 }, expect.objectContaining({ key: "inst_1:t1", tenant: "default" }));
  });

  it("answers something that is no text with an error, not with an exception", async () => {
    const run = async () => ({}) as never;
    expect(await runTool(made({ run }), "made", {}, context())).toMatchObject({ isError: true });
  });

  it.each(["before it began", "while it runs"])("stops a tool that was cancelled %s", async (when) => {
    const controller = new AbortController();
    if (when === "before it began") controller.abort();
    const running = runTool(made({ run: () => new Promise(() => undefined) }), "made", {}, context(controller.signal));
    controller.abort();
    expect(await running).toEqual({ stopped: true });
  });

  it("tells a tool that its time is over", async () => {
    let signal: AbortSignal | undefined;
    const run = (_input: unknown, given: InstanceToolContext) => {
      signal = given.signal;
      return new Promise<never>(() => undefined);
    };
    await runTool(made({ run, timeoutMs: 10 }), "made", {}, context());
    expect(signal?.aborted).toBe(true);
  });

  it.each([
    ["a result that just fits", 200_000, 200_000, null],
    ["one that is too long", 200_007, 200_000, "[7 more characters were cut off"],
  ])("bounds %s", async (_name, length, kept, note) => {
    const { content, isError } = await resultOf(
      made({ run: async () => ({ content: "z".repeat(length) }) }),
      "made",
      {},
      context(),
    );
    expect(isError).toBe(false);
    expect(content.lastIndexOf("z") + 1).toBe(kept);
    if (note) expect(content).toContain(note);
    else expect(content).toHaveLength(length);
  });

  it("does not leave half a character at the cut", async () => {
    const run = async () => ({ content: `${"z".repeat(199_999)}😀😀` });
    const { content } = await resultOf(made({ run }), "made", {}, context());
    expect(content.isWellFormed()).toBe(true);
  });

  it("bounds the message of an exception too", async () => {
    const run = () => Promise.reject(new Error("e".repeat(300_000)));
    const { content, isError } = await resultOf(made({ run }), "made", {}, context());
    expect(isError).toBe(true);
    expect(content.length).toBeLessThan(200_200);
  });
});
