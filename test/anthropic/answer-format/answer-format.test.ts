import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { answerFormat } from "../../../src/anthropic/answer-format/answer-format.ts";
import { checkOutputSchemas } from "../../../src/anthropic/simulator/schemas.ts";
import { check } from "../../../src/platform/json-schema/check.ts";
import { compileSchema } from "../../../src/platform/json-schema/compile.ts";
import type { SchemaObject } from "../../../src/platform/json-schema/schema.ts";

const DRAFT_7 = "http://json-schema.org/draft-07/schema#";
const text = { type: "string" };
const object = (properties: SchemaObject, more: SchemaObject = {}) => ({ type: "object", properties, ...more });
const closed = (properties: SchemaObject, required: string[] = [], more: SchemaObject = {}) => ({
  type: "object",
  properties,
  ...(required.length > 0 ? { required } : {}),
  additionalProperties: false,
  ...more,
});
const numbered = (n: number, part: unknown) => Object.fromEntries(Array.from({ length: n }, (_, i) => [`p${i}`, part]));

/** What the strict API would say of the format. */
function accepted(schema: SchemaObject): true {
  checkOutputSchemas([{ schema, at: "format" }]);
  return true;
}

const ENFORCED: [what: string, schema: SchemaObject, format: SchemaObject][] = [
  ["an open object with properties", object({ a: text }), closed({ a: text })],
  [
    "bounds, as a description",
    object({ a: { type: "integer", minimum: 1, description: "How many" } }),
    closed({ a: { type: "integer", description: 'How many\n\n{"minimum":1}' } }),
  ],
  [
    "a format that the API knows, and one that it does not",
    object({ a: { type: "string", format: "date" }, b: { type: "string", format: "regex" } }),
    closed({ a: { type: "string", format: "date" }, b: { type: "string", description: '{"format":"regex"}' } }),
  ],
  [
    "sizes of lists",
    object({ a: { type: "array", items: text, minItems: 1 }, b: { type: "array", items: text, minItems: 2 } }),
    closed({
      a: { type: "array", items: text, minItems: 1 },
      b: { type: "array", items: text, description: '{"minItems":2}' },
    }),
  ],
  [
    "nullable values",
    object({ a: { type: ["string", "null"], description: "D" } }),
    closed({ a: { anyOf: [text, { type: "null" }], description: "D" } }),
  ],
  [
    "one value of oneOf",
    object({ a: { oneOf: [text, { type: "null" }] } }),
    closed({ a: { anyOf: [text, { type: "null" }] } }),
  ],
  [
    "literals",
    object({ a: { type: "string", enum: ["x"] }, b: { const: 1 } }),
    closed({ a: { enum: ["x"] }, b: { const: 1 } }),
  ],
  [
    "definitions of draft-07 behind the root's reference (zod-to-json-schema)",
    {
      $schema: DRAFT_7,
      $ref: "#/definitions/Order",
      definitions: { Order: closed({ a: { $ref: "#/definitions/Item" } }, ["a"]), Item: closed({ b: text }, ["b"]) },
    },
    { ...closed({ a: { $ref: "#/$defs/Item" } }, ["a"]), $defs: { Item: closed({ b: text }, ["b"]) } },
  ],
  [
    "a reference into another property (zod-to-json-schema)",
    closed({ a: { type: "array", items: text }, b: { $ref: "#/properties/a" } }, ["a", "b"]),
    {
      ...closed({ a: { type: "array", items: text }, b: { $ref: "#/$defs/a" } }, ["a", "b"]),
      $defs: { a: { type: "array", items: text } },
    },
  ],
  [
    "a reference in allOf (pydantic 1)",
    {
      title: "M",
      ...object({ a: { title: "A", allOf: [{ $ref: "#/definitions/E" }] } }),
      definitions: { E: { title: "E", enum: ["x"] } },
    },
    { title: "M", ...closed({ a: { title: "A", enum: ["x"] } }) },
  ],
  [
    "a description beside a reference (pydantic 2)",
    { ...object({ a: { $ref: "#/$defs/E", description: "The a" } }), $defs: { E: { title: "E", enum: ["x"] } } },
    closed({ a: { title: "E", enum: ["x"], description: "The a" } }),
  ],
  [
    "a union with a discriminator (pydantic 2)",
    {
      ...object({
        a: { discriminator: { propertyName: "t" }, oneOf: [{ $ref: "#/$defs/A" }, { $ref: "#/$defs/B" }] },
      }),
      $defs: { A: object({ t: { const: "a" } }), B: object({ t: { const: "b" } }) },
    },
    {
      ...closed({ a: { anyOf: [{ $ref: "#/$defs/A" }, { $ref: "#/$defs/B" }] } }),
      $defs: { A: closed({ t: { const: "a" } }), B: closed({ t: { const: "b" } }) },
    },
  ],
  [
    "an intersection (zod)",
    { allOf: [object({ a: text }, { required: ["a"] }), object({ b: text }, { required: ["b"] })] },
    closed({ a: text, b: text }, ["a", "b"]),
  ],
  [
    "an intersection that is closed by unevaluatedProperties (zod-to-json-schema)",
    { allOf: [object({ a: text }), object({ b: text })], unevaluatedProperties: false },
    closed({ a: text, b: text }),
  ],
  [
    "alternatives of what is required",
    object({ a: text, b: text }, { anyOf: [{ required: ["a"] }, { required: ["b"] }] }),
    { anyOf: [closed({ a: text, b: text }, ["a"]), closed({ a: text, b: text }, ["b"])] },
  ],
  [
    "a map whose names are known (zod)",
    {
      type: "object",
      propertyNames: { type: "string", enum: ["a", "b"] },
      additionalProperties: text,
      required: ["a", "b"],
    },
    closed({ a: text, b: text }, ["a", "b"], {
      description: '{"propertyNames":{"type":"string","enum":["a","b"]}}',
    }),
  ],
  ["what has no type, but properties", { properties: { a: text } }, closed({ a: text })],
  ["a property that can't occur", object({ a: text, b: false }), closed({ a: text })],
  ["24 optional properties", object(numbered(24, text)), closed(numbered(24, text))],
];

