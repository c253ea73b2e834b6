/** Whatever the stored rows hold, the API takes what is sent of them; and what was sound is sent as it is. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { conversationOf } from "../../src/anthropic/conversation.ts";
import { checkMessages } from "../../src/anthropic/simulator/turns.ts";
import type { Block, TranscriptEntry } from "../../src/contracts/transcript.ts";

const id = fc.constantFrom("toolu_1", "toolu_2", "toolu_3", "odd id!");
const text = fc.constantFrom("Hello.", "Look:", "", "  ", "\n");

const assistantBlock: fc.Arbitrary<Block> = fc.oneof(
  text.map((said) => ({ type: "text", text: said })),
  fc.constant({ type: "thinking", thinking: "Hm.", signature: "sig" }),
  fc.constant({ type: "redacted_thinking", data: "xyz" }),
  id.map((use) => ({ type: "tool_use", id: use, name: "lookup", input: {} })),
  id.map((use) => ({ type: "server_tool_use", id: use, name: "web_search", input: { query: "bees" } })),
  id.map((use) => ({ type: "web_search_tool_result", tool_use_id: use, content: [] })),
);
const userBlock: fc.Arbitrary<Block> = fc.oneof(
  text.map((said) => ({ type: "text", text: said })),
  fc.tuple(id, text).map(([use, content]) => ({ type: "tool_result", tool_use_id: use, content })),
);
const row: fc.Arbitrary<Pick<TranscriptEntry, "role" | "blocks">> = fc.oneof(
  fc.array(assistantBlock, { maxLength: 5 }).map((blocks) => ({ role: "assistant" as const, blocks })),
  fc.array(userBlock, { maxLength: 4 }).map((blocks) => ({ role: "user" as const, blocks })),
);

const entriesOf = (rows: readonly Pick<TranscriptEntry, "role" | "blocks">[]): TranscriptEntry[] =>
  rows.map((entry, i) => ({ seq: i + 1, n: i, simulated: false, ...entry }));

describe("the messages of a request", () => {
  it("are taken by the API whatever the rows before the newest message hold", () => {
    fc.assert(
      fc.property(fc.array(row, { maxLength: 8 }), (rows) => {
        const newest = { role: "user" as const, blocks: [{ type: "text", text: "hi" }] };
        const messages = conversationOf(
          entriesOf([{ role: "user", blocks: [{ type: "text", text: "Go." }] }, ...rows, newest]),
        );
        checkMessages(messages, []);
        expect(messages.at(-1)?.content.at(-1)).toEqual(newest.blocks[0]);
      }),
      { numRuns: 2_000 },
    );
  });

  it("begin with the same messages once more rows have come, so that a replayed prefix stays unchanged", () => {
    fc.assert(
      fc.property(fc.array(row, { maxLength: 6 }), fc.array(row, { maxLength: 4 }), (rows, more) => {
        const first = { role: "user" as const, blocks: [{ type: "text", text: "Go." }] };
        // Sent: everything up to a message of the user's, which nothing is added to but another one of the user's.
        const sent = conversationOf(entriesOf([first, ...rows, first]));
        const later = conversationOf(entriesOf([first, ...rows, first, ...more]));
        expect(later.slice(0, sent.length - 1)).toEqual(sent.slice(0, -1));
        const end = sent.at(-1)?.content ?? [];
        expect(later[sent.length - 1]?.content.slice(0, end.length)).toEqual(end);
      }),
      { numRuns: 2_000 },
    );
  });

  const sound: Record<string, Pick<TranscriptEntry, "role" | "blocks">[]> = {
    "a plain exchange": [
      { role: "user", blocks: [{ type: "text", text: "Hello?" }] },
      {
        role: "assistant",
        blocks: [
          { type: "thinking", thinking: "", signature: "s" },
          { type: "text", text: "Hi." },
        ],
      },
      { role: "user", blocks: [{ type: "text", text: "More." }] },
    ],
    "tool calls with their results": [
      { role: "user", blocks: [{ type: "text", text: "Look it up." }] },
      {
        role: "assistant",
        blocks: [
          { type: "thinking", thinking: "", signature: "s" },
          { type: "tool_use", id: "toolu_1", name: "lookup", input: { value: 1 } },
          { type: "tool_use", id: "toolu_2", name: "lookup", input: { value: 2 } },
        ],
      },
      {
        role: "user",
        blocks: [
          { type: "tool_result", tool_use_id: "toolu_1", content: "one" },
          { type: "tool_result", tool_use_id: "toolu_2", content: "two", is_error: true },
        ],
      },
    ],
    "a paused search at the end": [
      { role: "user", blocks: [{ type: "text", text: "Search." }] },
      { role: "assistant", blocks: [{ type: "server_tool_use", id: "srv_1", name: "web_search", input: {} }] },
    ],
  };
  it.each(Object.entries(sound))("leave %s as it is stored", (_what, rows) => {
    expect(conversationOf(entriesOf(rows))).toEqual(rows.map(({ role, blocks }) => ({ role, content: blocks })));
  });

  it("drop a search that never got its result, and what the model thought after it, once something follows", () => {
    const rows = [
      { role: "user" as const, blocks: [{ type: "text", text: "Search." }] },
      {
        role: "assistant" as const,
        blocks: [
          { type: "text", text: "Searching." },
          { type: "server_tool_use", id: "srv_1", name: "web_search", input: {} },
          { type: "thinking", thinking: "", signature: "s" },
        ],
      },
      { role: "user" as const, blocks: [{ type: "text", text: "Never mind." }] },
    ];
    expect(conversationOf(entriesOf(rows))[1]?.content).toEqual([{ type: "text", text: "Searching." }]);
  });
});
