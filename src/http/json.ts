/** JSON in and out over REST: the answers of tools with the status that their error code stands for. */
import { bodyLimit } from "hono/body-limit";
import { ERROR_STATUS, type ErrorBody, type ErrorCode, errorBody, failureOf, MadroxError } from "../platform/errors.ts";
import type { ToolAnswer } from "../tools/runtime/tool.ts";
import { MAX_BODY_BYTES } from "./mcp/mcp.ts";

/** An answer as a response: 200, or `status`, or what its error code stands for. */
export function json(answer: ToolAnswer | ErrorBody, status = 200): Response {
  const failed = ERROR_STATUS[(answer as ErrorBody).error as ErrorCode] ?? 500;
  return Response.json(answer, { status: answer.success ? status : failed });
}

/** An exception of any door as the JSON of the public contract. */
export function errorResponse(error: unknown): Response {
  return json(errorBody(failureOf(error)));
}

/** Refuses a body that is too large, unread. */
export const limited = bodyLimit({
  maxSize: MAX_BODY_BYTES,
  onError: () => {
    throw new MadroxError("too_large", `The request is larger than ${MAX_BODY_BYTES} bytes.`, {
      limit_bytes: MAX_BODY_BYTES,
    });
  },
});

/** The request's JSON object. Throws `unsupported_media_type` or `invalid_input`. */
export async function bodyOf(request: Request): Promise<Record<string, unknown>> {
  const type = request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  if (type !== "application/json") {
    throw new MadroxError(
      "unsupported_media_type",
      "The body has to be JSON: send it with Content-Type: application/json.",
    );
  }
  let body: unknown;
  try {
    body = await request.json();
  } catch {
    throw new MadroxError("invalid_input", "The body is no valid JSON.");
  }
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw new MadroxError(
      "invalid_input",
      'The body has to be an object like {"tool": "spawn_claude", "arguments": {"name": "Ada"}}.',
    );
  }
  return body as Record<string, unknown>;
}

/** A number for the schema to judge; what is none stays text, and the schema says so. */
export function wholeNumber(text: string): number | string {
  return /^\d{1,9}$/.test(text) ? Number(text) : text;
}

/** The same for true and false. */
export function flag(text: string): boolean | string {
  return text === "true" ? true : text === "false" ? false : text;
}
