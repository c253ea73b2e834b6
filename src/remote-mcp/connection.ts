/**
 * Connections to remote MCP servers: each for one piece of work, bounded in time and bytes, and to the one address that was
 * named. Both revisions of the protocol are spoken: the newer one is tried first.
 */
// Not loaded on use: it shares zod with everything else, and the bundler then runs that too late.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { describe } from "../platform/log.ts";
import { VERSION } from "../platform/version.ts";

/** Of all responses to one connection. A result that a model can read is far smaller. */
const MAX_RESPONSE_BYTES = 2 * 1024 * 1024;

/** Which server, and what it is shown. */
export interface Address {
  url: string;
  token: string | null;
}

/** A connection of its own for one piece of work. */
export async function connected<T>(
  { url, token }: Address,
  signal: AbortSignal,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = new Client(
    { name: "madrox", version: VERSION },
    { capabilities: {}, versionNegotiation: { mode: "auto" }, inputRequired: { autoFulfill: false } },
  );
  const transport = new StreamableHTTPClientTransport(new URL(url), {
    fetch: boundedFetch(signal),
    requestInit: { headers: token === null ? {} : { authorization: `Bearer ${token}` } },
    reconnectionOptions: {
      maxRetries: 0,
      initialReconnectionDelay: 1_000,
      maxReconnectionDelay: 1_000,
      reconnectionDelayGrowFactor: 1,
    },
  });
  const stopped = new Promise<never>((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  try {
    signal.throwIfAborted();
    return await Promise.race([client.connect(transport, { signal }).then(() => work(client)), stopped]);
  } finally {
    stopped.catch(() => undefined);
    await client.close().catch(() => undefined);
  }
}

class Refused extends Error {}

/** A fetch that goes nowhere else, and takes only so much. */
function boundedFetch(signal: AbortSignal): (url: string | URL, init?: RequestInit) => Promise<Response> {
  let left = MAX_RESPONSE_BYTES;
  return async (url, init) => {
    const own = init?.signal ? AbortSignal.any([init.signal, signal]) : signal;
    const response = await fetch(url, { ...init, redirect: "manual", signal: own });
    if (response.status >= 300 && response.status < 400) {
      await response.body?.cancel();
      throw new Refused("it sends elsewhere (a redirect), which is not followed. Name the address itself");
    }
    if (!response.body) return response;
    const counted = response.body.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          left -= chunk.byteLength;
          if (left < 0) controller.error(new Refused(`it answered with more than ${MAX_RESPONSE_BYTES} bytes`));
          else controller.enqueue(chunk);
        },
      }),
    );
    return new Response(counted, response);
  };
}

/** Whether the connection failed rather than the call: then nobody knows how far the server got. */
export function isBroken(error: unknown): boolean {
  if (error instanceof Refused) return false;
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  // Errors of the protocol carry the server's own code, a number.
  return typeof code !== "number";
}

/** What went wrong, as the end of a sentence; never the token. */
export function failureOf(error: unknown, { token }: Pick<Address, "token">): string {
  const cause = error instanceof Error && error.cause instanceof Refused ? error.cause : error;
  const said = describe(cause).replace(/\.$/, "").slice(0, 1_000).toWellFormed();
  return token === null ? said : said.replaceAll(token, "[token]");
}
