import { CfWorkerJsonSchemaValidator } from "@modelcontextprotocol/server/validators/cf-worker";
import * as fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { type Check, check } from "../../../src/platform/json-schema/check.ts";
import { compileSchema } from "../../../src/platform/json-schema/compile.ts";

const STEPS = 1_000_000;
const DRAFT_7 = "http://json-schema.org/draft-07/schema#";

async function checked(schema: unknown, value: unknown, steps = STEPS): Promise<Check> {
  const compiled = await compileSchema(schema);
  if (!compiled.ok) throw new Error(`${compiled.remark.path} ${compiled.remark.message}`);
  return check(compiled.schema, value, steps);
}

interface Case {
  schema: unknown;
  fits: unknown[];
  refused: unknown[];
}

const of = (schema: unknown, fits: unknown[], refused: unknown[]): Case => ({ schema, fits, refused });
const tree = {
  $ref: "#/$defs/node",
  $defs: {
    node: {
      type: "object",
      properties: { value: { type: "integer" }, children: { type: "array", items: { $ref: "#/$defs/node" } } },
      required: ["value"],
      additionalProperties: false,
    },
  },
};

const CASES: Record<string, Case> = {
  true: of(true, [1, null, {}], []),
  false: of(false, [], [1, null, {}]),
  "an empty schema": of({}, [1, null, {}], []),
  "a type": of({ type: "integer" }, [0, 1, -3, 2.0], [1.5, "1", null, [], {}]),
  types: of({ type: ["string", "null"] }, ["", null], [0, {}, []]),
  enum: of({ enum: ["a", 1, null, { b: [1] }] }, ["a", 1, null, { b: [1] }], ["b", "1", false, { b: [2] }, { b: 1 }]),
  const: of({ const: { a: 1, b: [2] } }, [{ b: [2], a: 1 }], [{ a: 1 }, { a: 1, b: [2], c: 3 }, 0]),
  bounds: of({ minimum: 1, exclusiveMaximum: 3 }, [1, 2.9, "x"], [0, 3]),
  "bounds of draft-04": of({ minimum: 1, exclusiveMinimum: true }, [1.1], [1]),
  multipleOf: of({ multipleOf: 0.01 }, [0.07, 4.35, 1], [0.075]),
  "lengths, in characters": of({ minLength: 2, maxLength: 2 }, ["ab", "😀😀", 1], ["a", "😀", "abc"]),
  pattern: of({ pattern: "^a+$" }, ["a", "aaa", 1], ["", "ab"]),
  format: of(
    {
      anyOf: [
        { type: "string", format: "date" },
        { type: "string", format: "uuid" },
      ],
    },
    ["2024-02-29", "00000000-0000-4000-8000-000000000000"],
    ["2023-02-29", "29.2.2024", ""],
  ),
  "a format that nobody knows": of({ format: "colour" }, ["", "x"], []),
  properties: of({ properties: { a: { type: "string" } }, required: ["a"] }, [{ a: "" }, [], 1], [{}, { a: 1 }]),
  "properties named like what every object has": of(
    { properties: { constructor: { type: "string" }, toString: false }, required: ["__proto__"] },
    [JSON.parse('{"__proto__": 1}')],
    [{}, JSON.parse('{"__proto__": 1, "constructor": 1}')],
  ),
  "a closed object": of({ properties: { a: {} }, additionalProperties: false }, [{}, { a: 1 }], [{ b: 1 }]),
  "a map": of({ additionalProperties: { type: "integer" } }, [{}, { a: 1, b: 2 }], [{ a: 1, b: "2" }]),
  patternProperties: of(
    { patternProperties: { "^x-": { type: "string" } }, additionalProperties: false },
    [{}, { "x-a": "" }],
    [{ "x-a": 1 }, { y: 1 }],
  ),
  propertyNames: of({ propertyNames: { enum: ["a", "b"] } }, [{ a: 1 }], [{ c: 1 }]),
  "sizes of objects": of({ minProperties: 1, maxProperties: 2 }, [{ a: 1 }], [{}, { a: 1, b: 2, c: 3 }]),
  "what depends on a property": of(
    { dependentRequired: { a: ["b"] }, dependentSchemas: { c: { required: ["d"] } } },
    [{}, { a: 1, b: 2 }, { c: 1, d: 2 }],
    [{ a: 1 }, { c: 1 }],
  ),
  dependencies: of({ dependencies: { a: ["b"], c: { required: ["d"] } } }, [{ a: 1, b: 2 }], [{ a: 1 }, { c: 1 }]),
  items: of({ items: { type: "integer" }, minItems: 1, maxItems: 2 }, [[1], [1, 2]], [[], ["1"], [1, 2, 3]]),
  "a tuple": of({ prefixItems: [{ type: "string" }, true], items: false }, [["a"], ["a", 1]], [[1], ["a", 1, 2]]),
  "a tuple of draft-07": of(
    { $schema: DRAFT_7, items: [{ type: "string" }], additionalItems: { type: "integer" } },
    [["a"], ["a", 1]],
    [[1], ["a", "b"]],
  ),
  contains: of({ contains: { const: 1 }, minContains: 2, maxContains: 3 }, [[1, 1, 0]], [[1], [1, 1, 1, 1]]),
  "unique items": of(
    { uniqueItems: true },
    [[1, "1", [1], { a: 1 }], []],
    [
      [1, 1.0],
      [
        { a: 1, b: 2 },
        { b: 2, a: 1 },
      ],
    ],
  ),
  allOf: of({ allOf: [{ required: ["a"] }, { required: ["b"] }] }, [{ a: 1, b: 1 }], [{ a: 1 }]),
  anyOf: of({ anyOf: [{ type: "string" }, { minimum: 3 }] }, ["", 3, null], [2]),
  oneOf: of({ oneOf: [{ minimum: 3 }, { multipleOf: 2 }] }, [2, 5], [4, 1]),
  not: of({ not: { type: "null" } }, [0], [null]),
  "if, then, else": of(
    {
      if: { properties: { kind: { const: "a" } }, required: ["kind"] },
      // biome-ignore lint/suspicious/noThenProperty: it is a keyword.
      then: { required: ["x"] },
      else: { required: ["y"] },
    },
    [{ kind: "a", x: 1 }, { y: 1 }],
    [{ kind: "a", y: 1 }, { x: 1 }],
  ),
  "a reference to definitions": of(
    { properties: { a: { $ref: "#/definitions/n" } }, definitions: { n: { type: "integer" } } },
    [{ a: 1 }],
    [{ a: "1" }],
  ),
  "a reference into properties": of(
    { properties: { a: { type: "integer" }, b: { $ref: "#/properties/a" } } },
    [{ b: 1 }],
    [{ b: "1" }],
  ),
  "a reference by anchor and by id": of(
    {
      properties: { a: { $ref: "#n" }, b: { $ref: "other.json#/properties/c" } },
      $id: "https://example.com/root.json",
      $defs: { n: { $anchor: "n", type: "integer" }, o: { $id: "other.json", properties: { c: { type: "null" } } } },
    },
    [{ a: 1, b: null }],
    [{ a: "1" }, { b: 1 }],
  ),
  "what stands beside a reference": of(
    { $ref: "#/$defs/n", minimum: 3, $defs: { n: { type: "integer" } } },
    [3],
    [2, "3"],
  ),
  "what stands beside a reference of draft-07": of(
    { $schema: DRAFT_7, $ref: "#/definitions/n", minimum: 3, definitions: { n: { type: "integer" } } },
    [3, 2],
    ["3"],
  ),
  "a tree": of(
    tree,
    [{ value: 1, children: [{ value: 2 }, { value: 3, children: [] }] }],
    [
      { value: 1, children: [{ value: "2" }] },
      { value: 1, children: [{ value: 2, children: [{}] }] },
    ],
  ),
  unevaluatedProperties: of(
    {
      allOf: [{ properties: { a: {} } }],
      anyOf: [{ properties: { b: { type: "integer" } }, required: ["b"] }, true],
      unevaluatedProperties: false,
    },
    [{ a: 1 }, { a: 1, b: 1 }],
    [{ c: 1 }, { b: "1" }],
  ),
  unevaluatedItems: of(
    { allOf: [{ prefixItems: [true] }], contains: { const: 3 }, unevaluatedItems: false },
    [[1, 3], [3]],
    [[1, 3, 2]],
  ),
};

