/**
 * Nothing that an instance meets in a turn can end it: whatever the turn ran into, the next message is answered. The model
 * behind is the strict simulator, which refuses what the API refuses; a poisoned text is one that it refuses wherever it stands.
 */
import { env } from "cloudflare:workers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { instanceOf } from "../../../src/contracts/stubs.ts";
import { output, send, spawn, status, until } from "../../support/door.ts";
import { installModel, type Script, type ScriptCall, scriptModel } from "../../support/model.ts";

const model = installModel();

const POISON = "the text that nobody may send";
type Block = NonNullable<Script["blocks"]>[number];

const said = (text: string): Block => ({ type: "text", text });
const call = (name: string, value: string, id?: string): Block => ({
  type: "tool_use",
  name,
  input: { value },
  ...(id === undefined ? {} : { id }),
});
const search: Block = {
  type: "raw",
  block: { type: "server_tool_use", id: "srvtoolu_open", name: "web_search", input: { query: "bees" } },
};

const refusals: Record<string, Script> = {
  "a 400": { fault: { kind: "status", status: 400, type: "invalid_request_error", message: "not this content" } },
  "a refusal": { stopReason: "refusal", stopDetails: { category: "cyber", explanation: "Not that." }, blocks: [] },
};

/** What the model answers to a turn's calls, the first to the last; then, and to everything else, "Fine." */
const turns = new Map<string, ((call: ScriptCall) => Script)[]>();
let poisoned: Script = {};
let serial = 0;

beforeAll(() => {
  scriptModel((asked) => {
    const messages = JSON.stringify(asked.body.messages);
    if (messages.includes(POISON)) return poisoned;
    const marker = /\[turn \d+\]/.exec(asked.lastUserText)?.[0];
    const next = marker === undefined ? undefined : turns.get(marker)?.shift();
    return next?.(asked) ?? { blocks: [said("Fine.")] };
  });
});
afterAll(() => scriptModel(() => undefined));

async function turnOf(answers: (Script | ((call: ScriptCall) => Script))[], text = ""): Promise<[string, string]> {
  const id = await spawn({ tools: ["lookup", "charge", "web_search"] });
  const marker = `[turn ${serial++}]`;
  turns.set(
    marker,
    answers.map((answer) => (typeof answer === "function" ? answer : () => answer)),
  );
  return [id, `${marker} ${text}`];
}

/** The next two messages are answered, and the API refused nothing for its form. */
async function expectAlive(id: string): Promise<void> {
  for (const text of ["hi", "and again"]) {
    const answer = await send(id, text);
    expect(answer, JSON.stringify(answer)).toMatchObject({ success: true, status: "completed" });
  }
  expect(await status(id)).toMatchObject({ state: "idle" });
  const users = (await output(id)).filter((row) => row.type === "user");
  expect(new Set(users.map((row) => row.message_id)).size).toBe(users.length);
}

