/**
 * The listener of `npm start`: a Worker of its own that has the only socket of the runtime, and hands on what the product may
 * see. On Cloudflare the platform stands here. It runs in the runtime, as it stands in this file: nothing is imported.
 */

interface Env {
  /** The product's Worker, or the router of its pages before it. */
  NEXT: { fetch(request: Request): Promise<Response> };
}

/** What the runtime knows of a connection. It comes from the socket; no header reaches it. */
interface Peer {
  /** `127.0.0.1:50412`, or `[::1]:50412`. */
  clientIp?: string;
}

/** Headers that only a platform or a proxy sets, and that say who asks, for which address, and by which way. */
const PLATFORM_HEADERS =
  /^(cf-|mf-|x-mf-|x-agents-|x-forwarded-|forwarded$|x-original-|x-rewrite-|x-real-ip$|x-client-ip$|x-cluster-client-ip$|true-client-ip$|fastly-client-ip$|cdn-loop$|via$)/;

/** A host name or an address, and a port. Whatever else stands in `Host` would become part of the URL. */
const HOST = /^([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?$/i;

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const url = asked(request);
    if (!url) return refused(400, "invalid_input", "The request names no host, or what it names is none.");
    if (isPlatformPath(url.pathname)) {
      return refused(404, "not_found", "There is nothing below /cdn-cgi/. GET /tools lists what can be done.");
    }
    // The path without its dots, as the platform hands it on.
    const inward = new Request(url, request);
    // Some servers read an underscore in a name as a hyphen.
    for (const name of [...request.headers.keys()]) {
      if (PLATFORM_HEADERS.test(name.replaceAll("_", "-"))) inward.headers.delete(name);
    }
    const { clientIp } = ((request as Request & { cf?: Peer }).cf ?? {}) as Peer;
    inward.headers.set("cf-connecting-ip", addressOf(clientIp));
    return env.NEXT.fetch(inward);
  },
};

/** What the request asks for; null where the host or the path is none, and the two together would be something else. */
function asked(request: Request): URL | null {
  const host = request.headers.get("host") ?? "";
  if (!HOST.test(host) || !URL.canParse(`http://${host}`) || !URL.canParse(request.url)) return null;
  const url = new URL(request.url);
  return url.host === new URL(`http://${host}`).host ? url : null;
}

/** The address of a peer without its port. Throws where there is none: nobody is taken for the machine itself by mistake. */
export function addressOf(peer: string | undefined): string {
  const [, six, four] = /^(?:\[(.+)\]|([^:]+)):\d+$/.exec(peer ?? "") ?? [];
  const address = six ?? four;
  if (!address) throw new Error(`The runtime does not say who asks: ${peer}.`);
  return address;
}

/** Whether a path leads to what a platform keeps below /cdn-cgi/, in whichever spelling somebody might understand it. */
export function isPlatformPath(pathname: string): boolean {
  const plain = decoded(pathname).replaceAll("\\", "/").toLowerCase();
  const steps: string[] = [];
  for (const step of plain.split("/")) {
    // What follows a semicolon is a parameter of the step.
    const [name = ""] = step.replace(/[^\x21-\x7e]/g, "").split(";");
    if (name === "..") steps.pop();
    else if (name !== "" && name !== ".") steps.push(name);
  }
  return steps[0] === "cdn-cgi";
}

/** A path without its percent signs, however often they were put upon each other. */
function decoded(path: string): string {
  for (let left = 8; left > 0; left--) {
    const once = path.replace(/%([0-9a-f]{2})/gi, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
    if (once === path) break;
    path = once;
  }
  return path;
}

function refused(status: number, error: string, message: string): Response {
  return Response.json(
    { success: false, error, message },
    { status, headers: { "cache-control": "no-store", "x-content-type-options": "nosniff" } },
  );
}