describe("a value that is checked against a schema", () => {
  it.each(Object.entries(CASES))("with %s", async (_what, { schema, fits, refused }) => {
    for (const value of fits) expect([value, (await checked(schema, value)).kind]).toEqual([value, "fits"]);
    for (const value of refused) expect([value, (await checked(schema, value)).kind]).toEqual([value, "refused"]);
  });

  it.each([
    [
      tree,
      { value: 1, children: [{ value: 2 }, { value: "3" }] },
      "#/children/1/value must be an integer, and is a string",
    ],
    [
      { anyOf: [{ type: "null" }, tree.$defs.node], $defs: tree.$defs },
      { value: 1, more: 2 },
      /the first: must be null/,
    ],
    [
      { anyOf: [{ type: "null" }, { properties: { a: { type: "null" } } }] },
      { a: 1 },
      "#/a must be null, and is an integer",
    ],
    [{ required: ["a/b"] }, {}, '# lacks the required "a/b"'],
    [{ properties: { "a/b": false } }, { "a/b": 1 }, "#/a~1b is not allowed here"],
    [{ additionalProperties: false }, { "\ud800": 1 }, /^# has the property /],
  ])("that it refuses says where and why (%#)", async (schema, value, message) => {
    const result = await checked(schema, value);
    expect(result).toMatchObject({
      kind: "refused",
      message: typeof message === "string" ? message : expect.stringMatching(message),
    });
  });
});

/** Each level asks the next one twice. */
function doubling(levels: number, keyword: "anyOf" | "allOf" | "oneOf" = "anyOf") {
  const $defs: Record<string, unknown> = { [`d${levels}`]: { type: "string" } };
  for (let i = 0; i < levels; i++) {
    const next = { $ref: `#/$defs/d${i + 1}` };
    $defs[`d${i}`] = { [keyword]: [next, next] };
  }
  return { $ref: "#/$defs/d0", $defs };
}
const numbered = (n: number, make: (i: number) => unknown) =>
  Object.fromEntries(Array.from({ length: n }, (_, i) => [`p${i}`, make(i)]));
const nested = (levels: number, leaf: unknown = 1) => {
  let value = leaf;
  for (let i = 0; i < levels; i++) value = [value];
  return value;
};

describe("a schema that was made to take for ever", () => {
  it.each<[string, unknown, unknown, Check["kind"]]>([
    ["whose references double on every level", doubling(60), 5, "refused"],
    ["whose references double, on a text", doubling(60, "allOf"), "x", "fits"],
    ["whose references double, on objects", doubling(60, "oneOf"), numbered(50, (i) => ({ i })), "refused"],
    [
      "of many demands on many properties",
      { allOf: Object.values(numbered(600, (i) => ({ properties: { [`p${i}`]: {} } }))) },
      numbered(5_000, () => 1),
      "unfinished",
    ],
    [
      "of many patterns on many names",
      { patternProperties: Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`^p${i}(a{1,9})$`, {}])) },
      numbered(50_000, () => 1),
      "unfinished",
    ],
    [
      "of a long list on many items",
      { items: { enum: Object.values(numbered(5_000, (i) => i)) } },
      Array.from({ length: 5_000 }, (_, i) => i),
      "unfinished",
    ],
    [
      "with marks of many alternatives",
      { anyOf: Object.values(numbered(300, () => ({ additionalProperties: true }))), unevaluatedProperties: false },
      numbered(20_000, () => 1),
      "unfinished",
    ],
    [
      "that goes as deep as the value",
      { $defs: { a: { items: { $ref: "#/$defs/a" } } }, $ref: "#/$defs/a" },
      nested(50_000),
      "unfinished",
    ],
    [
      "whose items must differ, of nested values",
      { uniqueItems: true },
      [nested(20_000), nested(20_000)],
      "unfinished",
    ],
    ["that compares deep values", { const: nested(20) }, nested(100_000), "refused"],
    ["with a pattern that backtracks", { pattern: "^(a+)+$" }, `${"a".repeat(200_000)}!`, "refused"],
    ["with a large pattern on a long text", { pattern: "^(?:a?){300}a{300}$" }, "a".repeat(200_000), "unfinished"],
  ])("%s comes to an end", async (_what, schema, value, kind) => {
    const started = performance.now();
    const result = await checked(schema, value, 500_000);
    expect(result.kind).toBe(kind);
    expect(performance.now() - started).toBeLessThan(2_000);
  });
});

