/**
 * A caller's JSON Schema in the form that structured outputs take (`output_config.format`), where there is one. Facts from
 * Anthropic's "Structured outputs" (JSON Schema limitations, schema complexity limits) and the SDK's `transformJSONSchema`.
 *
 * The form may be looser than the schema, never other: what the API can't enforce on a value goes into its description, and
 * the answer is checked against the schema itself. What would change what can be answered at all (maps, which the API would
 * leave empty; recursion; anything goes) can't be enforced: then the schema goes into the conversation.
 */

import type { Remark } from "../../platform/json-schema/compile.ts";
import { References } from "../../platform/json-schema/references.ts";
import { dialectOf, isObject, pointer, type SchemaObject } from "../../platform/json-schema/schema.ts";
import { own } from "../../platform/own.ts";
import { Inexpressible } from "./inexpressible.ts";
import { merged, onlyAnnotates } from "./merge.ts";

/** Per request ("Schema complexity limits"): properties that are not required, and values with alternatives. */
const MAX_OPTIONAL = 24;
const MAX_UNIONS = 16;
/** Schemas in one format. The API's own limit, on the compiled grammar, is not published. */
const MAX_SCHEMAS = 2_000;
/** Schemas that all hold for one value. */
const MAX_PARTS = 100;

const FORMATS = new Set(["date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid"]);

/** `enforced`: what `output_config.format` gets as its schema. `described`: why there is no such form. */
export type AnswerFormat = { kind: "enforced"; schema: SchemaObject } | { kind: "described"; remark: Remark };

/** `root` was compiled before: it is bounded, and its references lead somewhere. The same schema gives the same form. */
export function answerFormat(root: SchemaObject): AnswerFormat {
  try {
    return { kind: "enforced", schema: new Translation(root).whole() };
  } catch (error) {
    if (!(error instanceof Inexpressible)) throw error;
    return { kind: "described", remark: { path: pointer(error.path), message: error.message } };
  }
}

type Path = readonly string[];

/** By type: keywords that only narrow, and which the API does not know. */
const NARROWING: Readonly<Record<string, readonly string[]>> = {
  string: ["minLength", "maxLength", "pattern", "format", "contentEncoding", "contentMediaType"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  integer: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  array: ["minItems", "maxItems", "uniqueItems", "contains", "minContains", "maxContains"],
  object: ["minProperties", "maxProperties", "propertyNames", "dependentRequired"],
};
const ANY_TYPE = ["not", "default", "examples"];
/** By keyword: what an untyped schema is about. */
const TYPE_OF: readonly (readonly [type: string, keywords: readonly string[]])[] = [
  ["object", ["properties", "required", "additionalProperties", "patternProperties", "propertyNames"]],
  ["array", ["items", "prefixItems", "contains", "minItems", "maxItems", "uniqueItems"]],
  ["string", ["minLength", "maxLength", "pattern", "format"]],
  ["number", ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]],
];
/** Which part of a value they are about depends on the value. */
const CONDITIONS = ["if", "then", "else", "dependentSchemas", "dependencies", "unevaluatedItems", "additionalItems"];

class Translation {
  readonly #root: SchemaObject;
  readonly #references: References;
  readonly #isDraft7: boolean;
  readonly #names = new Map<unknown, string>();
  readonly #definitions = new Map<string, unknown>();
  /** The schemas that are being translated, each within the one before. */
  readonly #open = new Set<unknown>();
  #optional = 0;
  #unions = 0;
  #schemas = 0;

  constructor(root: SchemaObject) {
    this.#root = root;
    const dialect = dialectOf(root);
    this.#references = new References(root, dialect);
    this.#isDraft7 = dialect === "draft-07";
  }

  whole(): SchemaObject {
    const schema = this.#translate(this.#root, []);
    if (this.#optional > MAX_OPTIONAL) {
      throw new Inexpressible([], `has ${this.#optional} optional properties, and the API takes ${MAX_OPTIONAL}`);
    }
    if (this.#unions > MAX_UNIONS) {
      throw new Inexpressible([], `has ${this.#unions} values with alternatives, and the API takes ${MAX_UNIONS}`);
    }
    return this.#definitions.size > 0 ? { ...schema, $defs: Object.fromEntries(this.#definitions) } : schema;
  }

  #translate(given: unknown, path: Path): SchemaObject {
    this.#schemas += 1;
    if (this.#schemas > MAX_SCHEMAS) throw new Inexpressible([], `has more than ${MAX_SCHEMAS} schemas`);
    if (given === false) throw new Inexpressible(path, "allows nothing");
    if (!isObject(given)) throw new Inexpressible(path, "allows anything");
    if (path.length > 0 && this.#isPlainReference(given)) return this.#definition(given, path);
    const { schema, sources } = this.#single(given, path);
    for (const source of sources) this.#open.add(source);
    const out = this.#value(schema, path);
    for (const source of sources) this.#open.delete(source);
    return out;
  }

  /** A schema that is nothing but a reference. Its own description would be lost beside it. */
  #isPlainReference(schema: SchemaObject): boolean {
    if (schema.$ref === undefined) return false;
    const { $ref: _, ...rest } = schema;
    return this.#isDraft7 || (onlyAnnotates(rest) && rest.description === undefined);
  }

