/**
 * When a request is sent again, and after which pause. Only requests that may be repeated come here: reads, and changes that
 * carry an idempotency key.
 */
import type { MadroxError } from "./error.ts";

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 8_000;
/** A server that asks for more patience than this gets none: the caller decides. */
const LONGEST_ASKED_MS = 60_000;

/**
 * The pause before a request is sent again, in ms; null when it is not. `tries` is how often it failed, `retryAfter` the
 * header's text.
 *
 * No answer, an answer of something in between (a proxy's page), and `internal` may pass by themselves. A limit passes by
 * itself only when the server says when: a full house does not empty by asking. A message that failed stays failed.
 */
export function pauseBeforeRetry(error: MadroxError, tries: number, retryAfter: string | null): number | null {
  const asked = askedPause(error, retryAfter);
  if (asked !== null) return asked <= LONGEST_ASKED_MS ? asked : null;
  const passes =
    error.code === "network_error" || error.code === "internal" || (error.code === "bad_answer" && error.status >= 500);
  if (!passes || error.answer.message_id !== undefined) return null;
  // Doubles with each try, spread so that those who failed together do not come back together.
  return Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (tries - 1)) * (0.5 + Math.random() / 2);
}

function askedPause(error: MadroxError, retryAfter: string | null): number | null {
  if (error.status !== 429 && error.status !== 503) return null;
  const asked = retryAfter ?? error.details.retry_after_seconds;
  if (asked === null || asked === undefined || asked === "") return null;
  // A proxy may name the time itself.
  const ms = Number.isNaN(Number(asked)) ? Date.parse(String(asked)) - Date.now() : Number(asked) * 1000;
  return Number.isFinite(ms) ? Math.max(0, ms) : null;
}

/** Waits, unless the caller gives up: then it throws the signal's reason. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const give = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", give);
      resolve();
    }, ms);
    signal?.addEventListener("abort", give, { once: true });
  });
}