/** What a value's content is asked for: by names, by items, by whole texts. */
interface Touched {
  sum: number;
}

/** The value, which counts how much of it is looked at. */
function watched(value: unknown, touched: Touched): unknown {
  if (typeof value !== "object" || value === null) return value;
  const parts = new Map<PropertyKey, unknown>();
  return new Proxy(value, {
    ownKeys: (target) => {
      const keys = Reflect.ownKeys(target);
      touched.sum += keys.length;
      return keys;
    },
    get: (target, key, receiver) => {
      touched.sum += 1;
      if (!parts.has(key)) parts.set(key, watched(Reflect.get(target, key, receiver), touched));
      return parts.get(key);
    },
  });
}

describe("the price of every keyword", () => {
  const REPEATED = 4_890;
  const text = "aB".repeat(100_000);
  const items = Array.from({ length: 50_000 }, (_, i) => i);
  const VALUES: Record<string, () => unknown> = {
    "a long text": () => text,
    "many properties": () => numbered(20_000, (i) => i),
    "many items": () => items,
    "nested items": () => nested(300, text),
    "a long text in two places": () => [text, `${text.slice(1)}a`, `${text}`],
    "long names": () => Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`${"n".repeat(2_000)}${i}`, text])),
  };
  const same = (i: number) => text.slice(0, -6) + String(i).padStart(6, "0");
  /** One schema with the keyword; `i`: no two are the same. */
  const KEYWORDS: Record<string, (i: number) => Record<string, unknown>> = {
    type: () => ({ type: Array.from({ length: 1 }, () => "null") }),
    const: (i) => ({ const: `x${i}` }),
    "const of equal length": (i) => ({ const: same(i % 10) }),
    enum: (i) => ({ enum: [`x${i}`] }),
    "const of an object": (i) => ({ const: { a: i } }),
    minimum: (i) => ({ minimum: i }),
    multipleOf: (i) => ({ multipleOf: i + 1 }),
    minLength: (i) => ({ minLength: 150_000 + i }),
    maxLength: (i) => ({ maxLength: i }),
    pattern: () => ({ pattern: "c$" }),
    ...Object.fromEntries(
      ["date", "time", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uri", "uuid"].map((format) => [
        `format ${format}`,
        () => ({ format }),
      ]),
    ),
    properties: (i) => ({ properties: { a: { minimum: i } } }),
    patternProperties: (i) => ({ patternProperties: { "^q": { minimum: i } } }),
    additionalProperties: () => ({ additionalProperties: { type: ["integer", "string"] } }),
    propertyNames: () => ({ propertyNames: { minLength: 1 } }),
    required: (i) => ({ required: [`x${i}`] }),
    minProperties: (i) => ({ minProperties: 30_000 + i }),
    maxProperties: (i) => ({ maxProperties: i }),
    dependentRequired: (i) => ({ dependentRequired: { [`x${i}`]: ["a"] } }),
    dependentSchemas: (i) => ({ dependentSchemas: { [`x${i}`]: {} } }),
    unevaluatedProperties: () => ({ unevaluatedProperties: { type: ["integer", "string"] } }),
    prefixItems: (i) => ({ prefixItems: [{ const: `x${i}` }] }),
    items: () => ({ items: { type: ["integer", "string"] } }),
    contains: (i) => ({ contains: { const: `x${i}` } }),
    minItems: (i) => ({ minItems: i }),
    maxItems: (i) => ({ maxItems: i }),
    uniqueItems: () => ({ uniqueItems: true }),
    unevaluatedItems: () => ({ unevaluatedItems: { type: ["integer", "string"] } }),
    allOf: () => ({ allOf: [true, false] }),
    oneOf: () => ({ oneOf: [true, true] }),
    not: () => ({ not: true }),
    if: (i) => ({ if: { maxProperties: i }, else: false }),
  };
  /** Large constants are kept few: a schema has a size, too. */
  const schemaOf = (keyword: string, wrap: "anyOf" | "not") => {
    const make = KEYWORDS[keyword] as (i: number) => Record<string, unknown>;
    const shapes = Array.from({ length: REPEATED }, (_, i) => make(i));
    const count =
      JSON.stringify(shapes[0]).length > 1_000 ? 10 : Math.min(REPEATED, Math.floor(9_000 / sizeOf(shapes[0])));
    const anyOf = shapes.slice(0, count);
    return wrap === "anyOf" ? { anyOf } : { not: { anyOf } };
  };

  it.each(Object.keys(KEYWORDS).flatMap((keyword) => Object.keys(VALUES).map((value) => [keyword, value] as const)))(
    "%s, on %s, pays for what it looks at",
    async (keyword, what) => {
      const compiled = await compileSchema(schemaOf(keyword, "anyOf"));
      if (!compiled.ok) throw new Error(compiled.remark.message);
      const steps = 50_000;
      const touched: Touched = { sum: 0 };
      const value = VALUES[what]?.();
      const texts = [
        vi.spyOn(String.prototype, "toLowerCase").mockImplementation(function (this: string) {
          touched.sum += this.length / 64;
          return LOWER.call(this);
        }),
        vi.spyOn(JSON, "stringify").mockImplementation((given: unknown) => {
          if (typeof given === "string") touched.sum += given.length / 64;
          return STRINGIFY(given);
        }),
      ];
      try {
        check(compiled.schema, watched(value, touched), steps);
      } finally {
        for (const spy of texts) spy.mockRestore();
      }
      // Listing what is there takes one look; the reason that is told another one.
      expect(touched.sum).toBeLessThan(4 * steps + 4 * 50_000);
      const started = performance.now();
      check(compiled.schema, value, 500_000);
      expect(performance.now() - started).toBeLessThan(3_000);
    },
  );

  it.each(["const", "enum"])("%s keeps nothing of a value that many of them refuse", async (keyword) => {
    expect((await checked(schemaOf(keyword, "not"), text.repeat(3), 500_000)).kind).toBe("unfinished");
    expect((await checked(schemaOf(keyword, "not"), text.slice(0, 50_000), 500_000)).kind).toBe("fits");
  });
});

