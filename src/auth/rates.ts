/**
 * How often an address may fail, and how often a key may call. Counted by the platform's rate limiter, in each of its
 * locations; a deployment without the bindings counts nothing.
 */
import { MadroxError } from "../platform/errors.ts";

/** What wrangler.toml gives the bindings: seconds until a caller that is over its limit can be sure to be under it. */
const PERIOD_SECONDS = 60;

/** Counts a failed login of the request's address. Throws `limit_reached` once there were too many in a minute. */
export async function countFailure(request: Request, limiter: RateLimit | undefined): Promise<void> {
  await count(limiter, addressOf(request), "There were too many failed logins from your address.");
}

/** Counts something that an address may do without a key, but not for ever. Throws `limit_reached`. */
export async function countOpenCall(request: Request, limiter: RateLimit | undefined): Promise<void> {
  await count(limiter, `open ${addressOf(request)}`, "There were too many requests without a key from your address.");
}

/** Counts a request of a key. Throws `limit_reached` once there were too many in a minute. */
export async function countCall(keyId: string, limiter: RateLimit | undefined): Promise<void> {
  await count(limiter, keyId, "There were too many requests with this key.");
}

async function count(limiter: RateLimit | undefined, key: string, reached: string): Promise<void> {
  if (!limiter || (await limiter.limit({ key })).success) return;
  throw new MadroxError("limit_reached", `${reached} Try again in a minute.`, { retry_after_seconds: PERIOD_SECONDS });
}

/** Whoever has an IPv6 address has its whole /64. */
function addressOf(request: Request): string {
  const address = request.headers.get("cf-connecting-ip") ?? "";
  if (!address.includes(":") || address.includes(".")) return address;
  const [head = "", tail] = address.split("::");
  const before = head.split(":").filter(Boolean);
  const after = tail?.split(":").filter(Boolean) ?? [];
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  return [...before, ...Array.from({ length: Math.max(0, zeros) }, () => "0"), ...after].slice(0, 4).join(":");
}
