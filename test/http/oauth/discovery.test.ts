/**
 * How a client finds where to log in.
 */
import { describe, expect, it } from "vitest";
import { keyed } from "../../support/keyed.ts";
import { login } from "../../support/oauth.ts";
import { KEY, KEYS, server, statusWith } from "../../support/oauth-server.ts";

describe("OAuth discovery", () => {
  it("leads from a 401 over the resource to the authorization server", async () => {
    for (const path of ["/mcp", "/"]) {
      const response = await server.request(path, { method: "POST" });
      const url = /resource_metadata="([^"]+)"/.exec(response.headers.get("www-authenticate") ?? "")?.[1] ?? "";
      const metadata = await server.fetch(url);
      expect(await metadata.json()).toEqual({
        resource: `http://localhost${path}`,
        authorization_servers: ["http://localhost"],
        scopes_supported: ["read", "operate"],
        bearer_methods_supported: ["header"],
        resource_name: "Madrox",
      });
    }
    expect(await (await server.request("/.well-known/oauth-authorization-server")).json()).toMatchObject({
      issuer: "http://localhost",
      authorization_endpoint: "http://localhost/authorize",
      token_endpoint: "http://localhost/oauth/token",
      revocation_endpoint: "http://localhost/oauth/token",
      registration_endpoint: "http://localhost/oauth/register",
      code_challenge_methods_supported: ["S256"],
      scopes_supported: ["read", "operate", "admin", "offline_access"],
      response_types_supported: ["code"],
      client_id_metadata_document_supported: true,
      authorization_response_iss_parameter_supported: true,
    });
  });

  it("names the public address where a proxy stands before the server", async () => {
    const behind = keyed(KEYS, { PUBLIC_URL: "https://madrox.example.com" }, "http://madrox.example.com");
    expect((await behind.request("/mcp", { method: "POST" })).headers.get("www-authenticate")).toContain(
      'resource_metadata="https://madrox.example.com/.well-known/oauth-protected-resource/mcp"',
    );
    expect(await (await behind.request("/.well-known/oauth-authorization-server")).json()).toMatchObject({
      issuer: "https://madrox.example.com",
    });
    const { tokens } = await login(behind, KEY);
    expect(tokens.resource).toBe("https://madrox.example.com/mcp");
    expect(await statusWith(tokens.access_token, "/instances", behind)).toBe(200);
  });

  it("is not there where no keys are, so that no client tries", async () => {
    const open = keyed(undefined);
    for (const [method, path] of [
      ["GET", "/.well-known/oauth-protected-resource/mcp"],
      ["GET", "/.well-known/oauth-authorization-server"],
      ["GET", "/authorize?client_id=x"],
      ["POST", "/oauth/register"],
    ] as const) {
      const response = await open.request(path, { method, from: "127.0.0.1" });
      expect(response.status, path).toBe(404);
    }
  });

  it("says what is missing where nothing keeps the tokens", async () => {
    const without = keyed(KEYS, { OAUTH_KV: undefined } as unknown as Partial<Env>);
    const response = await without.request("/.well-known/oauth-authorization-server");
    expect(await response.json()).toMatchObject({
      error: "misconfigured",
      message: expect.stringContaining("OAUTH_KV"),
    });
    expect(await statusWith(KEY, "/instances", without)).toBe(200);
    expect(await statusWith("alice.00000000:a:b", "/instances", without)).toBe(401);
  });
});