describe.each(Object.entries(refusals))("after %s", (_kind, refusal) => {
  const positions: [where: string, answers: Script[], text: string][] = [
    ["of the message itself", [], POISON],
    ["of a tool's result", [{ blocks: [call("lookup", POISON)] }], ""],
    [
      "of a later tool's result",
      [{ blocks: [call("lookup", "sound")] }, { blocks: [call("charge", "1"), call("lookup", POISON)] }],
      "",
    ],
    ["of what the model said before a call", [{ blocks: [said(POISON), call("lookup", "sound")] }], ""],
  ];
  it.each(positions)("%s, the next message is answered", async (_where, answers, text) => {
    poisoned = refusal;
    const [id, message] = await turnOf(answers, text);
    const failed = await send(id, message);
    expect(failed.success).toBe(false);
    expect(failed.message).toMatch(/left out of the conversation/);
    await expectAlive(id);
  });

  it("of the model's own answer of the turn before, the next message but one is answered", async () => {
    poisoned = refusal;
    const id = await spawn();
    const marker = `[turn ${serial++}]`;
    turns.set(marker, [() => ({ blocks: [{ type: "thinking", thinking: POISON }, said("A sound answer.")] })]);
    expect((await send(id, marker)).success).toBe(true);
    const failed = await send(id, "hi");
    if (_kind === "a 400") {
      expect(failed.message).toMatch(/kept as plain text/);
      await expectAlive(id);
    }
  });

  it.each([0, 1])(
    "for a passive message that joined (with %i steps before it), its turn goes on without it",
    async (steps) => {
      poisoned = refusal;
      const looked = { blocks: [call("lookup", "sound")] };
      const [id, message] = await turnOf([...Array.from({ length: steps }, () => looked), { blocks: [said("Done.")] }]);
      const stub = instanceOf(env, "default", id);
      const note = await stub.send({
        message: `A child reports: ${POISON}`,
        sender: "user",
        priority: 0,
        when_busy: "queue",
        response_schema: null,
        passive: true,
      });
      if (!note.ok) throw new Error(note.error.message);
      expect(await send(id, message)).toMatchObject({ success: true, status: "completed" });
      // It goes back once, to the next turn, and is given up where it makes that one fail too.
      expect(await send(id, "hi")).toMatchObject({ success: true });
      await until(async () => {
        const view = await stub.message(1, 0);
        return view.ok && ["failed", "refused"].includes(view.value.state);
      });
      await expectAlive(id);
    },
  );
});

describe("an answer that the API does not take back", () => {
  const thinking: Block = { type: "thinking", thinking: "Hm." };
  const odd: [what: string, answers: (Script | ((call: ScriptCall) => Script))[]][] = [
    ["is all thinking, cut off by max_tokens", [{ stopReason: "max_tokens", blocks: [thinking] }]],
    ["is thinking alone", [{ blocks: [thinking] }]],
    ["is thinking and blank text", [{ blocks: [thinking, said(" \n")] }]],
    ["is empty", [{ autoThinking: false, blocks: [] }]],
    ["has a search that was never closed", [{ blocks: [said("Searching."), search], stopReason: "end_turn" }]],
    ["has a search cut off by max_tokens", [{ blocks: [said("Searching."), search], stopReason: "max_tokens" }]],
    [
      "pauses a search for ever",
      Array.from({ length: 12 }, () => ({ blocks: [said("Searching."), search], stopReason: "pause_turn" as const })),
    ],
    [
      "pauses a search and is then refused",
      [{ blocks: [search], stopReason: "pause_turn" }, refusals["a refusal"] as Script],
    ],
    [
      "pauses a search and then gets a 400",
      [{ blocks: [search], stopReason: "pause_turn" }, refusals["a 400"] as Script],
    ],
    ["pauses without anything to go on from", [{ blocks: [said("One moment.")], stopReason: "pause_turn" }]],
    ["pauses with thinking alone", [{ blocks: [thinking], stopReason: "pause_turn" }]],
    ["mixes a search with a call", [{ blocks: [search, call("lookup", "sound")] }]],
    ["calls twice under one id", [{ blocks: [call("lookup", "a", "toolu_same"), call("lookup", "b", "toolu_same")] }]],
    [
      "calls under an id of an earlier step",
      [{ blocks: [call("lookup", "a", "toolu_old")] }, { blocks: [call("lookup", "b", "toolu_old")] }],
    ],
    ["calls a tool that is not there", [{ blocks: [{ type: "tool_use", name: "no_such_tool", input: {} }] }]],
    [
      "calls with an input that is no JSON",
      [{ blocks: [call("lookup", "x")], fault: { kind: "malformed_tool_json" } }],
    ],
    ["fills the context", [{ stopReason: "model_context_window_exceeded", blocks: [said("So far.")] }]],
  ];
  it.each(odd)("%s: the next message is answered", async (_what, answers) => {
    const [id, message] = await turnOf(answers);
    await send(id, message);
    await expectAlive(id);
  });
});

it("the API refuses none of these conversations for its form", () => {
  const refused = model.simulator.journal.filter(
    ({ status: code, body }) => code === 400 && !JSON.stringify(body).includes(POISON),
  );
  // The one that the script itself asks for.
  expect(refused.length).toBe(1);
});
