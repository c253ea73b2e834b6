/**
 * Requests that reach no tool: bodies, methods, paths and origins.
 */
import { exports } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { VERSION } from "../../src/platform/version.ts";
import { request, tool } from "../support/door.ts";
import { mcpTool } from "../support/mcp.ts";
import { installModel, scriptModel } from "../support/model.ts";
import { postMcp, postTool, refusedBy } from "../support/refusals.ts";

installModel();

beforeEach(() => scriptModel(() => undefined));

const TOO_MUCH = 8 * 1024 * 1024 + 1;

/** The same without a Content-Length. */
function streamed(bytes: number): ReadableStream<Uint8Array> {
  let left = bytes;
  return new ReadableStream({
    pull(controller) {
      const size = Math.min(left, 1_048_576);
      left -= size;
      if (size === 0) controller.close();
      else controller.enqueue(new Uint8Array(size).fill(0x20));
    },
  });
}

/** Bytes that are no UTF-8. */
const BROKEN_TEXTS: [what: string, bytes: Uint8Array][] = [
  ["bytes of no character", Uint8Array.of(0xff, 0xfe)],
  ["half a character", Uint8Array.of(0xe2, 0x82)],
  ["a character written too long", Uint8Array.of(0xc0, 0xaf)],
  ["half a surrogate pair", Uint8Array.of(0xed, 0xa0, 0x80)],
];

