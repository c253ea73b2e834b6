/** Whether the keywords of a schema have the values that the standard gives them. */
import { isObject, LIST, NAMED, ONE, type SchemaObject } from "./schema.ts";

const TYPES = ["string", "number", "integer", "boolean", "object", "array", "null"];
const COUNTS = [
  "maxContains",
  "maxItems",
  "maxLength",
  "maxProperties",
  "minContains",
  "minItems",
  "minLength",
  "minProperties",
];
const NUMBERS = ["minimum", "maximum"];
const TEXTS = ["$anchor", "$comment", "$id", "$ref", "$schema", "description", "format", "pattern", "title"];
/** Their meaning depends on the way by which they are reached. */
const DYNAMIC = ["$dynamicRef", "$recursiveRef"];

/** What is wrong with the keywords of one schema: the keyword, and the rest of a sentence about it. Null: nothing. */
export function misshapen(schema: SchemaObject): { keyword: string; message: string } | null {
  for (const [keyword, value] of Object.entries(schema)) {
    const message = wrong(keyword, value);
    if (message !== null) return { keyword, message };
  }
  return null;
}

function wrong(keyword: string, value: unknown): string | null {
  if (keyword === "type") return wrongType(value);
  if (keyword === "enum") return Array.isArray(value) ? null : "is no list";
  if (keyword === "required") return isNames(value) ? null : "is no list of names";
  if (keyword === "uniqueItems") return typeof value === "boolean" ? null : "is neither true nor false";
  if (keyword === "multipleOf") return isNumber(value) && Number(value) > 0 ? null : "is no number above 0";
  if (keyword === "exclusiveMinimum" || keyword === "exclusiveMaximum") {
    return isNumber(value) || typeof value === "boolean" ? null : "is no number";
  }
  if (NUMBERS.includes(keyword)) return isNumber(value) ? null : "is no number";
  if (COUNTS.includes(keyword)) return isNumber(value) && Number(value) >= 0 ? null : "is no count";
  if (TEXTS.includes(keyword)) return typeof value === "string" ? null : "is no text";
  if (DYNAMIC.includes(keyword)) return "is not supported: use $ref";
  if (keyword === "dependentRequired") {
    return isObject(value) && Object.values(value).every(isNames) ? null : "is no object of lists of names";
  }
  if (LIST.has(keyword) && (Array.isArray(value) || !ONE.has(keyword))) {
    return Array.isArray(value) && value.length > 0 && value.every(isSchema) ? null : "is no list of schemas";
  }
  if (ONE.has(keyword)) return isSchema(value) ? null : "is no schema";
  if (!NAMED.has(keyword)) return null;
  const fits = (part: unknown) => isSchema(part) || (keyword === "dependencies" && isNames(part));
  return isObject(value) && Object.values(value).every(fits) ? null : "is no object of schemas";
}

function wrongType(value: unknown): string | null {
  const types = Array.isArray(value) ? value : [value];
  const known = types.length > 0 && types.every((type) => typeof type === "string" && TYPES.includes(type));
  return known ? null : `is none of ${TYPES.join(", ")}`;
}

function isNames(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((name) => typeof name === "string");
}

function isNumber(value: unknown): boolean {
  return typeof value === "number" && Number.isFinite(value);
}

function isSchema(value: unknown): boolean {
  return typeof value === "boolean" || isObject(value);
}
