/**
 * Logging in with OAuth, as the client libraries of both eras do it, and what a login may.
 */
import {
  Client as ModernClient,
  type OAuthClientProvider as ModernProvider,
  StreamableHTTPClientTransport as ModernTransport,
  type Transport as ModernTransportShape,
} from "@modelcontextprotocol/client";
import type { OAuthClientProvider as LegacyProvider } from "@modelcontextprotocol/sdk/client/auth.js";
import { Client as LegacyClient } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as LegacyTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport as LegacyTransportShape } from "@modelcontextprotocol/sdk/shared/transport.js";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { keyed, newKey } from "../support/keyed.ts";
import {
  authorizePath,
  CALLBACK,
  comesBackWith,
  decide,
  login,
  newPkce,
  pageOf,
  postToken,
  refresh,
  register,
  type Tokens,
} from "../support/oauth.ts";
import { INFO, KEY, KEYS, page, READER, server, statusWith, URL_OF_MCP } from "../support/oauth-server.ts";

/** A client's memory, and the user whom it sends to the browser. */
class Memory {
  readonly redirectUrl = CALLBACK;
  readonly clientMetadata = {
    client_name: "A real client",
    redirect_uris: [CALLBACK],
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
    token_endpoint_auth_method: "none",
  };
  saved: Tokens | undefined;
  sentTo: URL | undefined;
  #client: { client_id: string } | undefined;
  #verifier = "";
  clientInformation = () => this.#client;
  saveClientInformation(client: { client_id: string }): void {
    this.#client = client;
  }
  tokens = () => this.saved;
  saveTokens(tokens: unknown): void {
    this.saved = tokens as Tokens;
  }
  redirectToAuthorization(url: URL): void {
    this.sentTo = url;
  }
  saveCodeVerifier(verifier: string): void {
    this.#verifier = verifier;
  }
  codeVerifier = () => this.#verifier;
}

interface Peer {
  connect(): Promise<void>;
  finish(parameters: URLSearchParams): Promise<void>;
  call(): Promise<unknown>;
}

function legacyPeer(memory: Memory): Peer {
  const authProvider = memory as unknown as LegacyProvider;
  let client = new LegacyClient(INFO);
  let transport = new LegacyTransport(URL_OF_MCP, { fetch: server.fetch, authProvider });
  return {
    connect: async () => {
      client = new LegacyClient(INFO);
      transport = new LegacyTransport(URL_OF_MCP, { fetch: server.fetch, authProvider });
      onTestFinished(() => client.close());
      await client.connect(transport as LegacyTransportShape);
    },
    finish: (parameters) => transport.finishAuth(parameters.get("code") ?? ""),
    call: async () => (await client.callTool({ name: "get_instance_status", arguments: {} })).structuredContent,
  };
}

function modernPeer(memory: Memory): Peer {
  const authProvider = memory as unknown as ModernProvider;
  let client = new ModernClient(INFO);
  let transport = new ModernTransport(URL_OF_MCP, { fetch: server.fetch, authProvider });
  return {
    connect: async () => {
      client = new ModernClient(INFO, { versionNegotiation: { mode: "auto" } });
      transport = new ModernTransport(URL_OF_MCP, { fetch: server.fetch, authProvider });
      onTestFinished(() => client.close());
      await client.connect(transport as ModernTransportShape);
    },
    finish: (parameters) => transport.finishAuth(parameters),
    call: async () => (await client.callTool({ name: "get_instance_status", arguments: {} })).structuredContent,
  };
}

describe.each([
  { era: "2025-11-25", peerOf: legacyPeer },
  { era: "2026-07-28", peerOf: modernPeer },
])("a client library of $era", ({ peerOf }) => {
  it("finds the login by itself, registers, gets in, refreshes, and is out once revoked", async () => {
    const memory = new Memory();
    const peer = peerOf(memory);
    await expect(peer.connect()).rejects.toThrow();
    const { sentTo } = memory;
    expect(sentTo?.searchParams.get("resource")).toBe("http://localhost/mcp");
    expect(sentTo?.searchParams.get("scope")?.split(" ")).toEqual(expect.arrayContaining(["read", "operate"]));
    const asked = await pageOf(await server.request(`${sentTo?.pathname}${sentTo?.search}`));
    expect(asked.html).toContain("A real client");
    await peer.finish(new URLSearchParams(comesBackWith(await decide(server, asked, { key: KEY }))));
    await peer.connect();
    expect(await peer.call()).toMatchObject({ success: true });

    const first = memory.saved as Tokens;
    memory.saved = { ...first, access_token: "alice.00000000:gone:gone" };
    expect(await peer.call()).toMatchObject({ success: true });
    const second = memory.saved as Tokens;
    expect(second.access_token).not.toBe(first.access_token);
    expect(second.refresh_token).not.toBe(first.refresh_token);

    const clientId = memory.clientInformation()?.client_id ?? "";
    expect((await postToken(server, { token: second.refresh_token, client_id: clientId })).status).toBe(200);
    expect(await statusWith(second.access_token)).toBe(401);
    expect((await refresh(server, clientId, second.refresh_token)).status).toBe(400);
    await expect(peer.call()).rejects.toThrow();
  });
});

