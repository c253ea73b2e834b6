/**
 * A tool's input: its JSON Schema for the model, and the check of what the model sent.
 */
import * as z from "zod";

/** What has a default is optional in it. */
export function schemaOf(input: z.ZodType<Record<string, unknown>>): Record<string, unknown> {
  const { $schema: _dialect, ...schema } = z.toJSONSchema(input, { io: "input" }) as Record<string, unknown>;
  return schema;
}

/** Throws with a sentence for the model when the input does not fit. */
export function inputOf<Input extends z.ZodType<Record<string, unknown>>>(
  tool: string,
  schema: Input,
  input: Record<string, unknown>,
): z.output<Input> {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `${issue.path.join(".") || "input"}: ${issue.message}`);
  throw new Error(`${tool} can't be called like this. ${problems.join("; ")}.`);
}
