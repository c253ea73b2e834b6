/**
 * A JSON Schema from outside, made ready to check values with: bounded in size, complete in itself, its patterns on RE2.
 * Draft-07, 2019-09 and 2020-12 are understood, but for references that depend on the way they are reached by.
 */
import { type Compiled, compileEcma, type Expression } from "../regular-expression/expression.ts";
import type { Material } from "./evaluation.ts";
import { References } from "./references.ts";
import { childrenOf, dialectOf, IN_PLACE, isObject, pointer, type SchemaObject } from "./schema.ts";
import { misshapen } from "./shape.ts";

/** JSON values in a schema: objects, lists, and what stands in them. */
const MAX_VALUES = 10_000;
/** Levels of JSON, of which a schema within a schema takes two. */
const MAX_LEVELS = 64;
/** Instructions of all patterns together: an instruction takes some 7 µs to compile. */
const MAX_INSTRUCTIONS = 4_000;

/** Something in a schema, by where it stands, as a JSON pointer in a fragment. */
export interface Remark {
  path: string;
  /** The rest of a sentence that begins with the path. */
  message: string;
}

export interface CompiledSchema {
  root: unknown;
  material: Material;
  /** What can't be checked: patterns that RE2 can't express. Whatever else the schema says is. */
  unchecked: readonly Remark[];
}

export type SchemaVerdict = { ok: true; schema: CompiledSchema } | { ok: false; remark: Remark };

interface Found {
  schema: SchemaObject;
  path: readonly string[];
}

/** The schema made ready, or the first thing that is wrong with it. Bounded in time, whatever the schema says. */
export async function compileSchema(root: unknown): Promise<SchemaVerdict> {
  const refused = (path: readonly string[], message: string): SchemaVerdict => ({
    ok: false,
    remark: { path: pointer(path), message },
  });
  const size = oversize(root);
  if (size !== null) return refused([], size);
  if (typeof root !== "boolean" && !isObject(root))
    return refused([], "is no schema: it is neither an object nor a boolean");
  const malformed = illFormed(root, []);
  if (malformed) return refused(malformed, "is no valid Unicode");

  const dialect = dialectOf(root);
  const references = new References(root, dialect);
  const found = new Map<SchemaObject, readonly string[]>();
  const waiting: Found[] = isObject(root) ? [{ schema: root, path: [] }] : [];
  // What is referred to stands somewhere in the schema, and is best named by that.
  const referred: Found[] = [];
  for (let next = waiting.pop(); next; next = waiting.pop() ?? referred.pop()) {
    const { schema, path } = next;
    if (found.has(schema)) continue;
    found.set(schema, path);
    const wrong = misshapen(schema);
    if (wrong) return refused([...path, wrong.keyword], wrong.message);
    if (schema.$ref !== undefined) {
      const target = references.target(schema);
      if (target === undefined) return refused([...path, "$ref"], "names nothing in the schema");
      if (isObject(target)) referred.push({ schema: target, path: [...path, "$ref"] });
    }
    // The last one in is looked at first.
    for (const child of [...childrenOf(schema)].reverse()) {
      if (isObject(child.schema)) waiting.push({ schema: child.schema, path: [...path, ...child.path] });
    }
  }
  const endless = endlessSchema(root, references);
  if (endless) return refused(found.get(endless) ?? [], "refers to itself without end");

  const { expressions, unchecked, remark } = await compilePatterns(found);
  if (remark) return { ok: false, remark };
  const marks = [...found.keys()].some(
    (schema) => schema.unevaluatedProperties !== undefined || schema.unevaluatedItems !== undefined,
  );
  return { ok: true, schema: { root, material: { dialect, references, expressions, marks }, unchecked } };
}