describe("what a login may", () => {
  it.each([
    { what: "is what was ticked, and no more", key: KEY, scopes: ["read"], granted: "read" },
    {
      what: "can be more than was asked for",
      key: KEY,
      scopes: ["read", "operate", "admin"],
      granted: "read operate admin",
    },
    { what: "is never more than the key may", key: READER, scopes: ["read", "operate", "admin"], granted: "read" },
  ])("$what", async ({ key, scopes, granted }) => {
    const { tokens } = await login(server, key, { scopes });
    expect(tokens.scope).toBe(granted);
    const spawned = await server.tool(tokens.access_token, "spawn_claude", { name: "Ada" });
    expect(spawned.success).toBe(granted.includes("operate"));
    const limited = await server.tool(tokens.access_token, "set_limits", { max_cost: 100 });
    expect(limited.success).toBe(granted.includes("admin"));
  });

  it.each([
    { scopes: ["operate"], key: READER },
    { scopes: [], key: KEY },
    { scopes: ["root", "offline_access"], key: KEY },
  ])("can't be nothing: $scopes", async ({ scopes, key }) => {
    const response = await decide(server, await page(), { key, scopes });
    expect(response.status).toBe(403);
    expect((await pageOf(response)).html).toMatch(/Tick what it may do|This key may only: read/);
  });

  it("is for the key's tenant", async () => {
    const { tokens } = await login(server, KEY);
    const id = String((await server.tool(tokens.access_token, "spawn_claude", { name: "Ada" })).instance_id);
    expect(await statusWith(KEY, `/instances/${id}`)).toBe(200);
    expect(await statusWith(READER, `/instances/${id}`)).toBe(404);
  });

  it("is for this address of the server alone", async () => {
    const { tokens } = await login(server, KEY);
    const elsewhere = keyed(KEYS, {}, "http://127.0.0.1:8001");
    expect(await statusWith(tokens.access_token, "/instances", elsewhere)).toBe(401);
  });

  it("ends with its key", async () => {
    const { tokens, clientId } = await login(server, KEY);
    const without = keyed({ alice: newKey() });
    expect(await statusWith(tokens.access_token, "/instances", without)).toBe(401);
    const moved = keyed({ carol: KEY });
    expect(await statusWith(tokens.access_token, "/instances", moved)).toBe(401);
    const narrowed = keyed({ alice: { key: KEY, scopes: ["read"] } });
    expect((await narrowed.tool(tokens.access_token, "spawn_claude", { name: "Ada" })).error).toBe("forbidden");
    expect(await (await refresh(without, clientId, tokens.refresh_token)).json()).toMatchObject({
      error: "invalid_grant",
    });
    expect(await statusWith(tokens.access_token)).toBe(401);
  });

  it("of one person doesn't end when another logs in with the same key", async () => {
    const clientId = await register(server);
    const tokens: string[] = [];
    for (let i = 0; i < 2; i++) {
      const pkce = await newPkce();
      const asked = await pageOf(await server.request(authorizePath(clientId, pkce)));
      const { code = "" } = comesBackWith(await decide(server, asked, { key: KEY }));
      const form = { grant_type: "authorization_code", code, client_id: clientId, code_verifier: pkce.verifier };
      const response = await postToken(server, { ...form, redirect_uri: CALLBACK });
      tokens.push(((await response.json()) as Tokens).access_token);
    }
    for (const token of tokens) expect(await statusWith(token)).toBe(200);
  });
});

describe("a client that is named by a document", () => {
  /** Serves documents in the place of the internet. */
  function internet(documents: Record<string, unknown>): string[] {
    const asked: string[] = [];
    const real = globalThis.fetch;
    const spy = vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
      const url = new Request(input as Request, init as RequestInit).url;
      asked.push(url);
      const found = documents[url];
      return found ? Response.json(found) : real(input as Request, init as RequestInit);
    });
    onTestFinished(() => spy.mockRestore());
    return asked;
  }

  const client = "https://claude.example.com/oauth/client";
  const document = {
    client_id: client,
    client_name: "Claude",
    redirect_uris: [CALLBACK, "https://claude.example.com/callback"],
    token_endpoint_auth_method: "none",
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
  };

  it("is shown with its domain, and gets in", async () => {
    internet({ [client]: document });
    const pkce = await newPkce();
    const asked = await pageOf(await server.request(authorizePath(client, pkce)));
    expect(asked.html).toContain("Published by <strong>claude.example.com</strong>");
    const { code = "" } = comesBackWith(await decide(server, asked, { key: KEY }));
    const form = { grant_type: "authorization_code", code, client_id: client, code_verifier: pkce.verifier };
    const response = await postToken(server, { ...form, redirect_uri: CALLBACK });
    const tokens = (await response.json()) as Tokens;
    expect(await statusWith(tokens.access_token)).toBe(200);
    expect((await refresh(server, client, tokens.refresh_token)).status).toBe(200);
  });

  it("can't speak for another, or have the code sent anywhere else", async () => {
    const other = "https://evil.example.com/client";
    internet({ [other]: document, [client]: document });
    for (const [id, change] of [
      [other, {}],
      [client, { redirect_uri: "https://evil.example.com/callback" }],
      ["https://claude.example.com/nothing", {}],
    ] as const) {
      const response = await server.request(authorizePath(id, await newPkce(), change));
      expect(response.status).toBe(400);
      expect(response.headers.has("location")).toBe(false);
    }
  });

  it.each([
    "https://localhost/client",
    "https://127.0.0.1/client",
    "https://10.0.0.1/client",
    "https://[::1]/client",
    "https://169.254.169.254/latest/meta-data",
    "https://0x7f000001/client",
    "https://2130706433/client",
    "https://metadata.google.internal/client",
    "https://printer.local/client",
    "https://intranet/client",
    "https://claude.example.com:8443/client",
    "https://user@claude.example.com/client",
    "http://claude.example.com/client",
    "file:///etc/passwd",
  ])("%s is not even asked for", async (id) => {
    const asked = internet({ [id]: document });
    const onPage = await server.request(authorizePath(id, await newPkce()));
    expect(onPage.status).toBe(400);
    const atToken = await postToken(server, { grant_type: "refresh_token", refresh_token: "a:b:c", client_id: id });
    expect(atToken.status).toBe(401);
    expect(asked).toEqual([]);
  });
});
