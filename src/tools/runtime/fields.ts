/**
 * Input fields that several tools share.
 */

import * as z from "zod";
import { MadroxError } from "../../platform/errors.ts";
import { isInstanceId, isJobId } from "../../platform/ids.ts";
import { LEAST_USD } from "../../platform/units.ts";

/** A message's size, in bytes of UTF-8, at most: about 250,000 tokens, a quarter of a model's context. */
const MAX_MESSAGE_BYTES = 1_048_576;

const storable = (text: string) => text.isWellFormed() && !text.includes("\0");
const STORABLE = "must be valid Unicode without NUL characters (it holds a lone surrogate or a NUL)";

/** Text that survives UTF-8 and every JSON parser on its way. */
export const text = () => z.string().refine(storable, STORABLE);

/** The same, not blank. The Messages API refuses blank text. */
export const prose = () => text().refine((value) => value.trim() !== "", "must not be empty");

export const instanceId = z
  .string()
  .refine(
    isInstanceId,
    "is no instance id: they look like inst_01K... and come from spawn_claude or get_instance_status",
  );

export const jobId = z
  .string()
  .refine(isJobId, "is no job id: they look like job_01K... and come from coordinate_instances")
  .describe("The job's id: the task_id of coordinate_instances");

export const idempotencyKey = z
  .string()
  .min(1)
  .max(200)
  .refine(storable, STORABLE)
  .optional()
  .describe("Makes repeating the call harmless");

/** In answers: who speaks, or will, is the simulator. */
export const simulated = z.literal(true).optional().describe("Made up by the simulator: no model was called");

/** Throws `too_large` for a text that is longer than a message may be. */
export function assertSize(
  name: string,
  value: string,
  limit: number = MAX_MESSAGE_BYTES,
  advice = "Send it in several messages.",
): void {
  if (value.length <= limit / 3) return;
  const bytes = new TextEncoder().encode(value).length;
  if (bytes <= limit) return;
  throw new MadroxError("too_large", `${name} has ${bytes} bytes, and at most ${limit} are taken. ${advice}`, {
    bytes,
    limit_bytes: limit,
  });
}

const tokens = z.int().min(1).optional();
const usd = z.number().min(LEAST_USD).max(1_000_000).optional();
const minutes = z.number().positive().max(525_600).optional();

/** A cap on an instance and everything below it. */
export const spendingLimits = {
  max_total_tokens: tokens.describe("Fresh tokens (input, cache writes, output) of it and everything below it"),
  max_cost: usd.describe("USD, of it and everything below it; checked before each model call"),
};

/** The same limits in one object, as the original's callers give them. */
export const resourceLimits = z
  .strictObject({ max_total_tokens: tokens, max_cost: usd, timeout_minutes: minutes })
  .optional()
  .describe("The same three in one object; what stands beside it goes before");

export const timeoutMinutes = minutes.describe("Idle time after which it ends");
export const turnMinutes = minutes.describe("Wall time of one turn");
