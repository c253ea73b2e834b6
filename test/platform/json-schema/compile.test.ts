import { describe, expect, it } from "vitest";
import { compileSchema } from "../../../src/platform/json-schema/compile.ts";

const LONE = "\ud800";
const deep = (levels: number) => {
  let schema: unknown = { type: "string" };
  for (let level = 0; level < levels; level++) schema = { items: schema };
  return schema;
};
const chain = (length: number, last: unknown) => ({
  $ref: "#/$defs/d0",
  $defs: Object.fromEntries(
    Array.from({ length }, (_, i) => [`d${i}`, i + 1 < length ? { $ref: `#/$defs/d${i + 1}` } : last]),
  ),
});

describe("a schema that can't be used", () => {
  it.each<[schema: unknown, path: string, message: RegExp]>([
    [null, "#", /neither an object nor a boolean/],
    [{ type: "text" }, "#/type", /none of string/],
    [{ type: [] }, "#/type", /none of string/],
    [{ properties: { a: { type: ["string", "nul"] } } }, "#/properties/a/type", /none of/],
    [{ properties: [] }, "#/properties", /no object of schemas/],
    [{ properties: { a: 1 } }, "#/properties", /no object of schemas/],
    [{ items: { minItems: "1" } }, "#/items/minItems", /no count/],
    [{ anyOf: [] }, "#/anyOf", /no list of schemas/],
    [{ anyOf: [{ required: "a" }] }, "#/anyOf/0/required", /no list of names/],
    [{ multipleOf: 0 }, "#/multipleOf", /above 0/],
    [{ enum: "a" }, "#/enum", /no list/],
    [{ $ref: 1 }, "#/$ref", /no text/],
    [{ $ref: "#/$defs/none" }, "#/$ref", /names nothing/],
    [{ $ref: "#/__proto__" }, "#/$ref", /names nothing/],
    [{ $ref: "#/enum", enum: [1] }, "#/$ref", /names nothing/],
    [{ $ref: "https://example.com/other.json" }, "#/$ref", /names nothing/],
    [{ $ref: "#%" }, "#/$ref", /names nothing/],
    [{ $dynamicRef: "#a" }, "#/$dynamicRef", /not supported/],
    [{ $ref: "#" }, "#", /without end/],
    [{ properties: { a: { anyOf: [{ allOf: [{ $ref: "#/properties/a" }] }] } } }, "#/properties/a", /without end/],
    [chain(500, { $ref: "#/$defs/d0" }), "#/$defs/d0", /without end/],
    [{ pattern: "(" }, "#/pattern", /no regular expression/],
    [{ patternProperties: { "[": true } }, "#/patternProperties/[", /no regular expression/],
    [{ patternProperties: { "(?=a)": true } }, "#/patternProperties/(?=a)", /looks around/],
    [deep(100), "#", /nested deeper/],
    [{ enum: Array.from({ length: 20_000 }, (_, i) => i) }, "#", /more than 10000 values/],
    [{ description: LONE }, "#/description", /Unicode/],
    [{ properties: { [LONE]: {} } }, "#/properties/\ufffd", /Unicode/],
  ])("names the place and the reason (%#)", async (schema, path, message) => {
    const verdict = await compileSchema(schema);
    expect(verdict).toEqual({ ok: false, remark: { path, message: expect.stringMatching(message) } });
  });
});

describe("a schema that can be used", () => {
  it.each([
    [
      "what only annotates",
      { $comment: "x", title: "T", description: "D", default: 1, examples: [1], deprecated: true, nullable: true },
    ],
    ["a recursion that goes into the value", { properties: { child: { $ref: "#" } } }],
    [
      "a reference to something that no keyword holds",
      { $ref: "#/components/schemas/A", components: { schemas: { A: { type: "null" } } } },
    ],
    ["a long chain of references", chain(300, { type: "null" })],
    [
      "names that are data in one place and schemas in another",
      { properties: { properties: { enum: [{ type: "x" }] }, $ref: { type: "string" } } },
    ],
  ])("has %s", async (_what, schema) => {
    expect(await compileSchema(schema)).toMatchObject({ ok: true, schema: { unchecked: [] } });
  });

  it("says which patterns it leaves unchecked, and why", async () => {
    const verdict = await compileSchema({
      properties: {
        a: { pattern: "^(?!x)" },
        b: { items: { pattern: "(a)\\1" } },
        c: { pattern: "a{5000}" },
        d: { pattern: "a" },
      },
    });
    expect(verdict).toMatchObject({
      ok: true,
      schema: {
        unchecked: [
          { path: "#/properties/a/pattern", message: expect.stringContaining("looks around") },
          { path: "#/properties/b/items/pattern", message: expect.stringContaining("refers back") },
          { path: "#/properties/c/pattern", message: expect.stringContaining("too large") },
        ],
      },
    });
  });

  it("of 100 KB takes a fraction of a second, whatever it says", async () => {
    const properties = Object.fromEntries(
      Array.from({ length: 100 }, (_, i) => [`p${i}`, { pattern: `${"\\p{L}".repeat(20)}${"x".repeat(800)}${i}` }]),
    );
    const schemas: unknown[] = [
      { properties },
      chain(2_400, { type: "null" }),
      {
        $defs: Object.fromEntries(
          Array.from({ length: 60 }, (_, i) => [
            `m${i}`,
            { items: { anyOf: Array.from({ length: 60 }, (_, j) => ({ $ref: `#/$defs/m${j}` })) } },
          ]),
        ),
      },
    ];
    for (const schema of schemas) {
      const started = performance.now();
      expect(await compileSchema(schema)).toMatchObject({ ok: true });
      expect(performance.now() - started).toBeLessThan(1_500);
    }
  });
});
