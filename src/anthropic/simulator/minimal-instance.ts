/** The smallest instance that fits a JSON schema: what the simulator answers where a schema is asked for. */
import { isObject, type Json } from "./wire.ts";

/** How deep `$ref`s and nesting are followed before an instance gives up with null. */
const MAX_DEPTH = 16;

/**
 * The smallest value that fits a schema: its constant, first enum value or first alternative, required properties only.
 * Text is `filler` where any text will do. A `pattern` is not solved.
 */
export function minimalInstance(given: Json, filler = "simulated", root = given, depth = 0): unknown {
  if (depth > MAX_DEPTH) return null;
  const schema = { ...given, ...rulesIn(given.description) };
  const go = (part: unknown) => (isObject(part) ? minimalInstance(part, filler, root, depth + 1) : null);
  if (schema.const !== undefined) return schema.const;
  if (Array.isArray(schema.enum) && schema.enum.length > 0) return schema.enum[0];
  if (typeof schema.$ref === "string") return go(resolve(schema.$ref, root));
  for (const key of ["anyOf", "oneOf"]) {
    const options = schema[key];
    if (Array.isArray(options) && options.length > 0) return go(options[0]);
  }
  if (Array.isArray(schema.allOf)) return go(merge([schema, ...schema.allOf]));
  const type = Array.isArray(schema.type)
    ? schema.type[0]
    : (schema.type ?? (isObject(schema.properties) ? "object" : "string"));
  if (type === "object") return minimalObject(schema, go);
  if (type === "array") {
    const size = typeof schema.minItems === "number" ? schema.minItems : 0;
    const first = Array.isArray(schema.prefixItems) ? schema.prefixItems : [];
    return Array.from({ length: size }, (_, i) => go(first[i] ?? (isObject(schema.items) ? schema.items : {})));
  }
  if (type === "string") return minimalString(schema, filler);
  if (type === "number" || type === "integer") return minimalNumber(schema, type === "integer");
  return type === "boolean" ? false : null;
}

/** What a description ends in that the API can't enforce: whoever made the schema wrote it there as JSON. */
function rulesIn(description: unknown): Json {
  const last = typeof description === "string" ? (description.split("\n\n").at(-1) ?? "") : "";
  if (!last.startsWith("{")) return {};
  try {
    const rules: unknown = JSON.parse(last);
    return isObject(rules) ? rules : {};
  } catch {
    // Braces of another meaning.
    return {};
  }
}

function minimalObject(schema: Json, go: (part: unknown) => unknown): Json {
  const properties = isObject(schema.properties) ? schema.properties : {};
  const required = Array.isArray(schema.required) ? schema.required.map(String) : [];
  return Object.fromEntries(required.map((name) => [name, go(properties[name] ?? {})]));
}

const FORMATS: Readonly<Record<string, string>> = {
  "date-time": "2026-01-01T00:00:00Z",
  date: "2026-01-01",
  time: "00:00:00Z",
  duration: "PT0S",
  email: "simulated@example.com",
  hostname: "example.com",
  uri: "https://example.com/",
  ipv4: "192.0.2.1",
  ipv6: "2001:db8::1",
  uuid: "00000000-0000-4000-8000-000000000000",
};

function minimalString(schema: Json, filler: string): string {
  const format = FORMATS[String(schema.format)];
  if (format !== undefined) return format;
  const min = typeof schema.minLength === "number" ? schema.minLength : 0;
  const max = typeof schema.maxLength === "number" ? schema.maxLength : Number.POSITIVE_INFINITY;
  return filler.padEnd(min, ".").slice(0, Math.max(min, Math.min(max, Math.max(min, filler.length))));
}

function minimalNumber(schema: Json, integer: boolean): number {
  const { minimum, exclusiveMinimum, maximum, exclusiveMaximum } = schema;
  const step = integer ? 1 : 0.5;
  let value = 0;
  if (typeof minimum === "number") value = Math.max(value, integer ? Math.ceil(minimum) : minimum);
  if (typeof exclusiveMinimum === "number" && value <= exclusiveMinimum) value = exclusiveMinimum + step;
  if (typeof maximum === "number" && value > maximum) value = integer ? Math.floor(maximum) : maximum;
  if (typeof exclusiveMaximum === "number" && value >= exclusiveMaximum) value = exclusiveMaximum - step;
  return value;
}

function merge(parts: readonly unknown[]): Json {
  const merged: Json = {};
  for (const part of parts) {
    if (!isObject(part)) continue;
    const { allOf: _, properties, required, ...rest } = part;
    Object.assign(merged, rest);
    if (isObject(properties))
      merged.properties = { ...(isObject(merged.properties) ? merged.properties : {}), ...properties };
    if (Array.isArray(required))
      merged.required = [...(Array.isArray(merged.required) ? merged.required : []), ...required];
  }
  return merged;
}

/** Follows a local reference such as `#/$defs/name`. */
function resolve(ref: string, root: Json): unknown {
  if (ref === "#") return root;
  let at: unknown = root;
  for (const step of ref.replace(/^#\//, "").split("/")) {
    if (!isObject(at)) return null;
    at = at[step.replaceAll("~1", "/").replaceAll("~0", "~")];
  }
  return at;
}
