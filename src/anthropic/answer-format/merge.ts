/** One schema in the place of several that all hold for the same value: structured outputs have no `allOf` to speak of. */
import { isObject, type SchemaObject } from "../../platform/json-schema/schema.ts";
import { Inexpressible } from "./inexpressible.ts";

/** Keywords that only describe. */
const ANNOTATIONS = new Set([
  "$anchor",
  "$comment",
  "$defs",
  "$id",
  "$schema",
  "default",
  "definitions",
  "deprecated",
  "description",
  "discriminator",
  "examples",
  "readOnly",
  "title",
  "writeOnly",
]);

/** Whether a schema says nothing of the value but what it is called. */
export function onlyAnnotates(schema: SchemaObject): boolean {
  return Object.keys(schema).every((keyword) => ANNOTATIONS.has(keyword));
}

/** The first of the schemas describes the whole. Throws `Inexpressible` for what can't be said in one. Pure. */
export function merged(schemas: readonly SchemaObject[], path: readonly string[]): SchemaObject {
  return schemas.reduce((one, other) => both(one, other, path), {});
}

function both(one: SchemaObject, other: SchemaObject, path: readonly string[]): SchemaObject {
  const out: SchemaObject = { ...one };
  const closing = [one, other].filter(isClosed);
  for (const [keyword, value] of Object.entries(other)) {
    if (!Object.hasOwn(one, keyword)) out[keyword] = value;
    else if (!ANNOTATIONS.has(keyword)) out[keyword] = bothOf(keyword, one[keyword], value, path);
  }
  if (closing.length === 0 || !isObject(out.properties)) return out;
  // What one of them does not allow can't occur.
  const properties = Object.entries(out.properties).filter(([name]) =>
    closing.every((schema) => isObject(schema.properties) && Object.hasOwn(schema.properties, name)),
  );
  return { ...out, properties: Object.fromEntries(properties), additionalProperties: false };
}

function bothOf(keyword: string, one: unknown, other: unknown, path: readonly string[]): unknown {
  if (JSON.stringify(one) === JSON.stringify(other)) return one;
  switch (keyword) {
    case "type":
      return bothTypes(one, other, path);
    case "required":
      return [...new Set([...(one as string[]), ...(other as string[])])];
    case "properties": {
      const out = new Map(Object.entries(one as SchemaObject));
      for (const [name, schema] of Object.entries(other as SchemaObject)) {
        const known = out.get(name) ?? true;
        out.set(name, known === true ? schema : schema === true ? known : { allOf: [known, schema] });
      }
      return Object.fromEntries(out);
    }
    case "enum": {
      const texts = new Set((other as unknown[]).map((value) => JSON.stringify(value)));
      return (one as unknown[]).filter((value) => texts.has(JSON.stringify(value)));
    }
    case "items":
    case "propertyNames":
      return { allOf: [one, other] };
    case "additionalProperties":
    case "unevaluatedProperties":
      if (one === false || other === false) return false;
      return one === true || other === true ? (one === true ? other : one) : { allOf: [one, other] };
    case "minimum":
    case "exclusiveMinimum":
    case "minLength":
    case "minItems":
    case "minProperties":
      return Math.max(Number(one), Number(other));
    case "maximum":
    case "exclusiveMaximum":
    case "maxLength":
    case "maxItems":
    case "maxProperties":
      return Math.min(Number(one), Number(other));
    default:
      throw new Inexpressible(path, `has parts whose ${keyword} can't be said in one schema`);
  }
}

function bothTypes(one: unknown, other: unknown, path: readonly string[]): unknown {
  const [ones, others] = [one, other].map((type) => (Array.isArray(type) ? type : [type]) as string[]);
  const types = (ones ?? []).flatMap((type) => {
    if (others?.includes(type)) return [type];
    if (type === "number" && others?.includes("integer")) return ["integer"];
    return type === "integer" && others?.includes("number") ? ["integer"] : [];
  });
  if (types.length === 0) throw new Inexpressible(path, "has parts that allow no type in common");
  return types.length === 1 ? types[0] : types;
}

function isClosed(schema: SchemaObject): boolean {
  return schema.additionalProperties === false;
}
