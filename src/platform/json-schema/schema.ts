/** What a JSON Schema is made of: its keywords by what stands in them, and its dialects. */

/** A schema that is an object; `true` and `false` are schemas, too. */
export type SchemaObject = Record<string, unknown>;

/**
 * Draft-07 (and, close enough, those before it) and 2019-09 differ from 2020-12 in few keywords. `any`: the schema names
 * none, so whatever one of them knows counts.
 */
export type Dialect = "draft-07" | "2019-09" | "2020-12" | "any";

export function dialectOf(schema: unknown): Dialect {
  const named = isObject(schema) ? schema.$schema : undefined;
  if (typeof named !== "string") return "any";
  if (/\/draft-0\d\//.test(named)) return "draft-07";
  if (named.includes("/2019-09/")) return "2019-09";
  return named.includes("/2020-12/") ? "2020-12" : "any";
}

export function isObject(value: unknown): value is SchemaObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Keywords whose value is one schema. */
export const ONE = new Set([
  "additionalItems",
  "additionalProperties",
  "contains",
  "contentSchema",
  "else",
  "if",
  "items",
  "not",
  "propertyNames",
  "then",
  "unevaluatedItems",
  "unevaluatedProperties",
]);

/** Keywords whose value is a list of schemas; `items` was one until 2019-09. */
export const LIST = new Set(["allOf", "anyOf", "items", "oneOf", "prefixItems"]);

/** Keywords whose value is an object of schemas by name; in `dependencies` lists of names stand among them. */
export const NAMED = new Set([
  "$defs",
  "definitions",
  "dependencies",
  "dependentSchemas",
  "patternProperties",
  "properties",
]);

/** Keywords whose schemas judge the same value as the schema they stand in. */
export const IN_PLACE = new Set([
  "allOf",
  "anyOf",
  "dependencies",
  "dependentSchemas",
  "else",
  "if",
  "not",
  "oneOf",
  "then",
]);

export interface Child {
  keyword: string;
  /** From the schema to the child. */
  path: string[];
  schema: unknown;
}

/** The schemas that stand directly in a schema. */
export function* childrenOf(schema: SchemaObject): Generator<Child> {
  for (const [keyword, value] of Object.entries(schema)) {
    if (LIST.has(keyword) && Array.isArray(value)) {
      for (const [index, part] of value.entries()) yield { keyword, path: [keyword, String(index)], schema: part };
    } else if (ONE.has(keyword)) {
      yield { keyword, path: [keyword], schema: value };
    } else if (NAMED.has(keyword) && isObject(value)) {
      for (const [name, part] of Object.entries(value)) {
        if (!Array.isArray(part)) yield { keyword, path: [keyword, name], schema: part };
      }
    }
  }
}

/** A place in a JSON value, as a JSON pointer in a fragment. Long names are cut: it is for people to read. */
export function pointer(path: readonly (string | number)[]): string {
  return ["#", ...path.map((step) => String(step).replaceAll("~", "~0").replaceAll("/", "~1").slice(0, 80))]
    .join("/")
    .toWellFormed();
}
