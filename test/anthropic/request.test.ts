import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { requestOf } from "../../src/anthropic/request.ts";
import type { InstanceSpec } from "../../src/contracts/instance-spec.ts";
import type { Block, TranscriptEntry } from "../../src/contracts/transcript.ts";
import { wellFormed } from "../../src/platform/well-formed.ts";

/** Texts in which half a character is likely. */
const text = fc.string({
  unit: fc.constantFrom("a", "é", "😀", "\ud83d", "\ude00", "\\ud800", '"', "\n"),
  maxLength: 8,
});
const json = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom<unknown>(null, 0, true),
    text,
    fc.array(tie("any"), { maxLength: 3 }),
    fc.dictionary(text, tie("any"), { maxKeys: 3 }),
  ),
})).any;
const object = fc.dictionary(text, json, { maxKeys: 3 });
const block: fc.Arbitrary<Block> = fc.oneof(
  text.map((said) => ({ type: "text", text: `x${said}` })),
  fc.record({ id: text, name: text, input: object }).map((use) => ({ type: "tool_use", ...use })),
  fc.record({ tool_use_id: text, content: text }).map((result) => ({ type: "tool_result", ...result })),
);
const entries: fc.Arbitrary<TranscriptEntry[]> = fc
  .array(fc.tuple(fc.constantFrom<TranscriptEntry["role"]>("user", "assistant"), fc.array(block, { maxLength: 3 })), {
    maxLength: 5,
  })
  .map((rows) =>
    rows.map(([role, blocks], i) => {
      const own = blocks.filter(({ type }) => type !== (role === "user" ? "tool_use" : "tool_result"));
      return { seq: i + 1, n: 1, role, simulated: false, blocks: own };
    }),
  );

function isWellFormed(value: unknown): boolean {
  if (typeof value === "string") return value.isWellFormed();
  if (typeof value !== "object" || value === null) return true;
  return Object.entries(value).every(([name, part]) => name.isWellFormed() && isWellFormed(part));
}

describe("a request", () => {
  it("never holds half a character, whatever the rows, the spec and the schema hold", () => {
    fc.assert(
      fc.property(text, object, entries, fc.option(object), (system, schema, rows, responseSchema) => {
        const tools = [{ name: "look", description: system, input_schema: { type: "object", ...schema } }];
        const spec = { model: "claude-sonnet-5-5", max_tokens: 10, system, tools } as unknown as InstanceSpec;
        const body = requestOf(spec, rows, { responseSchema, simulated: false });
        expect(isWellFormed(body)).toBe(true);
        for (const message of body.messages) {
          for (const part of message.content as unknown as Block[]) {
            if (part.type === "tool_use") expect(part.name).toMatch(/^[a-zA-Z0-9_-]{1,128}$/);
          }
        }
        // The same rows give the same bytes.
        expect(JSON.stringify(requestOf(spec, rows, { responseSchema, simulated: false }))).toBe(JSON.stringify(body));
      }),
      { numRuns: 500 },
    );
  });
});

describe("wellFormed", () => {
  it("leaves what is sound as it is, and puts U+FFFD for half a character", () => {
    fc.assert(
      fc.property(json, (value) => {
        const made = wellFormed(value);
        expect(isWellFormed(made)).toBe(true);
        if (isWellFormed(value)) expect(made).toBe(value);
      }),
    );
    expect(wellFormed({ "a\ud83d": ["\ude00", { b: "😀" }] })).toEqual({ "a\ufffd": ["\ufffd", { b: "😀" }] });
  });
});
