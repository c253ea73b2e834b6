/** JSON responses: answers of tools and failures, with the HTTP status of their error code. */
import { ERROR_STATUS, type ErrorBody, type ErrorCode, errorBody, failureOf } from "../platform/errors.ts";
import type { ToolAnswer } from "../tools/runtime/tool.ts";

/** An answer as a response: 200, or `status`, or the status of its error code. */
export function json(answer: ToolAnswer | ErrorBody, status = 200): Response {
  const failed = ERROR_STATUS[(answer as ErrorBody).error as ErrorCode] ?? 500;
  return Response.json(answer, { status: answer.success ? status : failed });
}

/** An exception as the JSON of the public contract. */
export function errorResponse(error: unknown): Response {
  return json(errorBody(failureOf(error)));
}
