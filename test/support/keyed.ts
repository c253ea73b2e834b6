/**
 * The product with access keys, in the same workerd as the tests of the open one: the same Worker with another environment.
 */

import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { createApp } from "../../src/http/app.ts";
import { INSTANCE_TOOLS } from "../../src/tools/own/index.ts";
import { TEST_TOOLS } from "../entry/tools.ts";
import type { Json } from "./door.ts";
import { mcpTool } from "./mcp.ts";

/** Keys as `npm run keys` makes them. */
export function newKey(): string {
  return `mdx_${crypto.randomUUID()}${crypto.randomUUID()}`;
}

/** An address that nobody else in these tests has, for what is counted by address. */
export function newAddress(): string {
  const [a, b, c] = crypto.getRandomValues(new Uint8Array(3));
  return `10.${a}.${b}.${c}`;
}

export interface Keyed {
  origin: string;
  /** Sends a request, from a new address unless one is given. */
  request(path: string, init?: RequestInit & { key?: string | undefined; from?: string }): Promise<Response>;
  /** The same for the client libraries. */
  fetch(url: string | URL, init?: RequestInit): Promise<Response>;
  /** Runs a tool over REST. */
  tool(key: string, name: string, input: Record<string, unknown>): Promise<Json>;
  /** The same tool over MCP. */
  mcpTool(key: string, name: string, input: Record<string, unknown>): Promise<Json>;
}

/** A server with these keys. `vars` go before the environment's. */
export function keyed(
  keys: Record<string, unknown> | string | undefined,
  vars: Partial<Env> = {},
  origin = "http://localhost",
): Keyed {
  const app = createApp([...INSTANCE_TOOLS, ...TEST_TOOLS]);
  const ACCESS_KEYS = typeof keys === "object" ? JSON.stringify(keys) : keys;
  const settings = { ...env, ...(ACCESS_KEYS === undefined ? {} : { ACCESS_KEYS }), ...vars } as Env;
  const serve = (request: Request) =>
    app.fetch?.(request as never, settings, createExecutionContext()) as unknown as Promise<Response>;

  const server: Keyed = {
    origin,
    request(path, { key, from = newAddress(), ...init } = {}) {
      const headers = new Headers(init.headers);
      headers.set("cf-connecting-ip", from);
      headers.set("host", new URL(origin).host);
      if (key !== undefined) headers.set("authorization", `Bearer ${key}`);
      return serve(new Request(origin + path, { redirect: "manual", ...init, headers }));
    },
    fetch: (url, init) => {
      const { pathname, search } = new URL(url);
      return server.request(pathname + search, init);
    },
    async tool(key, name, input) {
      const response = await server.request("/tools/execute", {
        method: "POST",
        key,
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ tool: name, arguments: input }),
      });
      return (await response.json()) as Json;
    },
    mcpTool: (key, name, input) => mcpTool(name, input, (path, init) => server.request(path, { ...init, key })),
  };
  return server;
}

/** The id of a new job in which an instance works. */
export async function jobWith(server: Keyed, key: string, instance: string): Promise<string> {
  const coordinator_id = (await server.tool(key, "spawn_claude", { name: "Cora" })).instance_id;
  const job = { coordinator_id, participant_ids: [instance], task_description: "Build." };
  return String((await server.tool(key, "coordinate_instances", job)).task_id);
}
