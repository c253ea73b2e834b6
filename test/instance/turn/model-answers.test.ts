/**
 * Answers that the API would not take back as they are.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { spawn } from "../../support/door.ts";
import { cases, installFaults, newCase, sendAndSettle, setLimiter } from "../../support/faults.ts";
import { installModel, type Script } from "../../support/model.ts";

installModel();

installFaults();

describe("an answer that the API would not take back", () => {
  beforeAll(() => setLimiter(null));

  it.each<[string, Script]>([
    ["no content at all", { blocks: [], autoThinking: false }],
    ["nothing but thinking", { blocks: [{ type: "thinking", thinking: "Hm." }] }],
    ["empty text", { blocks: [{ type: "text", text: "" }] }],
    ["blank text", { blocks: [{ type: "text", text: "\n\n" }] }],
  ])("does no harm to the conversation: %s", async (_name, given) => {
    const [marker] = newCase(0, () => given, 1);
    const id = await spawn({ name: marker });
    expect(await sendAndSettle(id, `Please: ${marker}`)).toMatchObject({ state: "completed" });
    cases.delete(marker);
    const plain = await sendAndSettle(id, `Go on, without ${id}.`);
    expect(plain.error?.message).toBeUndefined();
    expect(plain).toMatchObject({ state: "completed" });
  });

  it("does no harm in the middle of a turn: blank text before a tool call", async () => {
    const call = { type: "tool_use", name: "lookup", input: { value: "x" } } as const;
    const [marker] = newCase(1, () => ({ blocks: [{ type: "text", text: "\n\n" }, call] }), 1);
    const id = await spawn({ name: marker });
    const view = await sendAndSettle(id, `Please: ${marker}`);
    expect(view.error?.message).toBeUndefined();
    expect(view).toMatchObject({ state: "completed" });
  });
});
