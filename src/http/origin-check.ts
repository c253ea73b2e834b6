/**
 * Host and Origin validation. A web page can make a browser send requests here, under the server's name or, by DNS rebinding,
 * under another: so both headers have to name a host that the server knows. Without access keys the peer address has to be
 * loopback as well, because a Host header alone can be forged.
 */
import type { AccessConfig } from "../auth/access-config.ts";
import { MadroxError } from "../platform/errors.ts";

const LOOPBACK_HOSTS = new Set(["localhost", "127.0.0.1", "[::1]", "::1"]);

function isLoopbackHost(hostname: string): boolean {
  return LOOPBACK_HOSTS.has(hostname.toLowerCase());
}

/** Throws `forbidden` for a request from a page of an origin that is not allowed. */
export function assertOrigin(request: Request, access: AccessConfig): void {
  const origin = request.headers.get("origin");
  if (origin === null || isAllowedOrigin(origin, new URL(request.url), access)) return;
  throw new MadroxError(
    "forbidden",
    "Web pages of other origins may not use this server. ALLOWED_ORIGINS names those that may.",
    { origin: origin.slice(0, 200) },
  );
}

/** Throws the problem that `hostProblem` finds. */
export function assertHost(request: Request, access: AccessConfig): void {
  const problem = hostProblem(request, access);
  if (problem) throw problem;
}

/** `unauthorized` for a request that does not come from this machine to a server without access keys, `forbidden` for a host name that is not the server's. */
export function hostProblem(request: Request, access: AccessConfig): MadroxError | null {
  const { hostname } = new URL(request.url);
  const details = { host: hostname.slice(0, 200) };
  if (access.accessKeys === null) {
    const peer = request.headers.get("cf-connecting-ip");
    if (isOwnHost(hostname, access) && (peer === null || isLoopbackAddress(peer))) return null;
    return new MadroxError(
      "unauthorized",
      "This server has no ACCESS_KEYS, so it answers only to the machine that it runs on, as http://localhost or http://127.0.0.1. To let others in, set the secret ACCESS_KEYS: npm run keys makes one.",
      details,
    );
  }
  // Only Cloudflare can route a name below workers.dev, so it can't be used for DNS rebinding.
  if (isOwnHost(hostname, access) || hostname.endsWith(".workers.dev")) return null;
  return new MadroxError(
    "forbidden",
    "This server does not answer to that host name. If it is the server's own, name it in PUBLIC_URL or ALLOWED_HOSTS.",
    details,
  );
}

function isOwnHost(hostname: string, access: AccessConfig): boolean {
  return isLoopbackHost(hostname) || access.allowedHosts.includes(hostname);
}

/** Whether pages of this origin may call the server at `url`: the same host, an allowed origin, or both of them loopback. */
export function isAllowedOrigin(origin: string, url: URL, access: AccessConfig): boolean {
  if (!URL.canParse(origin)) return false;
  const { host, hostname, protocol } = new URL(origin);
  if (!["http:", "https:"].includes(protocol)) return false;
  if (access.allowedOrigins.includes(`${protocol}//${host}`)) return true;
  if (isLoopbackHost(url.hostname)) return isOwnHost(hostname, access);
  return host === url.host;
}

function isLoopbackAddress(address: string): boolean {
  return address === "::1" || address.startsWith("127.") || address.startsWith("::ffff:127.");
}
