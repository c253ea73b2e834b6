/**
 * JSON schemas as structured outputs take them. Facts: Anthropic's "Structured outputs" (JSON Schema limitations, schema
 * complexity limits), the SDK's `transformJSONSchema` (1.12.0), and errors that callers of the API have reported.
 */
import { own } from "../../platform/own.ts";
import { invalid, isObject, type Json } from "./wire.ts";

/** A schema of a request, and where it stands. */
export interface OutputSchema {
  schema: Json;
  at: string;
}

/** In one request, all schemas together. */
const MAX_OPTIONAL = 24;
const MAX_UNIONS = 16;

const ANYWHERE = [
  "$defs",
  "$ref",
  "allOf",
  "anyOf",
  "const",
  "default",
  "definitions",
  "description",
  "enum",
  "title",
  "type",
];
const BY_TYPE: Readonly<Record<string, readonly string[]>> = {
  object: ["additionalProperties", "properties", "required"],
  array: ["items", "minItems"],
  string: ["format", "pattern"],
};
const FORMATS = ["date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid"];
/** Look-around, references back and word boundaries. */
const UNSUPPORTED_PATTERN = /\(\?<?[=!]|\\[1-9bBk]/;

interface Counts {
  optional: number;
  unions: number;
}

/** Checks the schemas of `output_config.format` and of strict tools; throws a `Rejection`. */
export function checkOutputSchemas(schemas: readonly OutputSchema[]): void {
  const counts: Counts = { optional: 0, unions: 0 };
  for (const { schema, at } of schemas) {
    checkSchema(schema, at, counts);
    checkReferences(schema, at);
  }
  if (counts.optional > MAX_OPTIONAL) {
    throw invalid(
      `Schemas contains too many optional parameters (${counts.optional}), which would make grammar compilation inefficient. Reduce the number of optional parameters in your tool schemas (limit: ${MAX_OPTIONAL}).`,
    );
  }
  if (counts.unions > MAX_UNIONS) {
    throw invalid(
      `Schemas contains too many parameters with union types (${counts.unions} parameters with type arrays or anyOf). This causes exponential compilation cost. Reduce the number of nullable or union-typed parameters (limit: ${MAX_UNIONS} parameters with unions).`,
    );
  }
}

function checkSchema(schema: Json, at: string, counts: Counts): void {
  if (schema.oneOf !== undefined) throw invalid(`${at}: Schema type 'oneOf' is not supported`);
  const type = Array.isArray(schema.type) ? schema.type.find((name) => name !== "null") : schema.type;
  const isOpen = ["type", "anyOf", "allOf", "enum", "const", "$ref"].every((key) => schema[key] === undefined);
  if (isOpen) throw invalid(`${at}: Schema must have a 'type', 'anyOf', 'allOf', 'enum', 'const' or '$ref' field`);
  if ((type === "object" || isObject(schema.properties)) && schema.additionalProperties !== false) {
    throw invalid(`${at}: For 'object' type, 'additionalProperties' must be explicitly set to false`);
  }
  checkKeywords(schema, String(type), at);
  if (Array.isArray(schema.type) || Array.isArray(schema.anyOf)) counts.unions += 1;
  for (const key of ["properties", "$defs", "definitions"]) {
    const group = isObject(schema[key]) ? schema[key] : {};
    for (const [name, part] of Object.entries(group)) checkPart(part, `${at}.${key}.${name}`, counts);
  }
  const required = Array.isArray(schema.required) ? schema.required : [];
  const names = Object.keys(isObject(schema.properties) ? schema.properties : {});
  counts.optional += names.filter((name) => !required.includes(name)).length;
  for (const key of ["anyOf", "allOf"]) {
    const parts = Array.isArray(schema[key]) ? schema[key] : [];
    for (const [index, part] of parts.entries()) {
      if (key === "allOf" && isObject(part) && part.$ref !== undefined) {
        throw invalid(`${at}.allOf.${index}: '$ref' within 'allOf' is not supported`);
      }
      checkPart(part, `${at}.${key}.${index}`, counts);
    }
  }
  if (schema.items !== undefined) checkPart(schema.items, `${at}.items`, counts);
}

function checkPart(part: unknown, at: string, counts: Counts): void {
  if (!isObject(part)) throw invalid(`${at}: Input should be a valid dictionary`);
  checkSchema(part, at, counts);
}

function checkKeywords(schema: Json, type: string, at: string): void {
  const known = [...ANYWHERE, ...(own(BY_TYPE, type) ?? [])];
  const refused = Object.keys(schema).filter((key) => !known.includes(key));
  const { minItems, format, pattern } = schema;
  if (minItems !== undefined && minItems !== 0 && minItems !== 1) refused.push("minItems");
  if (refused.length > 0) {
    const what = refused.length === 1 ? `property '${refused[0]}' is` : `properties ${refused.sort().join(", ")} are`;
    throw invalid(`${at}: For '${type}' type, ${what} not supported`);
  }
  if (format !== undefined && !FORMATS.includes(String(format))) {
    throw invalid(`${at}: String format '${String(format)}' is not supported`);
  }
  if (typeof pattern === "string" && UNSUPPORTED_PATTERN.test(pattern)) {
    throw invalid(`${at}: pattern uses a feature of regular expressions that is not supported`);
  }
  const literals = [...(Array.isArray(schema.enum) ? schema.enum : []), schema.const ?? null];
  if (literals.some((value) => typeof value === "object" && value !== null)) {
    throw invalid(`${at}: enum and const take strings, numbers, booleans and null only`);
  }
}

/** References lead to definitions of the same schema, and never back. */
function checkReferences(root: Json, at: string): void {
  const leadsTo = new Map<string, ReadonlySet<string>>();
  for (const key of ["$defs", "definitions"]) {
    for (const [name, part] of Object.entries(isObject(root[key]) ? root[key] : {})) {
      leadsTo.set(`#/${key}/${name}`, referencesIn(part, new Set()));
    }
  }
  const { $defs: _defs, definitions: _definitions, ...own } = root;
  const done = new Set<string>();
  const follow = (reference: string, way: readonly string[]): void => {
    if (way.includes(reference)) {
      const cycle = [...way.slice(way.indexOf(reference)), reference]
        .map((step) => step.split("/").at(-1))
        .join(" -> ");
      throw invalid(
        `${at}: Circular reference detected in schema definitions: ${cycle}. Self-referencing or mutually-referencing definitions are not supported.`,
      );
    }
    const next = leadsTo.get(reference);
    if (!next) throw invalid(`${at}: '$ref': '${reference}' can't be resolved; only references to $defs are supported`);
    if (done.has(reference)) return;
    for (const step of next) follow(step, [...way, reference]);
    done.add(reference);
  };
  for (const reference of [...referencesIn(own, new Set()), ...leadsTo.keys()]) follow(reference, []);
}

function referencesIn(value: unknown, found: Set<string>): Set<string> {
  if (Array.isArray(value)) for (const part of value) referencesIn(part, found);
  if (!isObject(value)) return found;
  for (const [key, part] of Object.entries(value)) {
    if (key === "$ref" && typeof part === "string") found.add(part);
    else if (key !== "enum" && key !== "const" && key !== "default") referencesIn(part, found);
  }
  return found;
}