const tree = object({ children: { type: "array", items: { $ref: "#/$defs/node" } } });
const DESCRIBED: [what: string, schema: SchemaObject, path: string, reason: RegExp][] = [
  ["a map", { type: "object", additionalProperties: text }, "#/additionalProperties", /any name/],
  ["a map of anything", { type: "object", additionalProperties: true }, "#/additionalProperties", /any name/],
  [
    "a map within",
    object({ a: { type: "object", additionalProperties: {} } }),
    "#/properties/a/additionalProperties",
    /any name/,
  ],
  ["properties and more", object({ a: text }, { additionalProperties: true }), "#/additionalProperties", /any name/],
  ["patternProperties", { type: "object", patternProperties: { "^x": text } }, "#/patternProperties", /many names/],
  ["an object without properties", { type: "object" }, "#", /names no properties/],
  ["anything", object({ a: {} }), "#/properties/a", /anything/],
  ["a list of anything", object({ a: { type: "array" } }), "#/properties/a", /items/],
  ["a tuple", object({ a: { type: "array", prefixItems: [text] } }), "#/properties/a/prefixItems", /places/],
  ["a tuple of draft-07", object({ a: { type: "array", items: [text] } }), "#/properties/a/items", /places/],
  ["a tree", { $ref: "#/$defs/node", $defs: { node: tree } }, "#/properties/children/items", /itself/],
  ["a tree at the root", object({ next: { $ref: "#" } }), "#/properties/next", /itself/],
  [
    "two schemas that refer to each other",
    {
      ...object({ a: { $ref: "#/$defs/a" } }),
      $defs: { a: object({ b: { $ref: "#/$defs/b" } }), b: object({ a: { $ref: "#/$defs/a" } }) },
    },
    "#/properties/a/$ref/properties/b/$ref/properties/a",
    /itself/,
  ],
  ["30 optional properties", object(numbered(30, text)), "#", /30 optional/],
  [
    "20 nullable properties",
    closed(numbered(20, { type: ["string", "null"] }), Object.keys(numbered(20, 0))),
    "#",
    /20 values with alternatives/,
  ],
  ["objects in an enum", object({ a: { enum: [{ b: 1 }] } }), "#/properties/a", /objects or lists/],
  ["a condition", object({ a: text }, { if: { required: ["a"] } }), "#/if", /can't be enforced/],
  [
    "dependent schemas",
    object({ a: text }, { dependentSchemas: { a: true } }),
    "#/dependentSchemas",
    /can't be enforced/,
  ],
  ["a required property that nothing is said of", object({ a: text }, { required: ["b"] }), "#/required", /"b"/],
  ["parts that exclude each other", { allOf: [{ type: "string" }, { type: "null" }] }, "#", /no type in common/],
];

describe("a schema that structured outputs can express", () => {
  it.each(ENFORCED)("%s", async (_what, schema, format) => {
    expect(await compileSchema(schema)).toMatchObject({ ok: true });
    expect(answerFormat(schema)).toEqual({ kind: "enforced", schema: format });
    expect(accepted(format)).toBe(true);
  });
});

it("properties and definitions may have names that objects inherit", () => {
  for (const name of ["__proto__", "constructor", "toString"]) {
    const properties = `"properties":{"${name}":{"type":"string"},"b":{"$ref":"#/$defs/${name}"}}`;
    const definitions = `"$defs":{"${name}":{"type":"number"}}`;
    const format = answerFormat(JSON.parse(`{"type":"object",${properties},${definitions}}`) as SchemaObject);
    expect(format).toMatchObject({ kind: "enforced" });
    expect(JSON.stringify(format)).toContain(properties);
    expect(JSON.stringify(format)).toContain(definitions);
  }
});

describe("a schema that they can't express is left to the conversation", () => {
  it.each(DESCRIBED)("%s", async (_what, schema, path, reason) => {
    expect(await compileSchema(schema)).toMatchObject({ ok: true });
    expect(answerFormat(schema)).toEqual({
      kind: "described",
      remark: { path, message: expect.stringMatching(reason) },
    });
  });

  it.each([
    ["references that double", "allOf"],
    ["alternatives that double", "anyOf"],
  ])("%s, in a fraction of a second", (_what, keyword) => {
    const $defs: SchemaObject = { d30: text };
    for (let i = 0; i < 30; i++) {
      const next = (description: string) => ({ $ref: `#/$defs/d${i + 1}`, description });
      $defs[`d${i}`] = { [keyword]: [next("one"), next("other")] };
    }
    const started = performance.now();
    answerFormat({ ...object({ a: { $ref: "#/$defs/d0" } }), $defs });
    expect(performance.now() - started).toBeLessThan(1_000);
  });
});

/** Schemas without maps: each object names its properties. */
const schema = fc.letrec<{ any: SchemaObject }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom<SchemaObject>(
      { type: "string" },
      { type: ["integer", "null"], minimum: 1 },
      { enum: ["a", 1, null] },
      { const: "a" },
      { type: "string", maxLength: 1, format: "date" },
      { $ref: "#/$defs/one" },
      { $ref: "#/$defs/one", description: "D" },
      { type: "number", multipleOf: 2 },
      {},
    ),
    fc
      .record({
        properties: fc.dictionary(fc.constantFrom("a", "b"), tie("any"), { minKeys: 1, maxKeys: 2 }),
        required: fc.constantFrom(["a"], [], ["a", "b"]),
      })
      .map((parts): SchemaObject => ({ type: "object", ...parts, additionalProperties: false })),
    tie("any").map((items): SchemaObject => ({ type: "array", items, minItems: 1 })),
    fc
      .tuple(fc.constantFrom("anyOf", "oneOf", "allOf"), fc.array(tie("any"), { minLength: 1, maxLength: 3 }))
      .map(([keyword, parts]): SchemaObject => ({ [keyword]: parts })),
    fc.tuple(tie("any"), tie("any")).map(([one, other]): SchemaObject => ({ ...one, allOf: [other], title: "T" })),
  ),
})).any;
const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom<unknown>(null, 0, 1, 2, 3, "", "a", "2024-01-01"),
    fc.array(tie("any"), { maxLength: 2 }),
    fc.dictionary(fc.constantFrom("a", "b"), tie("any"), { maxKeys: 2 }),
  ),
})).any;

describe("any schema", () => {
  it("gets a format that the API takes, and that allows whatever the schema allows", async () => {
    let enforced = 0;
    await fc.assert(
      fc.asyncProperty(schema, schema, fc.array(value, { maxLength: 20 }), async (root, one, values) => {
        const whole = { ...root, $defs: { one } };
        const own = await compileSchema(whole);
        if (!own.ok) return;
        const format = answerFormat(whole);
        if (format.kind === "described") return;
        enforced += 1;
        expect(accepted(format.schema)).toBe(true);
        const theirs = await compileSchema(format.schema);
        if (!theirs.ok) throw new Error(theirs.remark.message);
        for (const value of values) {
          if (check(own.schema, value, 1e6).kind === "fits") {
            expect([value, check(theirs.schema, value, 1e6).kind]).toEqual([value, "fits"]);
          }
        }
      }),
      { numRuns: 1_500, seed: 20_261_123 },
    );
    expect(enforced).toBeGreaterThan(300);
  });
});