  #definition(schema: SchemaObject, path: Path): SchemaObject {
    const target = this.#references.target(schema);
    if (this.#open.has(target)) throw new Inexpressible(path, "refers to itself");
    let name = this.#names.get(target);
    if (name === undefined) {
      name = this.#nameFor(String(schema.$ref));
      this.#names.set(target, name);
      this.#definitions.set(name, this.#translate(target, [...path, "$ref"]));
    }
    return { $ref: `#/$defs/${name}` };
  }

  /** The last word of a reference, as a name that no other definition has. */
  #nameFor(reference: string): string {
    const word = /[a-zA-Z0-9_]{1,40}$/.exec(reference)?.[0] ?? "value";
    const taken = new Set(this.#names.values());
    for (let again = 1; ; again++) {
      const name = again === 1 ? word : `${word}_${again}`;
      if (!taken.has(name)) return name;
    }
  }

  /** The schema in one with what it refers to and its `allOf`, and the schemas that it is made of. */
  #single(given: SchemaObject, path: Path): { schema: SchemaObject; sources: ReadonlySet<unknown> } {
    const parts: SchemaObject[] = [];
    const sources = new Set<unknown>();
    const collect = (part: unknown, at: Path): void => {
      if (part === true || sources.has(part)) return;
      if (!isObject(part)) throw new Inexpressible(at, "allows nothing");
      if (this.#open.has(part)) throw new Inexpressible(at, "refers to itself");
      if (sources.size >= MAX_PARTS) throw new Inexpressible(path, `is made of more than ${MAX_PARTS} schemas`);
      sources.add(part);
      const { $ref, allOf, ...rest } = part;
      const alone = this.#isDraft7 && $ref !== undefined;
      if (!alone) parts.push(rest);
      if ($ref !== undefined) collect(this.#references.target(part), [...at, "$ref"]);
      if (alone || !Array.isArray(allOf)) return;
      for (const [index, inner] of allOf.entries()) collect(inner, [...at, "allOf", String(index)]);
    };
    collect(given, path);
    return { schema: parts.length === 1 ? (parts[0] ?? {}) : merged(parts, path), sources };
  }

  /** `schema` has neither `$ref` nor `allOf`. */
  #value(schema: SchemaObject, path: Path): SchemaObject {
    const condition = CONDITIONS.find((keyword) => schema[keyword] !== undefined);
    if (condition !== undefined) throw new Inexpressible([...path, condition], "can't be enforced by the API");
    if (Array.isArray(schema.enum) || schema.const !== undefined) return literal(schema, path);
    if (Array.isArray(schema.anyOf) || Array.isArray(schema.oneOf)) return this.#alternatives(schema, path);
    const types = typesOf(schema);
    if (types.length === 0) throw new Inexpressible(path, "allows anything");
    if (types.length > 1) {
      this.#unions += 1;
      const parts = types.map((type) =>
        this.#typed(type, { ...schema, description: undefined, title: undefined }, path),
      );
      return { ...described(schema, []), anyOf: parts };
    }
    return this.#typed(types[0] ?? "", schema, path);
  }

  #alternatives(schema: SchemaObject, path: Path): SchemaObject {
    const { anyOf, oneOf, ...rest } = schema;
    if (anyOf !== undefined && oneOf !== undefined) {
      throw new Inexpressible([...path, "oneOf"], "stands beside anyOf, and the API takes one of them");
    }
    const keyword = anyOf === undefined ? "oneOf" : "anyOf";
    const options = (anyOf ?? oneOf) as unknown[];
    // What holds for all of them holds for each.
    const { description, title, default: _default, ...demands } = rest;
    const each = onlyAnnotates(rest)
      ? options
      : options.map((option) => (option === true ? demands : option === false ? false : { allOf: [option, demands] }));
    const possible = each.flatMap((option, index) =>
      option === false ? [] : [{ option, at: [...path, keyword, String(index)] }],
    );
    if (possible.length === 0) throw new Inexpressible(path, "allows nothing");
    if (possible.length > 1) this.#unions += 1;
    const parts = possible.map(({ option, at }) => this.#translate(option, at));
    const said = described({ description, title, default: rest.default }, ["default"]);
    const [only] = parts;
    return parts.length === 1 && only ? { ...only, ...said } : { ...said, anyOf: parts };
  }

