/** JSON Schemas of objects, for what the OpenAPI document says of parameters and bodies. */
import type * as z from "zod";
import { jsonSchemaOf } from "../tools/runtime/tool.ts";

export type JsonSchema = Record<string, unknown>;

export interface ObjectSchema {
  properties: Readonly<Record<string, JsonSchema>>;
  required: readonly string[];
}

/** The fields of an object's schema, without some that come another way. */
export function objectSchemaOf(schema: z.ZodType, without: readonly string[] = []): ObjectSchema {
  const { properties = {}, required = [] } = jsonSchemaOf(schema) as Partial<ObjectSchema>;
  return {
    properties: Object.fromEntries(
      Object.entries(properties)
        .filter(([name]) => !without.includes(name))
        .map(([name, field]) => [name, withoutPattern(field)]),
    ),
    required: required.filter((name) => !without.includes(name)),
  };
}

/** zod writes a format out as a long pattern as well. */
function withoutPattern({ pattern, ...field }: JsonSchema): JsonSchema {
  return pattern === undefined || field.format !== undefined ? field : { ...field, pattern };
}

/** The same as a JSON Schema that takes no other fields. */
export function strictSchema({ properties, required }: ObjectSchema): JsonSchema {
  return { type: "object", properties, ...(required.length > 0 ? { required } : {}), additionalProperties: false };
}
