/**
 * A server with keys, and client libraries of both eras that log in to it.
 */
import { keyed, newKey } from "./keyed.ts";
import { authorizePath, newPkce, pageOf, register } from "./oauth.ts";

export const KEY = newKey();

export const READER = newKey();

export const KEYS = { alice: KEY, bob: { key: READER, scopes: ["read"] } };

export const server = keyed(KEYS);

export const statusWith = async (token: string, path = "/instances", at = server) =>
  (await at.request(path, { key: token })).status;

export async function page(change: Record<string, string | null> = {}, metadata: Record<string, unknown> = {}) {
  const clientId = await register(server, metadata);
  const pkce = await newPkce();
  return { clientId, pkce, ...(await pageOf(await server.request(authorizePath(clientId, pkce, change)))) };
}

export const INFO = { name: "test", version: "1" };

export const URL_OF_MCP = new URL("/mcp", server.origin);
