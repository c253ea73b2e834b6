/**
 * What a remote server says of its tools, in a form that the Messages API takes. Nothing of it is believed: what is malformed
 * in a schema is left out, which makes it looser, and the server judges the arguments itself.
 */

import { isEcmaPattern } from "../platform/regular-expression/expression.ts";

/** Of one tool, as JSON. */
const MAX_SCHEMA_BYTES = 20_000;
const MAX_DEPTH = 16;
/** Levels of anything in it, defaults and examples included: whoever walks through what is deeper may run out of stack. */
const MAX_NESTING = 64;
const MAX_DESCRIPTION = 2_000;
/** What the API takes as a tool's name is longer; clients that show names cut at 64. */
const MAX_NAME = 64;
const PROPERTY_NAME = /^[a-zA-Z0-9_.-]{1,64}$/;
const TYPES = ["object", "array", "string", "number", "integer", "boolean", "null"];

type Json = Record<string, unknown>;

/** The name under which an instance's model calls a tool. */
export function toolName(server: string, tool: string): string {
  return `${server}__${tool.replace(/[^a-zA-Z0-9_-]/g, "_")}`.slice(0, MAX_NAME);
}

export function toolDescription(server: string, description: string | undefined): string {
  const said = (description ?? "").toWellFormed().trim();
  const cut = said.length > MAX_DESCRIPTION ? `${said.slice(0, MAX_DESCRIPTION).toWellFormed()} ...` : said;
  return cut === "" ? `A tool of the remote server ${server}.` : `${cut}\n(A tool of the remote server ${server}.)`;
}

/** The input schema, or (as a text) why the tool can't be used. */
export function inputSchema(given: unknown): Json | string {
  if (given === undefined) return "it has no input schema";
  if (!isObject(given)) return "its input schema is no object";
  if (isDeeper(given, MAX_NESTING)) return `its input schema is nested more than ${MAX_NESTING} levels deep`;
  if (given.type !== undefined && given.type !== "object") return "its input is no object";
  if (JSON.stringify(given).length > MAX_SCHEMA_BYTES)
    return `its input schema has more than ${MAX_SCHEMA_BYTES} bytes`;
  const names = isObject(given.properties) ? Object.keys(given.properties) : [];
  const odd = names.find((name) => !PROPERTY_NAME.test(name));
  if (odd !== undefined) return oddParameter(odd);
  const { anyOf, oneOf, allOf, not: _not, $ref: _ref, ...rest } = given;
  const schema = cleaned(rest, 0);
  const definitions = { ...schemasOf(given.$defs), ...schemasOf(given.definitions) };
  // The API refuses alternatives at the top: their parameters are all offered, and the server judges which go together.
  const branches = [anyOf, oneOf, allOf].flatMap((list) => (Array.isArray(list) ? list.filter(isObject) : []));
  const offered = branches.map((branch) => schemasOf(branch.properties)).reverse();
  const properties = Object.assign({}, ...offered, schema.properties ?? {}) as Record<string, Json>;
  const unusable = Object.keys(properties).find((name) => !PROPERTY_NAME.test(name));
  if (unusable !== undefined) return oddParameter(unusable);
  const made = { ...schema, type: "object", properties };
  const whole: Json = Object.keys(definitions).length > 0 ? { ...made, $defs: definitions } : made;
  return withoutDanglingRefs(whole, whole) as Json;
}

function oddParameter(name: string): string {
  return `it has a parameter named ${JSON.stringify(name.slice(0, 80).toWellFormed())}`;
}

/** A reference to what is not in the schema is refused by the API: what it stood for may be anything. */
function withoutDanglingRefs(part: unknown, root: Json): unknown {
  if (Array.isArray(part)) return part.map((inner) => withoutDanglingRefs(inner, root));
  if (!isObject(part)) return part;
  const entries = Object.entries(part).filter(
    ([keyword, value]) => keyword !== "$ref" || (typeof value === "string" && isIn(root, value)),
  );
  return Object.fromEntries(entries.map(([keyword, value]) => [keyword, withoutDanglingRefs(value, root)]));
}

function isIn(root: Json, ref: string): boolean {
  let at: unknown = root;
  for (const part of ref.split("/").slice(1)) {
    const key = part.replaceAll("~1", "/").replaceAll("~0", "~");
    at = isObject(at) && Object.hasOwn(at, key) ? at[key] : undefined;
  }
  return isObject(at);
}

/** A schema with only those keywords that are well-formed. */
function cleaned(schema: Json, depth: number): Json {
  if (depth > MAX_DEPTH) return {};
  const out: Json = {};
  for (const [keyword, value] of Object.entries(schema)) {
    const kept = keywordOf(keyword, value, depth);
    if (kept !== undefined) out[keyword] = kept;
  }
  return out;
}

function keywordOf(keyword: string, value: unknown, depth: number): unknown {
  switch (keyword) {
    case "type":
      if (Array.isArray(value)) return value.length > 0 && value.every(isType) ? [...new Set(value)] : undefined;
      return isType(value) ? value : undefined;
    case "title":
    case "description":
    case "format":
      return typeof value === "string" ? value.toWellFormed() : undefined;
    case "pattern":
      return typeof value === "string" && isEcmaPattern(value) ? value : undefined;
    case "$ref":
      // Only what stands in the same schema can be found.
      return typeof value === "string" && /^#\/(\$defs|definitions)\//.test(value)
        ? value.replace("#/definitions/", "#/$defs/")
        : undefined;
    case "const":
    case "default":
      return value;
    case "enum":
      return Array.isArray(value) && value.length > 0 ? value : undefined;
    case "required":
      return Array.isArray(value) ? [...new Set(value.filter((name) => typeof name === "string"))] : undefined;
    case "minimum":
    case "maximum":
    case "exclusiveMinimum":
    case "exclusiveMaximum":
      return typeof value === "number" ? value : undefined;
    case "multipleOf":
      return typeof value === "number" && value > 0 ? value : undefined;
    case "minLength":
    case "maxLength":
    case "minItems":
    case "maxItems":
    case "minProperties":
    case "maxProperties":
      return Number.isSafeInteger(value) && Number(value) >= 0 ? value : undefined;
    case "uniqueItems":
      return typeof value === "boolean" ? value : undefined;
    case "properties":
      return isObject(value) ? schemasOf(value, depth + 1) : undefined;
    case "items":
    case "additionalProperties":
    case "propertyNames":
    case "contains":
    case "not":
      if (typeof value === "boolean") return value;
      return isObject(value) ? cleaned(value, depth + 1) : undefined;
    case "prefixItems":
    case "anyOf":
    case "oneOf":
    case "allOf": {
      const parts = Array.isArray(value) ? value.filter(isObject).map((part) => cleaned(part, depth + 1)) : [];
      return parts.length > 0 ? parts : undefined;
    }
    // A parameter that travels as a header, in the revision of 2026-07-28.
    case "x-mcp-header":
      return typeof value === "string" ? value : undefined;
    default:
      return undefined;
  }
}

function schemasOf(value: unknown, depth = 1): Record<string, Json> {
  if (!isObject(value)) return {};
  return Object.fromEntries(
    Object.entries(value).map(([name, schema]) => [name, isObject(schema) ? cleaned(schema, depth) : {}]),
  );
}

/** Without recursion, as what it looks at may be deeper than the stack. */
function isDeeper(value: unknown, levels: number): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > levels) return true;
    level = level.flatMap((part) => (typeof part === "object" && part !== null ? Object.values(part) : []));
  }
  return false;
}

function isType(value: unknown): boolean {
  return typeof value === "string" && TYPES.includes(value);
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
