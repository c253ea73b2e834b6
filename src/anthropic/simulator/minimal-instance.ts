/** The smallest instance that fits a JSON schema: what the simulator answers where a schema is asked for. */
import { own } from "../../platform/own.ts";
import { isObject, type Json } from "./wire.ts";

/** How deep `$ref`s and nesting are followed before an instance gives up with null. */
const MAX_DEPTH = 16;

/** Characters and steps that one instance may take, however much is asked for: more than the longest answer there is. */
export const MAX_INSTANCE_SIZE = 500_000;

const ANYTHING: Json = {};

export interface Instance {
  value: unknown;
  /** Whether that is all of it. What would be larger than was allowed is left off where that shows. */
  whole: boolean;
}

/**
 * The smallest value that fits a schema: its constant, first enum value or first alternative, required properties only.
 * Text is `filler` where any text will do. A `pattern` is not solved. `size`: how many characters are wanted of it; the
 * work is bounded by that, too.
 */
export function minimalInstance(schema: Json, size = MAX_INSTANCE_SIZE, filler = "simulated"): Instance {
  const builder = new Builder(schema, Math.min(size, MAX_INSTANCE_SIZE), filler);
  const value = builder.build(schema, 0);
  return { value, whole: builder.left >= 0 };
}

class Builder {
  readonly #root: Json;
  readonly #filler: string;
  /** Schemas made ready: what their descriptions say is read once. */
  readonly #ready = new Map<Json, Json>();
  readonly #merged = new Map<Json, Json>();
  readonly #lengths = new Map<unknown, number>();
  /** Below 0: something was left off. */
  left: number;

  constructor(root: Json, size: number, filler: string) {
    this.#root = root;
    this.left = size;
    this.#filler = filler;
  }

  build(part: unknown, depth: number): unknown {
    this.left -= 1;
    if (!isObject(part) || depth > MAX_DEPTH || this.left < 0) return null;
    const schema = this.#readied(part);
    const go = (inner: unknown) => this.build(inner, depth + 1);
    if (schema.const !== undefined) return this.#given(schema.const);
    if (Array.isArray(schema.enum) && schema.enum.length > 0) return this.#given(schema.enum[0]);
    if (typeof schema.$ref === "string") {
      this.left -= schema.$ref.length / 8;
      return go(resolve(schema.$ref, this.#root));
    }
    for (const key of ["anyOf", "oneOf"]) {
      const options = schema[key];
      if (Array.isArray(options) && options.length > 0) return go(options[0]);
    }
    if (Array.isArray(schema.allOf)) return go(this.#mergedOf(schema, schema.allOf));
    const type = Array.isArray(schema.type)
      ? schema.type[0]
      : (schema.type ?? (isObject(schema.properties) ? "object" : "string"));
    if (type === "object") return this.#object(schema, go);
    if (type === "array") return this.#array(schema, go);
    if (type === "string") return this.#text(schema);
    if (type === "number" || type === "integer") return minimalNumber(schema, type === "integer");
    return type === "boolean" ? false : null;
  }

  #readied(schema: Json): Json {
    let ready = this.#ready.get(schema);
    if (!ready) {
      ready = { ...schema, ...rulesIn(schema.description) };
      this.#ready.set(schema, ready);
    }
    return ready;
  }

  #mergedOf(schema: Json, parts: readonly unknown[]): Json {
    let merged = this.#merged.get(schema);
    if (!merged) {
      merged = merge([schema, ...parts]);
      this.#merged.set(schema, merged);
    }
    return merged;
  }

  /** A value of the schema's own. */
  #given(value: unknown): unknown {
    let length = this.#lengths.get(value);
    if (length === undefined) {
      length = JSON.stringify(value).length;
      this.#lengths.set(value, length);
    }
    this.left -= length;
    return value;
  }

  #object(schema: Json, go: (part: unknown) => unknown): Json {
    const properties = isObject(schema.properties) ? schema.properties : {};
    const made: [string, unknown][] = [];
    for (const name of Array.isArray(schema.required) ? schema.required : []) {
      this.left -= String(name).length;
      if (this.left < 0) break;
      made.push([String(name), go(own(properties, String(name)) ?? ANYTHING)]);
    }
    return Object.fromEntries(made);
  }

  #array(schema: Json, go: (part: unknown) => unknown): unknown[] {
    const size = typeof schema.minItems === "number" ? schema.minItems : 0;
    const first = Array.isArray(schema.prefixItems) ? schema.prefixItems : [];
    const made: unknown[] = [];
    // One that there is no room for is begun, so that it is missed.
    while (made.length < size && this.left >= 0) {
      made.push(go(first[made.length] ?? (isObject(schema.items) ? schema.items : ANYTHING)));
    }
    return made;
  }

  #text(schema: Json): string {
    const text = own(FORMATS, String(schema.format)) ?? minimalText(schema, this.#filler, this.left + 1);
    this.left -= text.length;
    return text;
  }
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

function minimalText(schema: Json, filler: string, longest: number): string {
  const min = typeof schema.minLength === "number" ? schema.minLength : 0;
  const max = typeof schema.maxLength === "number" ? schema.maxLength : Number.POSITIVE_INFINITY;
  const length = Math.max(min, Math.min(max, filler.length));
  return filler.padEnd(Math.min(length, longest), ".").slice(0, Math.min(length, longest));
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
  const all: Json = {};
  const names: unknown[] = [];
  for (const part of parts) {
    if (!isObject(part)) continue;
    const { allOf: _, properties, required, ...rest } = part;
    Object.assign(merged, rest);
    if (isObject(properties)) {
      Object.assign(all, properties);
      merged.properties = all;
    }
    if (Array.isArray(required)) {
      for (const name of required) names.push(name);
      merged.required = names;
    }
  }
  return merged;
}

/** Follows a local reference such as `#/$defs/name`. */
function resolve(ref: string, root: Json): unknown {
  if (ref === "#") return root;
  let at: unknown = root;
  for (const step of ref.replace(/^#\//, "").split("/")) {
    if (!isObject(at)) return null;
    at = own(at, step.replaceAll("~1", "/").replaceAll("~0", "~"));
  }
  return at;
}