/** Too many values, or nested too deep: told without recursion. */
function oversize(root: unknown): string | null {
  let level: unknown[] = [root];
  let values = 0;
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_LEVELS) return `is nested deeper than ${MAX_LEVELS} levels`;
    values += level.length;
    if (values > MAX_VALUES) return `has more than ${MAX_VALUES} values: ask for less in one answer`;
    level = level.flatMap((value) => (typeof value === "object" && value !== null ? Object.values(value) : []));
  }
  return null;
}

/** Where half a character stands, in a value or a name. */
function illFormed(value: unknown, path: readonly string[]): readonly string[] | null {
  if (typeof value === "string") return value.isWellFormed() ? null : path;
  if (typeof value !== "object" || value === null) return null;
  for (const [key, part] of Object.entries(value)) {
    const found = key.isWellFormed() ? illFormed(part, [...path, key]) : [...path, key];
    if (found) return found;
  }
  return null;
}

/**
 * A schema that leads back to itself with no step into the value in between; undefined: there is none. Each schema is
 * looked at once.
 */
function endlessSchema(root: unknown, references: References): SchemaObject | undefined {
  const done = new Set<SchemaObject>();
  const open = new Set<SchemaObject>();
  const inPlace = (schema: SchemaObject): unknown[] => [
    ...(schema.$ref === undefined ? [] : [references.target(schema)]),
    ...[...childrenOf(schema)].filter((child) => IN_PLACE.has(child.keyword)).map((child) => child.schema),
  ];
  // Every schema is the beginning of a way once; ways are walked with a stack of their own.
  const all: unknown[] = [root];
  const known = new Set<unknown>();
  for (let at = all.pop(); at !== undefined; at = all.pop()) {
    if (!isObject(at) || known.has(at)) continue;
    known.add(at);
    const stack: { schema: SchemaObject; rest: unknown[] }[] = [];
    const enter = (schema: unknown): SchemaObject | undefined => {
      if (!isObject(schema) || done.has(schema)) return undefined;
      if (open.has(schema)) return schema;
      open.add(schema);
      stack.push({ schema, rest: inPlace(schema) });
      return undefined;
    };
    enter(at);
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const next = top.rest.pop();
      if (next !== undefined) {
        const again = enter(next);
        if (again) return again;
        continue;
      }
      open.delete(top.schema);
      done.add(top.schema);
      stack.pop();
    }
    if (at.$ref !== undefined) all.push(references.target(at));
    for (const child of childrenOf(at)) all.push(child.schema);
  }
  return undefined;
}

async function compilePatterns(found: ReadonlyMap<SchemaObject, readonly string[]>) {
  const expressions = new Map<string, Expression | null>();
  const unchecked: Remark[] = [];
  let left = MAX_INSTRUCTIONS;
  const compiled = new Map<string, Compiled>();
  for (const [schema, path] of found) {
    const names = isObject(schema.patternProperties) ? Object.keys(schema.patternProperties) : [];
    const used = [
      ...(typeof schema.pattern === "string"
        ? [{ pattern: schema.pattern, at: [...path, "pattern"], name: false }]
        : []),
      ...names.map((pattern) => ({ pattern, at: [...path, "patternProperties", pattern], name: true })),
    ];
    for (const { pattern, at, name } of used) {
      const known = compiled.get(pattern) ?? (left > 0 ? await compileEcma(pattern) : TOO_MANY);
      if (!compiled.has(pattern)) left -= known.ok ? known.expression.size : pattern.length / 10;
      compiled.set(pattern, known);
      expressions.set(pattern, known.ok ? known.expression : null);
      if (known.ok) continue;
      const remark = { path: pointer(at), message: `can't be checked: ${known.reason}` };
      // Which schema holds for a property depends on it: there is nothing to go by without it.
      if (known.kind === "malformed" || name) return { expressions, unchecked, remark };
      unchecked.push(remark);
    }
  }
  return { expressions, unchecked, remark: null };
}

const TOO_MANY: Compiled = {
  ok: false,
  kind: "unsupported",
  reason: "the patterns of this schema are too large together",
};
