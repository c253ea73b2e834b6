/**
 * For tests and demos in Node: a fetch-style handler as an HTTP server on loopback.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface NodeServer {
  url: string;
  close(): Promise<void>;
}

/** Serves `handle` on a free port of 127.0.0.1. A client that goes away cancels the answer's body. */
export async function serve(handle: (request: Request) => Promise<Response>): Promise<NodeServer> {
  const server: Server = createServer((incoming, outgoing) => {
    answer(incoming, outgoing, handle).catch(() => outgoing.destroy());
  });
  // Node hangs up after 5 idle seconds: whoever sends at that moment loses the call, and that is not what is tried here.
  server.keepAliveTimeout = 0;
  // As many as begin at once find a place in the queue.
  await new Promise<void>((listening) => server.listen({ port: 0, host: "127.0.0.1", backlog: 2048 }, listening));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  handle: (request: Request) => Promise<Response>,
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const gone = new AbortController();
  outgoing.once("close", () => gone.abort());
  const response = await handle(
    new Request(new URL(incoming.url ?? "/", "http://127.0.0.1"), {
      method: incoming.method ?? "GET",
      headers: incoming.headers as Record<string, string>,
      signal: gone.signal,
      ...(chunks.length > 0 ? { body: Buffer.concat(chunks) } : {}),
    }),
  );
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  const reader = response.body?.getReader();
  if (reader) {
    gone.signal.addEventListener("abort", () => void reader.cancel().catch(() => undefined));
    for (let part = await reader.read(); !part.done; part = await reader.read()) outgoing.write(part.value);
  }
  outgoing.end();
}
