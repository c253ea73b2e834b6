/**
 * Which hosts and origins a request may name, and paths in disguise.
 */
import { beforeEach, describe, expect, it } from "vitest";
import { keyed, newKey } from "../support/keyed.ts";
import { installModel, scriptModel } from "../support/model.ts";
import { ALICE, server } from "../support/tenants.ts";

installModel();

beforeEach(() => scriptModel(() => undefined));

describe("the Host header", () => {
  it.each(["http://evil.example", "https://localhost.evil.example", "http://192.168.0.7:8001", "https://xworkers.dev"])(
    "%s is refused, with the right key as without",
    async (origin) => {
      const there = keyed({ alice: ALICE }, {}, origin);
      for (const path of ["/tools", "/mcp", "/.well-known/oauth-authorization-server", "/nope"]) {
        const response = await there.request(path, { key: ALICE });
        expect(response.status).toBe(403);
        expect(await response.json()).toMatchObject({
          error: "forbidden",
          message: expect.stringMatching(/PUBLIC_URL/),
        });
      }
    },
  );

  it.each([
    ["http://localhost", {}],
    ["http://127.0.0.1:8001", {}],
    ["https://madrox.alice.workers.dev", {}],
    ["https://madrox.example.com", { PUBLIC_URL: "https://madrox.example.com" }],
    ["http://madrox.example.com", { PUBLIC_URL: "https://madrox.example.com/" }],
    ["http://192.168.0.7:8001", { ALLOWED_HOSTS: "other.example, 192.168.0.7" }],
  ])("%s is answered", async (origin, vars) => {
    const there = keyed({ alice: ALICE }, vars, origin);
    expect((await there.request("/tools", { key: ALICE })).status).toBe(200);
    expect(await there.tool(ALICE, "get_instance_status", {})).toMatchObject({ success: true });
    expect(await there.mcpTool(ALICE, "get_instance_status", {})).toMatchObject({ success: true });
  });

  it.each(["madrox.example.com", "ftp://madrox.example.com", "https://madrox.example.com/path"])(
    "can't be told by PUBLIC_URL %s",
    async (PUBLIC_URL) => {
      const response = await keyed({ alice: ALICE }, { PUBLIC_URL }).request("/tools", { key: ALICE });
      expect(await response.json()).toMatchObject({
        error: "misconfigured",
        message: expect.stringMatching(/PUBLIC_URL/),
      });
    },
  );
});

describe("the Origin header", () => {
  const there = keyed(
    { alice: ALICE },
    { ALLOWED_ORIGINS: "https://console.example.com, http://localhost:6274" },
    "https://madrox.alice.workers.dev",
  );

  it.each([
    "https://evil.example",
    "https://console.example.com.evil.example",
    "https://madrox.bob.workers.dev",
    "http://localhost:5173",
    "http://console.example.com",
    "chrome-extension://abcdef",
    "null",
  ])("%s is refused, with the right key as without", async (origin) => {
    for (const path of ["/tools", "/health", "/mcp", "/.well-known/oauth-authorization-server"]) {
      const response = await there.request(path, { key: ALICE, headers: { origin } });
      expect(response.status).toBe(403);
      expect(response.headers.has("access-control-allow-origin")).toBe(false);
    }
    const preflight = await there.request("/mcp", { method: "OPTIONS", headers: { origin } });
    expect(preflight.headers.has("access-control-allow-origin")).toBe(false);
  });

  it.each(["https://console.example.com", "http://localhost:6274", "https://madrox.alice.workers.dev"])(
    "%s is named, and no other",
    async (origin) => {
      const preflight = await there.request("/mcp", {
        method: "OPTIONS",
        headers: {
          origin,
          "access-control-request-method": "POST",
          "access-control-request-headers": "authorization, content-type, mcp-protocol-version",
        },
      });
      expect(preflight.status).toBe(204);
      expect(preflight.headers.get("access-control-allow-origin")).toBe(origin);
      expect(preflight.headers.get("access-control-allow-headers")).toContain("authorization");
      expect(preflight.headers.has("access-control-allow-credentials")).toBe(false);
      for (const key of [ALICE, newKey()]) {
        const response = await there.request("/tools", { key, headers: { origin } });
        expect(response.headers.get("access-control-allow-origin")).toBe(origin);
        expect(response.headers.get("access-control-expose-headers")).toContain("WWW-Authenticate");
        expect(response.headers.get("vary")).toContain("Origin");
      }
      const mcp = await there.request("/mcp", {
        method: "POST",
        key: ALICE,
        headers: { origin, "content-type": "application/json", accept: "application/json, text/event-stream" },
        body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list" }),
      });
      expect(mcp.status).toBe(200);
      expect(mcp.headers.get("access-control-allow-origin")).toBe(origin);
      await mcp.body?.cancel();
    },
  );
});

describe("a path in disguise", () => {
  it.each([
    ["HEAD", "/instances"],
    ["GET", "/instances/"],
    ["GET", "//instances"],
    ["GET", "/./instances"],
    ["GET", "/%69nstances"],
    ["GET", "/health/../instances"],
    ["GET", "/health/%2e%2e/instances"],
    ["GET", "/instances?authorization=Bearer%20KEY&access_token=KEY"],
    ["PATCH", "/instances"],
    ["POST", "/MCP"],
    ["POST", "/mcp/"],
    ["GET", "/mcp"],
  ])("%s %s serves nobody without a key", async (method, path) => {
    const response = await server.request(path.replaceAll("KEY", ALICE), { method });
    expect([401, 404, 405]).toContain(response.status);
    expect(await response.text()).not.toContain("total_instances");
  });
});
