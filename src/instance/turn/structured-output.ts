/**
 * Structured answers: a caller's JSON Schema in the form that the API takes, and the check of what came back.
 */
import { transformJSONSchema } from "@anthropic-ai/sdk/lib/transform-json-schema";
import { CfWorkerJsonSchemaValidator } from "@modelcontextprotocol/server/validators/cf-worker";
import { isEcmaPattern } from "../../platform/regular-expression/expression.ts";
import type { StructuredCheck } from "./model-answers.ts";

/**
 * The schema as the API accepts it: closed objects, and constraints that it doesn't know moved into descriptions. The
 * answer is checked against the caller's own schema, so nothing is lost by it. Throws when it is no usable schema.
 */
export function apiSchema(schema: Record<string, unknown>): Record<string, unknown> {
  return transformJSONSchema(singleTypes(schema) as Parameters<typeof transformJSONSchema>[0]) as Record<
    string,
    unknown
  >;
}

export function checkStructured(schema: Record<string, unknown>, text: string): StructuredCheck {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, problem: "it is no JSON" };
  }
  try {
    const result = new CfWorkerJsonSchemaValidator().getValidator(schema)(value);
    return result.valid ? { ok: true, value } : { ok: false, problem: result.errorMessage };
  } catch (error) {
    // A schema that breaks its validator must not break the turn: a runner that dies here calls the model again.
    return {
      ok: false,
      problem: `response_schema can't be checked: ${error instanceof Error ? error.message : String(error)}`,
    };
  }
}

const TYPES = new Set(["string", "number", "integer", "boolean", "object", "array", "null"]);

/** Throws for a schema that can't be used, so that no model call is paid for it. It is not nested deep. */
export function assertUsable(schema: Record<string, unknown>): void {
  const walk = (part: unknown, at: string, isSchema: boolean): void => {
    if (typeof part === "string" && !part.isWellFormed()) throw new Error(`${at} is no valid Unicode`);
    if (typeof part !== "object" || part === null) return;
    if (isSchema && !Array.isArray(part)) {
      const { type, pattern, $ref } = part as Record<string, unknown>;
      for (const one of type === undefined ? [] : Array.isArray(type) ? type : [type]) {
        if (!TYPES.has(one as string)) throw new Error(`${at}.type is none of ${[...TYPES].join(", ")}`);
      }
      if (typeof pattern === "string" && !isEcmaPattern(pattern)) throw new Error(`${at}.pattern is no expression`);
      if ($ref !== undefined && (typeof $ref !== "string" || !resolves(schema, $ref))) {
        throw new Error(`${at}.$ref names nothing in the schema`);
      }
    }
    for (const [key, inner] of Object.entries(part)) {
      if (!key.isWellFormed()) throw new Error(`${at} has a name that is no valid Unicode`);
      walk(
        inner,
        `${at}/${key.slice(0, 50)}`,
        isSchema && !Array.isArray(part) ? !NAMED.has(key) && !DATA.has(key) : !DATA.has(key),
      );
    }
  };
  walk(schema, "#", true);
  apiSchema(schema);
  try {
    new CfWorkerJsonSchemaValidator().getValidator(schema)(null);
  } catch (error) {
    throw error instanceof RangeError ? new Error("it refers to itself without end") : error;
  }
}

/** Keywords whose value is an object of schemas by name, and those whose value is data. */
const NAMED = new Set(["properties", "$defs", "definitions", "patternProperties", "dependentSchemas"]);
const DATA = new Set(["enum", "const", "default", "examples"]);

function resolves(root: Record<string, unknown>, ref: string): boolean {
  if (ref !== "#" && !ref.startsWith("#/")) return false;
  let at: unknown = root;
  for (const part of ref.split("/").slice(1)) {
    const key = decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
    at = typeof at === "object" && at !== null ? (at as Record<string, unknown>)[key] : undefined;
  }
  return typeof at === "object" && at !== null;
}

/** The same with one type each: the SDK closes only objects whose `type` is not a list. */
function singleTypes(schema: unknown): unknown {
  if (typeof schema !== "object" || schema === null || Array.isArray(schema)) return schema;
  const out: Record<string, unknown> = { ...(schema as Record<string, unknown>) };
  for (const key of ["properties", "$defs", "definitions"]) {
    const group = out[key];
    if (typeof group === "object" && group !== null)
      out[key] = Object.fromEntries(Object.entries(group).map(([name, part]) => [name, singleTypes(part)]));
  }
  for (const key of ["anyOf", "oneOf", "allOf"]) if (Array.isArray(out[key])) out[key] = out[key].map(singleTypes);
  if (out.items !== undefined) out.items = singleTypes(out.items);
  if (!Array.isArray(out.type)) return out;
  const { type, properties, required, additionalProperties, items, $defs, definitions, ...rest } = out;
  const of = (one: unknown) => ({
    ...rest,
    type: one,
    ...(one === "object"
      ? {
          ...(properties ? { properties } : {}),
          ...(required ? { required } : {}),
          ...(additionalProperties === undefined ? {} : { additionalProperties }),
        }
      : {}),
    ...(one === "array" && items !== undefined ? { items } : {}),
  });
  return { anyOf: (type as unknown[]).map(of), ...($defs ? { $defs } : {}), ...(definitions ? { definitions } : {}) };
}