describe("a request that reaches no tool", () => {
  it.each([
    ["nothing", ""],
    ["no JSON", "{"],
    ["two things", '{"tool":"get_instance_status"} {}'],
    ["an array", "[]"],
    ["a number", "42"],
    ["null", "null"],
    ["text", '"spawn_claude"'],
    ["a field that it doesn't take", '{"tool":"get_instance_status","params":{}}'],
    ["arguments in a list", '{"tool":"get_instance_status","arguments":[]}'],
    ["arguments as text", '{"tool":"get_instance_status","arguments":"{}"}'],
    [
      "arguments nested without end",
      `{"tool":"get_instance_status","arguments":${"[".repeat(50_000)}${"]".repeat(50_000)}}`,
    ],
  ])("is refused as invalid_input with %s for a body", async (_what, body) => {
    expect((await refusedBy(await postTool(body))).error).toBe("invalid_input");
  });

  it.each([
    ["no tool", "{}"],
    ["a number", '{"tool":7}'],
    ["null", '{"tool":null}'],
    ["a list", '{"tool":["a"]}'],
  ])("is told which tools there are when its body has %s for a tool", async (_what, body) => {
    expect((await refusedBy(await postTool(body))).message).toContain("spawn_claude");
  });

  it.each(["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp", ""])(
    "a body of type %j is refused as unsupported_media_type",
    async (type) => {
      const answer = await refusedBy(await postTool('{"tool":"get_instance_status"}', { "content-type": type }));
      expect(answer.error).toBe("unsupported_media_type");
      expect(answer.message).toContain("application/json");
    },
  );

  it.each(["latin1", "UTF-16", '"iso-8859-1"', "utf-8x"])(
    "a body in the charset %s is refused as unsupported_media_type",
    async (charset) => {
      const headers = { "content-type": `application/json; charset=${charset}` };
      expect((await refusedBy(await postTool('{"tool":"get_instance_status"}', headers))).message).toContain("UTF-8");
      expect((await postMcp(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "ping" }), headers)).status).toBe(415);
    },
  );

  it.each(BROKEN_TEXTS)(
    "is refused as invalid_input with %s in its body, and keeps nothing of it",
    async (_what, bytes) => {
      const around = (before: string, after: string) =>
        new Blob([before, bytes as Uint8Array<ArrayBuffer>, after]).arrayBuffer();
      const name = `broken-${crypto.randomUUID()}-`;
      const call = `"arguments":{"name":"${name}`;
      const rest = await postTool(await around(`{"tool":"spawn_claude",${call}`, '"}}'));
      expect((await refusedBy(rest)).error).toBe("invalid_input");
      const params = `"params":{"name":"spawn_claude",${call}`;
      const mcp = await postMcp(await around(`{"jsonrpc":"2.0","id":1,"method":"tools/call",${params}`, '"}}}'));
      expect(mcp.status).toBe(400);
      expect(await mcp.json()).toMatchObject({ error: { message: expect.stringContaining("UTF-8") } });
      expect(JSON.stringify(await tool("get_instance_status", { limit: 1000 }))).not.toContain(name);
    },
  );

  it.each(["/events?type=%ff", "/instances?cursor=%C0%AF", "/instances?cursor=%ed%a0%80"])(
    "is refused as invalid_input for the query of %s",
    async (path) => {
      expect(await refusedBy(await request(path))).toMatchObject({
        error: "invalid_input",
        details: { field: "query" },
      });
    },
  );

  it("may begin with a byte order mark", async () => {
    const response = await postTool('\ufeff{"tool":"get_instance_status","arguments":{"limit":1}}');
    expect(response.status).toBe(200);
  });

  it.each(["application/json; charset=utf-8", 'application/json;charset="UTF8"', "Application/JSON"])(
    "a body of type %j is taken",
    async (type) => {
      const response = await postTool('{"tool":"get_instance_status","arguments":{"limit":1}}', {
        "content-type": type,
      });
      expect(response.status).toBe(200);
    },
  );

  it.each([
    ["with its length", () => "x".repeat(TOO_MUCH)],
    ["without its length", () => streamed(TOO_MUCH)],
  ])("is refused as too_large when its body is over the limit, %s", async (_what, body) => {
    expect((await refusedBy(await postTool(body()))).error).toBe("too_large");
  });

  it.each([
    ["with its length", () => "x".repeat(TOO_MUCH)],
    ["without its length", () => streamed(TOO_MUCH)],
  ])("is refused by MCP too when its body is over the limit, %s", async (_what, body) => {
    const response = await postMcp(body());
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({ error: { message: expect.stringContaining("8388608") } });
    expect((await mcpTool("get_instance_status", { limit: 1 })).success).toBe(true);
  });

  it.each([
    ["DELETE", "/health", "GET"],
    ["POST", "/tools", "GET"],
    ["GET", "/tools/execute", "POST"],
    ["PUT", "/tools/execute", "POST"],
    ["POST", "/instances", "GET"],
    ["PUT", "/instances/inst_01", "GET, HEAD, DELETE"],
    ["GET", "/instances/inst_01/health", "POST"],
    ["DELETE", "/", "POST"],
  ])("is refused as %s %s, and told that %s is allowed", async (method, path, allowed) => {
    const response = await request(path, { method });
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toContain(allowed);
    expect((await refusedBy(response)).error).toBe("method_not_allowed");
  });

  it.each([
    "/nope",
    "/tools/",
    "/tools/execute/now",
    "/instances/a/b",
    "//",
    "/x%",
    "/%00",
    `/${"y".repeat(9_000)}`,
    "/.env",
  ])("finds nothing at %s", async (path) => {
    const response = await request(path);
    expect(response.status).toBe(404);
    expect((await refusedBy(response)).error).toBe("not_found");
  });

  it.each([
    "https://evil.example",
    "http://localhost.evil.example",
    "http://127.0.0.1.evil.example",
    "null",
    "garbage",
  ])("may do nothing from a page of origin %j", async (origin) => {
    for (const response of [
      await request("/health", { headers: { origin } }),
      await postTool('{"tool":"get_instance_status"}', { origin }),
      await postMcp('{"jsonrpc":"2.0","id":1,"method":"tools/list"}', { origin }),
    ]) {
      expect((await refusedBy(response)).error).toBe("forbidden");
    }
  });

  it.each(["http://localhost:5173", "http://127.0.0.1", "http://[::1]:8001"])(
    "a page of origin %s may",
    async (origin) => {
      expect((await request("/health", { headers: { origin } })).status).toBe(200);
    },
  );

  it.each(["http://evil.example", "https://localhost.evil.example", "http://10.0.0.1:8001", "http://0.0.0.0"])(
    "asked for as %s it answers nobody",
    async (origin) => {
      for (const path of ["/health", "/tools", "/mcp", "/", "/instances", "/nope"]) {
        const response = await exports.default.fetch(new Request(origin + path, { method: "POST" }));
        expect((await refusedBy(response)).error).toBe("unauthorized");
      }
    },
  );

  it.each(["203.0.113.7", "2001:db8::1", "::ffff:203.0.113.7"])("a caller from %s is not let in", async (address) => {
    const headers = { "cf-connecting-ip": address };
    const refusal = await refusedBy(await request("/tools", { headers }));
    expect(refusal).toMatchObject({ error: "unauthorized", message: expect.stringContaining("ACCESS_KEYS") });
    const health = await request("/health", { headers });
    expect(await health.json()).toEqual({ success: true, status: "healthy", version: VERSION });
  });

  it.each(["127.0.0.1", "::1", "::ffff:127.0.0.1"])("a caller from %s is", async (address) => {
    expect((await request("/tools", { headers: { "cf-connecting-ip": address } })).status).toBe(200);
  });
});
