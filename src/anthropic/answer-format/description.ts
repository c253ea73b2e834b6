/** A schema that stands in the conversation, as structured outputs can't express it. */
import { isObject, type SchemaObject } from "../../platform/json-schema/schema.ts";

const BEGINNING =
  "[Your answer is read by a program. When you are done, answer with one JSON value that follows this JSON Schema, and with nothing else:\n";
const END = "\n]";

export function schemaAsText(schema: SchemaObject): string {
  return `${BEGINNING}${JSON.stringify(schema)}${END}`;
}

/** The newest schema that a text asks an answer for, or null. */
export function schemaInText(text: string): SchemaObject | null {
  const from = text.lastIndexOf(BEGINNING);
  const to = text.lastIndexOf(END);
  if (from < 0 || to < from) return null;
  try {
    const schema: unknown = JSON.parse(text.slice(from + BEGINNING.length, to));
    return isObject(schema) ? schema : null;
  } catch {
    // Something else that begins and ends like that.
    return null;
  }
}
