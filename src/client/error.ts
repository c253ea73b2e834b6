import type { SERVER_ERRORS } from "./tools.ts";

/**
 * The server's codes, and the client's own: `network_error` (no answer came, after all retries), `bad_answer` (what came is no
 * answer of Madrox).
 */
export type MadroxErrorCode = keyof typeof SERVER_ERRORS | "network_error" | "bad_answer";

/** A call that failed. `message` says what happened and what to do next. */
export class MadroxError extends Error {
  override readonly name = "MadroxError";
  /** A stable code to decide by. A newer server may have codes that this client does not know. */
  readonly code: MadroxErrorCode | (string & {});
  /** The HTTP status; 0 when no answer came. */
  readonly status: number;
  /** The data to act on, by code: what is left of a budget, which field is wrong. */
  readonly details: Record<string, unknown>;
  /** The server's whole answer. A message that failed has its `message_id` and `status` there. */
  readonly answer: Record<string, unknown>;

  constructor(
    code: MadroxError["code"],
    message: string,
    more: {
      status?: number;
      details?: Record<string, unknown>;
      answer?: Record<string, unknown>;
      cause?: unknown;
    } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.code = code;
    this.status = more.status ?? 0;
    this.details = more.details ?? {};
    this.answer = more.answer ?? {};
  }
}

/** The failure that an HTTP answer stands for. `body` is its text. */
export function errorOf(status: number, body: string): MadroxError {
  const answer = objectOf(body);
  if (answer && typeof answer.error === "string" && typeof answer.message === "string") {
    const details = answer.details as Record<string, unknown> | undefined;
    return new MadroxError(answer.error, answer.message, { status, answer, ...(details ? { details } : {}) });
  }
  return new MadroxError("bad_answer", `The server answered ${status}, and not as Madrox does. Is the URL right?`, {
    status,
    details: { body: body.slice(0, 500) },
  });
}

/** The JSON object in a text; undefined when it is none. */
export function objectOf(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
