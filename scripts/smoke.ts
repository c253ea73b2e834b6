/**
 * `npm run smoke -- <url> [<access key>]`: whether a server answers as it should, from outside. Changes nothing there, and
 * calls no model.
 */
import { fileURLToPath } from "node:url";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { Madrox } from "../src/client/index.ts";

/** Throws what is wrong; otherwise says, a line each, what was found to be right. */
export async function smoke(url: string, accessKey?: string): Promise<string[]> {
  const said: string[] = [];
  const madrox = new Madrox({ url, ...(accessKey ? { accessKey } : {}) });
  const health = await madrox.health();
  said.push(`alive, version ${String(health.version)}`);
  const document = (await (await fetch(`${url}/openapi.json`)).json()) as { openapi?: string };
  if (document.openapi !== "3.1.0") throw new Error(`${url}/openapi.json is no OpenAPI document.`);
  said.push(`described at ${url}/docs`);
  if (accessKey) {
    const stranger = await fetch(`${url}/instances`);
    if (stranger.status !== 401) throw new Error(`Without a key, /instances answers ${stranger.status} and not 401.`);
    said.push("closed to those without a key");
  }
  const { status } = await madrox.getInstanceStatus({ limit: 1 });
  said.push(`its storage answers: ${String(status.total_instances)} instances`);
  const client = new Client({ name: "madrox-smoke", version: "1" });
  const requestInit = accessKey ? { headers: { authorization: `Bearer ${accessKey}` } } : {};
  await client.connect(new StreamableHTTPClientTransport(new URL(`${url}/mcp`), { requestInit }));
  const { tools } = await client.listTools();
  await client.close();
  said.push(`MCP at ${url}/mcp with ${tools.length} tools`);
  return said;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [url, key] = process.argv.slice(2);
  if (!url) {
    console.error("Usage: npm run smoke -- <url> [<access key>]");
    process.exit(2);
  }
  for (const line of await smoke(url.replace(/\/$/, ""), key)) console.log(`ok  ${line}`);
}
