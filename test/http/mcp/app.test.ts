/**
 * The MCP App over /mcp: who declares the extension is told which tools have a view and can read it; to everybody else nothing
 * is different. test/e2e/app.test.ts has the view itself.
 */
import { env, exports } from "cloudflare:workers";
import {
  Client as ModernClient,
  StreamableHTTPClientTransport as ModernTransport,
  type Transport as ModernTransportShape,
} from "@modelcontextprotocol/client";
import { Client as LegacyClient } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as LegacyTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport as LegacyTransportShape } from "@modelcontextprotocol/sdk/shared/transport.js";
import { describe, expect, it, onTestFinished } from "vitest";
import { createApp } from "../../../src/http/app.ts";
import { ORIGIN } from "../../support/door.ts";

const EXTENSION = "io.modelcontextprotocol/ui";
const MIME_TYPE = "text/html;profile=mcp-app";
const SHOWS_APPS = { extensions: { [EXTENSION]: { mimeTypes: [MIME_TYPE] } } };
const INFO = { name: "test", version: "1" };

type Fetch = (url: string | URL, init?: RequestInit) => Promise<Response>;

/** The Worker in the place of the network. workerd sets a Host header by itself, a synthetic request has none. */
function called(url: string | URL, init?: RequestInit): Request {
  const headers = new Headers(init?.headers);
  headers.set("host", new URL(url).host);
  return new Request(url, { ...init, headers });
}
const worker: Fetch = (url, init) => exports.default.fetch(called(url, init));

/** A deployment whose pages nobody built. */
const withoutPages: Fetch = async (url, init) => {
  const { ASSETS: _none, ...rest } = env;
  const context = { waitUntil: () => undefined, passThroughOnException: () => undefined };
  return createApp().fetch?.(called(url, init) as never, rest as Env, context as unknown as ExecutionContext) as never;
};

async function legacy(capabilities: object, fetch: Fetch = worker) {
  const client = new LegacyClient(INFO, { capabilities });
  const transport = new LegacyTransport(new URL("/mcp", ORIGIN), { fetch });
  await client.connect(transport as LegacyTransportShape);
  onTestFinished(() => client.close());
  return { client, extensions: extensionsIn(client.getServerCapabilities()), session: transport.sessionId };
}

async function modern(capabilities: object, fetch: Fetch = worker) {
  const client = new ModernClient(INFO, { capabilities, versionNegotiation: { mode: "auto" } });
  await client.connect(new ModernTransport(new URL("/mcp", ORIGIN), { fetch }) as ModernTransportShape);
  onTestFinished(() => client.close());
  return { client, extensions: extensionsIn(client.getServerCapabilities()), session: undefined };
}

const extensionsIn = (capabilities: unknown) =>
  Object.keys((capabilities as { extensions?: Record<string, unknown> } | undefined)?.extensions ?? {});

const viewOf = ({ _meta }: { _meta?: Record<string, unknown> }) =>
  (_meta?.ui as { resourceUri?: string } | undefined)?.resourceUri;

describe.each([
  ["2025-11-25", legacy],
  ["2026-07-28", modern],
] as const)("a client of %s", (era, connect) => {
  it("that shows apps is told which tools have a view, and reads it", async () => {
    const { client, extensions, session } = await connect(SHOWS_APPS);
    expect(extensions).toContain(EXTENSION);
    expect(session !== undefined).toBe(era === "2025-11-25");
    const { tools } = await client.listTools();
    const shown = tools.filter(viewOf);
    expect(shown.map(({ name }) => name)).toEqual([
      "spawn_team",
      "get_instance_output",
      "get_instance_status",
      "get_instance_tree",
    ]);
    expect(JSON.stringify({ tools }).length).toBeLessThan(24 * 1024);
    const [uri = ""] = new Set(shown.map(viewOf));
    const { resources } = await client.listResources();
    expect(resources.filter((resource) => resource.uri.startsWith("ui://"))).toEqual([
      expect.objectContaining({ uri, mimeType: MIME_TYPE }),
    ]);
    const { contents } = await client.readResource({ uri });
    expect(contents).toEqual([
      {
        uri,
        mimeType: MIME_TYPE,
        text: expect.stringMatching(/^<!doctype html>/),
        _meta: {
          ui: {
            csp: { connectDomains: [], resourceDomains: [], frameDomains: [], baseUriDomains: [] },
            prefersBorder: true,
          },
        },
      },
    ]);
    // What the tools themselves answer stays what it is.
    const answer = await client.callTool({ name: "get_instance_tree", arguments: {} });
    expect(answer.structuredContent).toMatchObject({ success: true, tree: expect.any(Array) });
  });

  it.each([
    ["declares nothing", {}],
    ["shows apps of another kind", { extensions: { [EXTENSION]: { mimeTypes: ["text/html;profile=other"] } } }],
    ["declares the extension without saying what it shows", { extensions: { [EXTENSION]: {} } }],
  ])("that %s sees nothing of it", async (_what, capabilities) => {
    const { client, extensions, session } = await connect(capabilities);
    expect(extensions).not.toContain(EXTENSION);
    expect(session).toBeUndefined();
    expect((await client.listTools()).tools.filter(({ _meta }) => _meta?.ui)).toEqual([]);
    expect(JSON.stringify(await client.listResources())).not.toContain("ui://");
  });

  it("that shows apps is told of none by a deployment that has no pages", async () => {
    const { client, extensions, session } = await connect(SHOWS_APPS, withoutPages);
    expect(extensions).not.toContain(EXTENSION);
    expect(session).toBeUndefined();
    expect((await client.listTools()).tools.filter(viewOf)).toEqual([]);
    expect(JSON.stringify(await client.listResources())).not.toContain("ui://");
    await expect(client.readResource({ uri: "ui://madrox/fleet" })).rejects.toThrow("not part of this deployment");
  });
});
