/**
 * Values that a JSON Schema allows, and values that were allowed until something in them was changed.
 */
import fc from "fast-check";

export interface Schema {
  type?: string;
  enum?: unknown[];
  const?: unknown;
  anyOf?: Schema[];
  oneOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  items?: Schema;
  minItems?: number;
  maxItems?: number;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
}

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Values for fields by their names, where the schema alone says too little: ids that exist, times that are short. */
export type Known = (field: string) => fc.Arbitrary<Json> | undefined;

/** Texts that have broken programs before. */
const AWKWARD = [
  "",
  " ",
  "\0",
  "\ud800",
  "a\u0000b",
  "__proto__",
  "constructor",
  "toString",
  "../../etc/passwd",
  "/",
  "..",
  "a/../b",
  "a\\b",
  "%00",
  "%2e%2e%2f",
  "'; DROP TABLE instance; --",
  "\u202e",
  "é",
  "e\u0301",
  "👩‍👩‍👧‍👦",
  "-1",
  "1e309",
  "NaN",
  "null",
  "[object Object]",
  "{{1}}",
  "(((((((((((((((((((((a*)*)*)*)*)*",
  "inst_",
  "inst_01ARZ3NDEKTSV4RRFFQ69G5FAV",
  "x".repeat(5_000),
] as const;

/** Whatever JSON can say. */
export const anything: fc.Arbitrary<Json> = fc.oneof(
  fc.constantFrom<Json>(null, true, false, 0, -0, -1, 1.5, 1e21, -1e308, 2 ** 53, [], {}, [[]], [null]),
  fc.constantFrom<Json>(...AWKWARD),
  fc.constant<Json>(JSON.parse(`${"[".repeat(80)}${"]".repeat(80)}`) as Json),
  fc.constant<Json>(JSON.parse('{"__proto__": {"polluted": true}, "constructor": {"prototype": {}}}') as Json),
  fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<Json>,
);

const text = (minLength: number, maxLength: number) =>
  fc.oneof(
    { weight: 3, arbitrary: fc.string({ minLength, maxLength: Math.min(maxLength, minLength + 30) }) },
    { weight: 1, arbitrary: fc.string({ unit: "binary", minLength, maxLength: Math.min(maxLength, minLength + 10) }) },
    { weight: 1, arbitrary: fc.constantFrom(...AWKWARD) },
  );

/** What the schema allows; `field` is the name under which it stands. */
export function fromSchema(schema: Schema, known: Known, field = ""): fc.Arbitrary<Json> {
  const special = known(field);
  if (special) return special;
  if (schema.const !== undefined) return fc.constant(schema.const as Json);
  if (schema.enum) return fc.constantFrom(...(schema.enum as Json[]));
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return fc.oneof(...choices.map((choice) => fromSchema(choice, known)));
  switch (schema.type) {
    case "string":
      return text(schema.minLength ?? 0, schema.maxLength ?? 100);
    case "integer":
      return fc.integer({ min: schema.minimum ?? -1_000, max: Math.min(schema.maximum ?? 1_000_000, 2 ** 31 - 1) });
    case "number":
      return fc.double({
        min: schema.minimum ?? schema.exclusiveMinimum ?? -1_000,
        max: schema.maximum ?? 1_000_000,
        noNaN: true,
      });
    case "boolean":
      return fc.boolean();
    case "array": {
      const minLength = schema.minItems ?? 0;
      return fc.array(fromSchema(schema.items ?? {}, known, `${field}[]`), {
        minLength,
        maxLength: Math.max(minLength, Math.min(schema.maxItems ?? 4, 4)),
      });
    }
    case "object": {
      const { properties = {}, required = [], additionalProperties } = schema;
      const named = fc.record(
        Object.fromEntries(Object.entries(properties).map(([name, value]) => [name, fromSchema(value, known, name)])),
        { requiredKeys: required.filter((name) => name in properties) },
      ) as fc.Arbitrary<Record<string, Json>>;
      if (typeof additionalProperties !== "object") return named;
      const more = fc.dictionary(fc.string({ maxLength: 12 }), fromSchema(additionalProperties, known), { maxKeys: 3 });
      return fc.tuple(named, more).map(([own, others]) => ({ ...others, ...own }));
    }
    default:
      return anything;
  }
}

/** Every place in a value, as a path from its top. */
function places(value: Json, path: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== "object" || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([key, part]) => places(part, [...path, key]))];
}

function changed(
  value: Json,
  [key, ...rest]: readonly (string | number)[],
  change: (old: Json) => Json | undefined,
): Json {
  if (key === undefined) return change(value) ?? null;
  if (Array.isArray(value)) {
    return value.flatMap((part, i) => {
      if (String(i) !== String(key)) return [part];
      const next = rest.length === 0 ? change(part) : changed(part, rest, change);
      return next === undefined ? [] : [next];
    });
  }
  const entries = Object.entries(value as Record<string, Json>).flatMap(([name, part]): [string, Json][] => {
    if (name !== String(key)) return [[name, part]];
    const next = rest.length === 0 ? change(part) : changed(part, rest, change);
    return next === undefined ? [] : [[name, next]];
  });
  return Object.fromEntries(entries);
}

/** The value with one place taken out, put into a list, doubled, or something else put there; or with a field too many. */
export function broken(valid: fc.Arbitrary<Json>): fc.Arbitrary<Json> {
  return fc
    .tuple(valid, fc.nat(), fc.constantFrom("drop", "wrap", "other", "other", "other", "extra"), anything, text(1, 20))
    .map(([value, at, how, other, name]) => {
      const all = places(value);
      const path = all[at % all.length] ?? [];
      switch (how) {
        case "drop":
          return changed(value, path, () => undefined);
        case "wrap":
          return changed(value, path, (old) => [old]);
        case "extra":
          return typeof value === "object" && value !== null && !Array.isArray(value)
            ? { ...value, [name]: other }
            : other;
        default:
          return changed(value, path, () => other);
      }
    });
}