const LOWER = String.prototype.toLowerCase;
const STRINGIFY = JSON.stringify;

/** JSON values in a value. */
function sizeOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 1;
  return Object.values(value).reduce<number>((sum, part) => sum + sizeOf(part), 1);
}

/** Schemas of what both validators take to mean the same. */
const schema = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom(
      {},
      true,
      false,
      { type: "string" },
      { type: "integer" },
      { type: ["number", "null"] },
      { const: 1 },
      { enum: ["a", null, [1]] },
      { minimum: 1, maximum: 2 },
      { minLength: 1 },
      { pattern: "^a" },
      { $ref: "#/$defs/one" },
      { minItems: 1 },
      { required: ["a"] },
      { maxProperties: 1 },
      { multipleOf: 2 },
    ),
    fc.record(
      {
        properties: fc.dictionary(fc.constantFrom("a", "b"), tie("any"), { maxKeys: 2 }),
        additionalProperties: tie("any"),
      },
      { requiredKeys: [] },
    ),
    fc.record(
      { items: tie("any"), prefixItems: fc.array(tie("any"), { minLength: 1, maxLength: 2 }), contains: tie("any") },
      { requiredKeys: [] },
    ),
    fc.record(
      {
        allOf: fc.array(tie("any"), { minLength: 1, maxLength: 2 }),
        anyOf: fc.array(tie("any"), { minLength: 1, maxLength: 2 }),
        oneOf: fc.array(tie("any"), { minLength: 1, maxLength: 2 }),
        not: tie("any"),
      },
      { requiredKeys: [] },
    ),
    // biome-ignore lint/suspicious/noThenProperty: it is a keyword.
    fc.record({ if: tie("any"), then: tie("any"), else: tie("any") }, { requiredKeys: ["if"] }),
    fc.record(
      {
        patternProperties: fc.dictionary(fc.constantFrom("^a", "b$"), tie("any"), { maxKeys: 1 }),
        propertyNames: tie("any"),
        dependentSchemas: fc.dictionary(fc.constantFrom("a"), tie("any"), { maxKeys: 1 }),
      },
      { requiredKeys: [] },
    ),
  ),
})).any;
const json = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom(null, true, 0, 1, 2, 1.5, "", "a", "b", "ab"),
    fc.array(tie("any"), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom("a", "b", "ab", "c"), tie("any"), { maxKeys: 3 }),
  ),
})).any;

describe("any schema and any value", () => {
  it("get the verdict that another validator gives", async () => {
    await fc.assert(
      fc.asyncProperty(schema, schema, json, async (root, one, value) => {
        const whole: Record<string, unknown> = {
          $schema: "https://json-schema.org/draft/2020-12/schema",
          allOf: [root],
          $defs: { one: typeof one === "object" && !JSON.stringify(one).includes("$ref") ? one : { type: "object" } },
        };
        const theirs = new CfWorkerJsonSchemaValidator().getValidator(whole)(value).valid;
        expect((await checked(whole, value)).kind).toBe(theirs ? "fits" : "refused");
      }),
      { numRuns: 2_000, seed: 20_261_123 },
    );
  });
});
