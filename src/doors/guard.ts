/**
 * Who may knock at all. There is no access control yet, and what is behind the doors spends money: so they open for this
 * machine only. A Host header alone can be forged, and a web page can make a browser send requests here: the peer's
 * address, the Host and the Origin have to be loopback together.
 */
import { MadroxError } from "../errors.ts";

const LOOPBACK_NAMES = new Set(["localhost", "127.0.0.1", "[::1]", "::1"]);

export function isLoopbackName(hostname: string): boolean {
  return LOOPBACK_NAMES.has(hostname.toLowerCase());
}

/** Throws `unauthorized` for a request that does not come from this machine, `forbidden` for one that a foreign page made. */
export function assertLocal(request: Request, allowedHosts: readonly string[]): void {
  const url = new URL(request.url);
  const peer = request.headers.get("cf-connecting-ip");
  const allowed = (hostname: string) => isLoopbackName(hostname) || allowedHosts.includes(hostname);
  if (!allowed(url.hostname) || (peer !== null && !isLoopbackAddress(peer))) {
    throw new MadroxError(
      "unauthorized",
      "This server has no access control and answers only to the machine it runs on. Call it as http://localhost or http://127.0.0.1.",
      { host: url.hostname.slice(0, 200) },
    );
  }
  const origin = request.headers.get("origin");
  if (origin === null) return;
  const hostname = URL.canParse(origin) ? new URL(origin).hostname : "";
  if (!allowed(hostname)) {
    throw new MadroxError("forbidden", "Web pages of other origins may not use this server.", {
      origin: origin.slice(0, 200),
    });
  }
}

function isLoopbackAddress(address: string): boolean {
  return address === "::1" || address.startsWith("127.") || address.startsWith("::ffff:127.");
}
