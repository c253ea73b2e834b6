/**
 * Every failure that a caller can meet, as a value: a stable code, a sentence, and the data to act on it.
 *
 * Inside one object failures travel as a thrown `MadroxError`; between objects (Workers RPC keeps no classes)
 * as the `Answer` union; to the outside as `{success: false, error, message, details?}`.
 */

/** Stable error codes with the HTTP status that REST answers with. A code is never renamed. */
export const ERROR_STATUS = {
  invalid_input: 400,
  unauthorized: 401,
  budget_exceeded: 402,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  conflict: 409,
  too_large: 413,
  unsupported_media_type: 415,
  range_not_satisfiable: 416,
  limit_reached: 429,
  upstream_error: 502,
  refused: 422,
  schema_mismatch: 422,
  cancelled: 409,
  internal: 500,
  misconfigured: 503,
} as const;

export type ErrorCode = keyof typeof ERROR_STATUS;

export type Details = Record<string, unknown>;

/** A failure as plain data: what happened and what to do next, and the data to do it. */
export interface Failure {
  code: ErrorCode;
  message: string;
  details?: Details;
}

/** The result of a call between objects. */
export type Result<T> = { ok: true; value: T } | { ok: false; error: Failure };

/** A failure as an exception. Thrown by whatever finds it, turned into a `Failure` at the border. */
export class MadroxError extends Error {
  readonly code: ErrorCode;
  readonly details: Details | undefined;

  constructor(code: ErrorCode, message: string, details?: Details) {
    super(message);
    this.name = "MadroxError";
    this.code = code;
    this.details = details;
  }
}

export function ok<T>(value: T): Result<T> {
  return { ok: true, value };
}

export function err<T = never>(code: ErrorCode, message: string, details?: Details): Result<T> {
  return { ok: false, error: details ? { code, message, details } : { code, message } };
}

/** The value of an answer. Throws its failure as a `MadroxError`. */
export function unwrap<T>(answer: Result<T>): T {
  if (answer.ok) return answer.value;
  throw new MadroxError(answer.error.code, answer.error.message, answer.error.details);
}

/** The failure that an exception stands for; anything unexpected is `internal`, and says nothing about itself. */
export function failureOf(error: unknown): Failure {
  if (error instanceof MadroxError) {
    return error.details
      ? { code: error.code, message: error.message, details: error.details }
      : { code: error.code, message: error.message };
  }
  return { code: "internal", message: "Something went wrong inside the server. The call can be tried again." };
}

/** A failure in the shape of the public contract. */
export interface ErrorBody {
  success: false;
  error: ErrorCode;
  message: string;
  details?: Details;
  [extra: string]: unknown;
}

export function errorBody(failure: Failure): ErrorBody {
  return {
    success: false,
    error: failure.code,
    message: failure.message,
    ...(failure.details ? { details: failure.details } : {}),
  };
}
