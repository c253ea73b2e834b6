/**
 * Structured answers: a caller's JSON Schema in the form that the API takes, and the check of what came back.
 */
import { transformJSONSchema } from "@anthropic-ai/sdk/lib/transform-json-schema";
import { CfWorkerJsonSchemaValidator } from "@modelcontextprotocol/server/validators/cf-worker";
import type { StructuredCheck } from "./answers.ts";

/**
 * The schema as the API accepts it: closed objects, and constraints that it doesn't know moved into descriptions. The
 * answer is checked against the caller's own schema, so nothing is lost by it. Throws when it is no usable schema.
 */
export function apiSchema(schema: Record<string, unknown>): Record<string, unknown> {
  return transformJSONSchema(schema as Parameters<typeof transformJSONSchema>[0]) as Record<string, unknown>;
}

export function checkStructured(schema: Record<string, unknown>, text: string): StructuredCheck {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, problem: "it is no JSON" };
  }
  const result = new CfWorkerJsonSchemaValidator().getValidator(schema)(value);
  return result.valid ? { ok: true, value } : { ok: false, problem: result.errorMessage };
}
