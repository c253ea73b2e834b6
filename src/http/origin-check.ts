/**
 * Which requests are looked at all. A web page can make a browser send requests here, by their real name or, with a DNS of
 * its own, by another: so the Host and the Origin have to be ones that the server knows. Without access keys the peer has to
 * be this machine as well, because a Host header alone can be forged.
 */
import type { AccessConfig } from "../auth/access.ts";
import { MadroxError } from "../platform/errors.ts";

const LOOPBACK_NAMES = new Set(["localhost", "127.0.0.1", "[::1]", "::1"]);

function isLoopbackName(hostname: string): boolean {
  return LOOPBACK_NAMES.has(hostname.toLowerCase());
}

/** Throws `forbidden` for what a page of a foreign origin sends. */
export function assertOrigin(request: Request, access: AccessConfig): void {
  const origin = request.headers.get("origin");
  if (origin === null || isAllowedOrigin(origin, new URL(request.url), access)) return;
  throw new MadroxError(
    "forbidden",
    "Web pages of other origins may not use this server. ALLOWED_ORIGINS names those that may.",
    { origin: origin.slice(0, 200) },
  );
}

/** Throws what `peerProblem` finds. */
export function assertPeer(request: Request, access: AccessConfig): void {
  const problem = peerProblem(request, access);
  if (problem) throw problem;
}

/** `unauthorized` for a request from elsewhere to a server without access keys, `forbidden` for a name that is not its own. */
export function peerProblem(request: Request, access: AccessConfig): MadroxError | null {
  const { hostname } = new URL(request.url);
  const details = { host: hostname.slice(0, 200) };
  if (access.accessKeys === null) {
    const peer = request.headers.get("cf-connecting-ip");
    if (isNamed(hostname, access) && (peer === null || isLoopbackAddress(peer))) return null;
    return new MadroxError(
      "unauthorized",
      "This server has no ACCESS_KEYS, so it answers only to the machine that it runs on, as http://localhost or http://127.0.0.1. To let others in, set the secret ACCESS_KEYS: npm run keys makes one.",
      details,
    );
  }
  // Nobody but Cloudflare says where a name below workers.dev leads.
  if (isNamed(hostname, access) || hostname.endsWith(".workers.dev")) return null;
  return new MadroxError(
    "forbidden",
    "This server does not answer to that host name. If it is the server's own, name it in PUBLIC_URL or ALLOWED_HOSTS.",
    details,
  );
}

function isNamed(hostname: string, access: AccessConfig): boolean {
  return isLoopbackName(hostname) || access.allowedHosts.includes(hostname);
}

/** Whether pages of this origin may use the server as it was asked for: its own, named ones, on loopback any of loopback. */
export function isAllowedOrigin(origin: string, asked: URL, access: AccessConfig): boolean {
  if (!URL.canParse(origin)) return false;
  const { host, hostname, protocol } = new URL(origin);
  if (!["http:", "https:"].includes(protocol)) return false;
  if (access.allowedOrigins.includes(`${protocol}//${host}`)) return true;
  if (isLoopbackName(asked.hostname)) return isNamed(hostname, access);
  return host === asked.host;
}

function isLoopbackAddress(address: string): boolean {
  return address === "::1" || address.startsWith("127.") || address.startsWith("::ffff:127.");
}