  #typed(type: string, schema: SchemaObject, path: Path): SchemaObject {
    switch (type) {
      case "object":
        return this.#object(schema, path);
      case "array":
        return this.#array(schema, path);
      case "string": {
        const known = FORMATS.has(String(schema.format)) ? { format: schema.format } : {};
        return { type, ...known, ...described(schema, left(type, known)) };
      }
      default:
        return { type, ...described(schema, left(type, {})) };
    }
  }

  #object(schema: SchemaObject, path: Path): SchemaObject {
    const { additionalProperties, unevaluatedProperties, patternProperties, propertyNames } = schema;
    let properties = isObject(schema.properties) ? schema.properties : {};
    const required = Array.isArray(schema.required) ? schema.required.map(String) : [];
    if (isObject(patternProperties) && Object.keys(patternProperties).length > 0) {
      throw new Inexpressible(
        [...path, "patternProperties"],
        "allows properties of many names, which the API would leave out",
      );
    }
    const open = additionalProperties ?? unevaluatedProperties;
    const keyword = additionalProperties === undefined ? "unevaluatedProperties" : "additionalProperties";
    if (open !== undefined && open !== false) {
      const names = isObject(propertyNames) && Array.isArray(propertyNames.enum) ? propertyNames.enum : null;
      if (names === null || names.some((name) => typeof name !== "string")) {
        throw new Inexpressible([...path, keyword], "allows properties of any name, which the API would leave out");
      }
      // A map whose names are all known is an object with these properties.
      properties = { ...Object.fromEntries(names.map((name) => [String(name), open])), ...properties };
    } else if (open === undefined && Object.keys(properties).length === 0) {
      throw new Inexpressible(path, "names no properties, so the API would only take {}");
    }
    const translated = new Map<string, unknown>();
    for (const [name, property] of Object.entries(properties)) {
      // It can't occur. That it is required is told below.
      if (property === false) continue;
      translated.set(name, this.#translate(property, [...path, "properties", name]));
      if (!required.includes(name)) this.#optional += 1;
    }
    const unknown = required.find((name) => !translated.has(name));
    if (unknown !== undefined) {
      throw new Inexpressible([...path, "required"], `names ${JSON.stringify(unknown)}, of which nothing else is said`);
    }
    return {
      type: "object",
      properties: Object.fromEntries(translated),
      ...(required.length > 0 ? { required: [...new Set(required)] } : {}),
      additionalProperties: false,
      ...described(schema, left("object", {})),
    };
  }

  #array(schema: SchemaObject, path: Path): SchemaObject {
    const { items, prefixItems, minItems } = schema;
    if (Array.isArray(items) || Array.isArray(prefixItems)) {
      throw new Inexpressible(
        [...path, Array.isArray(items) ? "items" : "prefixItems"],
        "is a list of places, which the API can't keep",
      );
    }
    if (items === undefined) throw new Inexpressible(path, "says nothing of its items");
    const known = minItems === 0 || minItems === 1 ? { minItems } : {};
    const translated = this.#translate(items, [...path, "items"]);
    return { type: "array", items: translated, ...known, ...described(schema, left("array", known)) };
  }
}

function typesOf(schema: SchemaObject): string[] {
  const { type } = schema;
  if (type !== undefined) return [...new Set((Array.isArray(type) ? type : [type]).map(String))];
  const about = TYPE_OF.find(([, keywords]) => keywords.some((keyword) => schema[keyword] !== undefined));
  return about ? [about[0]] : [];
}

/** One value or a few. The API takes no objects or lists among them. */
function literal(schema: SchemaObject, path: Path): SchemaObject {
  const values = Array.isArray(schema.enum) ? schema.enum : [schema.const];
  if (values.some((value) => typeof value === "object" && value !== null)) {
    throw new Inexpressible(path, "lists values that are objects or lists, which the API does not take");
  }
  if (values.length === 0) throw new Inexpressible(path, "allows nothing");
  const said = described(schema, []);
  if (Array.isArray(schema.enum)) return { ...said, enum: values };
  return { ...said, const: schema.const };
}

function left(type: string, known: SchemaObject): string[] {
  return [...(own(NARROWING, type) ?? []), ...ANY_TYPE].filter((keyword) => !Object.hasOwn(known, keyword));
}

/** Title and description, with what the API does not enforce as a part of it, in JSON. */
function described(schema: SchemaObject, keywords: readonly string[]): SchemaObject {
  const { title, description } = schema;
  const rules = keywords.flatMap((keyword) => (schema[keyword] === undefined ? [] : [[keyword, schema[keyword]]]));
  const said = [
    ...(typeof description === "string" && description !== "" ? [description] : []),
    ...(rules.length > 0 ? [JSON.stringify(Object.fromEntries(rules))] : []),
  ];
  return {
    ...(typeof title === "string" ? { title } : {}),
    ...(said.length > 0 ? { description: said.join("\n\n") } : {}),
  };
}
