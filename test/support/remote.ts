/**
 * Remote MCP servers of the tests: made of the real server, and put behind `fetch` by their host names.
 */
import { McpServer } from "@modelcontextprotocol/server";
import { createMcpHandler } from "agents/mcp/server";
import { vi } from "vitest";

type Handler = (request: Request) => Response | Promise<Response>;

const hosts = new Map<string, Handler>();

/** Answers what is sent to `https://<host>`. Call after `installModel`. */
export function serveHost(host: string, handler: Handler): void {
  if (hosts.size === 0) {
    const before = vi.mocked(globalThis.fetch).getMockImplementation();
    vi.mocked(globalThis.fetch).mockImplementation((input, init) => {
      const request = new Request(input as Request, init as RequestInit);
      const found = hosts.get(new URL(request.url).hostname);
      if (!found) return before?.(input, init) ?? Promise.reject(new Error("no fetch"));
      const gone = new Promise<never>((_resolve, reject) => {
        request.signal.addEventListener("abort", () => reject(request.signal.reason), { once: true });
      });
      return Promise.race([Promise.resolve().then(() => found(request)), gone]);
    });
  }
  hosts.set(host, handler);
}

/** A server of both revisions; `legacy`: it knows nothing of the newer one. Each request is told to `seen`. */
export function mcpServer(
  register: (server: McpServer) => void,
  { legacy = false, seen }: { legacy?: boolean; seen?: (request: Request, body: Record<string, unknown>) => void } = {},
): Handler {
  const handle = createMcpHandler(
    () => {
      const server = new McpServer({ name: "remote", version: "1" });
      register(server);
      return server;
    },
    { route: "/mcp", allowedHostnames: [...hosts.keys(), "one.remote-tools.dev"] },
  );
  return async (request) => {
    if (request.method !== "POST") return new Response(null, { status: 405 });
    const body = (await request.clone().json()) as Record<string, unknown>;
    seen?.(request, body);
    if (legacy && body.method === "server/discover") {
      const error = { code: -32601, message: "Method not found" };
      return Response.json({ jsonrpc: "2.0", id: body.id, error }, { status: 400 });
    }
    // As on the network; a request that is made by hand has none.
    const headers = new Headers(request.headers);
    headers.set("host", new URL(request.url).host);
    return handle(
      new Request(request, { headers }) as never,
      {} as never,
      { waitUntil() {}, passThroughOnException() {}, props: {} } as never,
    );
  };
}
