/**
 * Rate limits: failed logins per address, calls per key. The platform counts, separately per location; a deployment without the
 * bindings has no limits.
 */
import type { Principal } from "../contracts/principal.ts";
import { MadroxError } from "../platform/errors.ts";

/** The period of the bindings in wrangler.toml: after so many seconds a caller over its limit is certainly under it again. */
const PERIOD_SECONDS = 60;

/** Counts a failed login of the request's address. Throws `limit_reached` after too many per minute. */
export async function countFailure(request: Request, limiter: RateLimit | undefined): Promise<void> {
  await count(limiter, addressOf(request), "There were too many failed logins from your address.");
}

/** Counts a call that needs no key, by address. Throws `limit_reached` after too many per minute. */
export async function countOpenCall(request: Request, limiter: RateLimit | undefined): Promise<void> {
  await count(limiter, `open ${addressOf(request)}`, "There were too many requests without a key from your address.");
}

/**
 * Counts calls with the key of a principal. Throws `limit_reached` after too many per minute. A principal without a key calls from the
 * server's own machine, which has no limit.
 */
export async function countCalls(
  { keyId }: Pick<Principal, "keyId">,
  limiter: RateLimit | undefined,
  calls = 1,
): Promise<void> {
  if (keyId === null) return;
  for (let i = 0; i < calls; i++) await count(limiter, keyId, "There were too many calls with this key.");
}

async function count(limiter: RateLimit | undefined, key: string, reached: string): Promise<void> {
  if (!limiter || (await limiter.limit({ key })).success) return;
  throw new MadroxError("limit_reached", `${reached} Try again in a minute.`, { retry_after_seconds: PERIOD_SECONDS });
}

/** The address that a request is counted under: an IPv6 caller has a whole /64 to choose from, so all of it counts as one. */
function addressOf(request: Request): string {
  const address = request.headers.get("cf-connecting-ip") ?? "";
  if (!address.includes(":") || address.includes(".")) return address;
  const [head = "", tail] = address.split("::");
  const before = head.split(":").filter(Boolean);
  const after = tail?.split(":").filter(Boolean) ?? [];
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  return [...before, ...Array.from({ length: Math.max(0, zeros) }, () => "0"), ...after].slice(0, 4).join(":");
}
