import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it } from "vitest";
import * as z from "zod";
import { addressProblem } from "../../src/remote-mcp/public-address.ts";
import { inputSchema, toolName } from "../../src/remote-mcp/remote-schema.ts";
import { type Json, output, request, send, status, tool } from "../support/door.ts";
import { installModel, scriptModel } from "../support/model.ts";
import { mcpServer, serveHost } from "../support/remote.ts";

const model = installModel();
afterEach(() => scriptModel(() => undefined));

const HOST = "one.remote-tools.dev";
const URL_OF_IT = `https://${HOST}/mcp`;
const TOKEN = "tok-very-secret-4711";

async function spawnWith(server: Record<string, unknown> = {}, more: Record<string, unknown> = {}): Promise<Json> {
  return tool("spawn_claude", {
    name: "Ada",
    tools: "none",
    mcp_servers: [{ name: "docs", url: URL_OF_IT, ...server }],
    ...more,
  });
}

/** The model calls a remote tool once; what it got back, and that the turn went on. */
async function call(instanceId: unknown, name: string, input: Record<string, unknown> = {}) {
  const word = `go ${crypto.randomUUID()}`;
  const results: { text: string; isError: boolean }[] = [];
  scriptModel((made) => {
    if (!made.lastUserText.includes(word)) return undefined;
    for (const { text, isError } of made.toolResults) results.push({ text, isError });
    return { blocks: results.length > 0 ? [{ type: "text", text: "done" }] : [{ type: "tool_use", name, input }] };
  });
  const answer = await send(String(instanceId), word, { timeout_seconds: 50 });
  expect(answer).toMatchObject({ success: true, status: "completed" });
  return results[0] ?? expect.fail("no result");
}

describe("addresses of remote servers", () => {
  it.each([
    ["https://example.com/mcp", true],
    ["https://93.184.216.34/mcp", true],
    ["https://[2606:4700::1111]/mcp", true],
    ["https://mcp.example.co.uk:8443/x", true],
    ["http://example.com/mcp", false],
    ["ftp://example.com/", false],
    ["file:///etc/passwd", false],
    ["not a url", false],
    ["https://user:pass@example.com/", false],
    ["https://localhost/", false],
    ["https://LOCALHOST./", false],
    ["https://a.localhost/", false],
    ["https://localhost./", false],
    ["https://localhost../", false],
    ["https://a..b.dev/", false],
    ["https://127.0.0.1../", false],
    ["https://metadata.google.internal/", false],
    ["https://printer.local/", false],
    ["https://router/", false],
    ["https://x.home.arpa/", false],
    ["https://127.0.0.1/", false],
    ["https://127.1/", false],
    ["https://2130706433/", false],
    ["https://0x7f000001/", false],
    ["https://0177.0.0.1/", false],
    ["https://0/", false],
    ["https://10.1.2.3/", false],
    ["https://172.16.0.1/", false],
    ["https://172.31.255.255/", false],
    ["https://172.32.0.1/", true],
    ["https://192.168.1.1/", false],
    ["https://169.254.169.254/latest/meta-data", false],
    ["https://100.64.0.1/", false],
    ["https://198.18.0.1/", false],
    ["https://198.20.0.1/", true],
    ["https://224.0.0.1/", false],
    ["https://255.255.255.255/", false],
    ["https://[::1]/", false],
    ["https://[::]/", false],
    ["https://[::ffff:127.0.0.1]/", false],
    ["https://[::ffff:7f00:1]/", false],
    ["https://[64:ff9b::7f00:1]/", false],
    ["https://[fe80::1]/", false],
    ["https://[fc00::1]/", false],
    ["https://[fd00:ec2::254]/", false],
    ["https://[ff02::1]/", false],
    ["https://[2002:7f00:1::]/", false],
    ["https://[2001:db8::1]/", false],
    ["https://①②⑦.0.0.1/", false],
  ])("%s: public is %s", (url, isPublic) => {
    expect(addressProblem(url, false) === null).toBe(isPublic);
  });

  it("are all taken where the deployment says so, but never with credentials or another scheme", () => {
    expect(addressProblem("http://127.0.0.1:9000/mcp", true)).toBeNull();
    expect(addressProblem("http://a:b@127.0.0.1/", true)).toMatch(/credentials/);
    expect(addressProblem("gopher://127.0.0.1/", true)).toMatch(/https/);
  });

  it("are refused at spawn, before anything is sent", async () => {
    const answer = await spawnWith({ url: "https://169.254.169.254/mcp" });
    expect(answer).toMatchObject({ success: false, error: "invalid_input" });
    expect(answer.message).toMatch(/docs can't be used: it is a private or local address/);
  });
});

it("a server whose name objects inherit is called without a token where it was given none", async () => {
  const authorized: (string | null)[] = [];
  serveHost(
    HOST,
    mcpServer(
      (server) => {
        server.registerTool("look", { description: "Looks." }, async () => ({
          content: [{ type: "text", text: "seen" }],
        }));
      },
      { seen: (incoming) => void authorized.push(incoming.headers.get("authorization")) },
    ),
  );
  const { instance_id: id } = await spawnWith({ name: "constructor" });
  expect(await call(id, "constructor__look")).toMatchObject({ isError: false });
  expect(new Set(authorized)).toEqual(new Set([null]));
});

describe.each([
  ["2026-07-28", false],
  ["2025-11-25", true],
])("a server of %s", (_revision, legacy) => {
  it("gives its tools at spawn, and answers calls from the instance with its token", async () => {
    const methods: string[] = [];
    const authorized: (string | null)[] = [];
    serveHost(
      HOST,
      mcpServer(
        (server) => {
          server.registerTool(
            "look.up",
            { description: "Looks up.", inputSchema: z.object({ q: z.string() }), annotations: { readOnlyHint: true } },
            async ({ q }) => ({ content: [{ type: "text", text: `found ${q}, ${TOKEN}` }] }),
          );
          server.registerTool("other", { description: "Not wanted." }, async () => ({ content: [] }));
        },
        {
          legacy,
          seen: (incoming, body) => {
            methods.push(String(body.method));
            authorized.push(incoming.headers.get("authorization"));
          },
        },
      ),
    );
    const spawned = await spawnWith({ authorization_token: TOKEN, allowed_tools: ["look.up"] });
    expect(spawned).toMatchObject({ success: true, tools: ["docs__look_up"] });
    const listed = methods.length;
    const result = await call(spawned.instance_id, "docs__look_up", { q: "moss" });
    expect(result).toEqual({ text: "found moss, [secret docs]", isError: false });
    expect(methods.slice(listed)).toContain("tools/call");
    expect(methods.slice(listed)).not.toContain("tools/list");
    expect(methods.includes("initialize")).toBe(legacy);
    expect(new Set(authorized)).toEqual(new Set([`Bearer ${TOKEN}`]));

    const id = String(spawned.instance_id);
    const stored = await runInDurableObject(env.INSTANCE.getByName(`default/${id}`), (_instance, state) =>
      JSON.stringify(
        ["spec", "instance", "tool_call"].map((table) => state.storage.sql.exec(`SELECT * FROM ${table}`).toArray()),
      ),
    );
    const everywhere = [spawned, await output(id), await status(id), await tool("get_instance_tree", {}), stored];
    const events = await tool("get_instance_output", { instance_id: id });
    expect(JSON.stringify([...everywhere, events, model.callsAbout("found moss")])).not.toContain(TOKEN);
  });
});

describe("a server that can't be used", () => {
  const answering = (handler: (body: Record<string, unknown>) => Response | Promise<Response>) => {
    serveHost(HOST, async (incoming) =>
      incoming.method === "POST"
        ? handler((await incoming.json()) as Record<string, unknown>)
        : new Response(null, { status: 405 }),
    );
  };
  const cases: [name: string, handler: (body: Record<string, unknown>) => Response, said: RegExp][] = [
    [
      "is no MCP server",
      () => new Response("<html>hello</html>", { headers: { "content-type": "text/html" } }),
      /can't be listed/,
    ],
    ["wants another token", () => new Response("no", { status: 401 }), /can't be listed/],
    [
      "sends elsewhere",
      () => new Response(null, { status: 302, headers: { location: "http://127.0.0.1/" } }),
      /redirect/,
    ],
    ["fails", () => new Response("oops", { status: 500 }), /can't be listed/],
  ];
  it.each(cases)("because it %s is named at spawn", async (_name, handler, said) => {
    answering(handler);
    const answer = await spawnWith({ authorization_token: TOKEN });
    expect(answer).toMatchObject({ success: false, error: "upstream_error" });
    expect(answer.message).toMatch(said);
    expect(JSON.stringify(answer)).not.toContain(TOKEN);
  });

  it("lets nothing of it be spawned with tools that it does not have", async () => {
    serveHost(
      HOST,
      mcpServer((server) => server.registerTool("a", {}, async () => ({ content: [] }))),
    );
    const answer = await spawnWith({ allowed_tools: ["b"] });
    expect(answer).toMatchObject({ success: false, error: "invalid_input" });
    expect(answer.message).toMatch(/has no b.*It has: a/);
  });
});

/** A hand-made server of the older revision, whose calls do what the test wants. */
const server = (
  onCall: (body: Record<string, unknown>) => Response | Promise<Response>,
  tools: unknown[] = [{ name: "act", inputSchema: { type: "object" } }],
) => {
  serveHost(HOST, async (incoming) => {
    if (incoming.method !== "POST") return new Response(null, { status: 405 });
    const body = (await incoming.json()) as Record<string, unknown>;
    const answer = (result: unknown) => Response.json({ jsonrpc: "2.0", id: body.id, result });
    switch (body.method) {
      case "initialize":
        return answer({
          protocolVersion: "2025-11-25",
          capabilities: { tools: {} },
          serverInfo: { name: "s", version: "1" },
        });
      case "tools/list":
        return answer({ tools });
      case "tools/call":
        return onCall(body);
      default:
        return body.id === undefined
          ? new Response(null, { status: 202 })
          : Response.json(
              { jsonrpc: "2.0", id: body.id, error: { code: -32601, message: "Method not found" } },
              { status: 400 },
            );
    }
  });
};

const result = (body: Record<string, unknown>, value: unknown) =>
  Response.json({ jsonrpc: "2.0", id: body.id, result: value });

describe("a server that goes wrong in a call", () => {
  it.each<[string, (body: Record<string, unknown>) => Response | Promise<Response>, RegExp]>([
    ["dies in the middle", () => Promise.reject(new TypeError("terminated")), /may or may not have taken effect/],
    [
      "answers 10 MB",
      (body) => result(body, { content: [{ type: "text", text: "x".repeat(1e7) }] }),
      /more than 2097152 bytes/,
    ],
    [
      "no longer knows the tool",
      (body) => Response.json({ jsonrpc: "2.0", id: body.id, error: { code: -32602, message: "Unknown tool: act" } }),
      /Unknown tool/,
    ],
    ["answers what is no result", (body) => result(body, { content: "nonsense" }), /failed/],
    [
      "says that it failed",
      (body) => result(body, { content: [{ type: "text", text: "disk full" }], isError: true }),
      /disk full/,
    ],
    [
      "asks for something first",
      (body) => {
        const ask = {
          jsonrpc: "2.0",
          id: 99,
          method: "elicitation/create",
          params: { message: "your name?", requestedSchema: { type: "object", properties: {} } },
        };
        const done = {
          jsonrpc: "2.0",
          id: body.id,
          result: { content: [{ type: "text", text: "could not ask" }], isError: true },
        };
        const text = [ask, done].map((message) => `event: message\ndata: ${JSON.stringify(message)}\n\n`).join("");
        return new Response(text, { headers: { "content-type": "text/event-stream" } });
      },
      /could not ask/,
    ],
  ])("%s: the model is told, and the turn goes on", async (_name, onCall, said) => {
    server(onCall);
    const spawned = await spawnWith();
    expect(spawned).toMatchObject({ success: true });
    const got = await call(spawned.instance_id, "docs__act");
    expect(got.isError).toBe(true);
    expect(got.text).toMatch(said);
  });

  it("is called again only where that does no harm", async () => {
    const counts: Record<string, number> = {};
    const tools = [
      { name: "read", inputSchema: { type: "object" }, annotations: { readOnlyHint: true } },
      { name: "act", inputSchema: { type: "object" } },
    ];
    server((body) => {
      const { name } = body.params as { name: string };
      counts[name] = (counts[name] ?? 0) + 1;
      if (counts[name] === 1) throw new TypeError("connection lost");
      return result(body, { content: [{ type: "text", text: "at last" }] });
    }, tools);
    const { instance_id } = await spawnWith();
    expect(await call(instance_id, "docs__read")).toEqual({ text: "at last", isError: false });
    expect((await call(instance_id, "docs__act")).text).toMatch(/may or may not/);
    expect(counts).toEqual({ read: 2, act: 1 });
  });

  it("can lie about its schemas and change its tools: the instance keeps what the API takes", async () => {
    const tools: unknown[] = [
      {
        name: "good",
        inputSchema: {
          type: "object",
          properties: { a: { type: "text", minLength: -1, description: "A" }, b: 17 },
          required: ["a", 3],
          anyOf: [{}],
        },
      },
      { name: "bad key", inputSchema: { type: "object", properties: { "a b": {} } } },
      { name: "huge", inputSchema: { type: "object", description: "x".repeat(30_000) } },
      { name: "schemaless" },
      { name: 17, inputSchema: { type: "object" } },
      "no tool",
    ];
    server((body) => result(body, { content: [{ type: "text", text: "ok" }] }), tools);
    const spawned = await spawnWith();
    expect(spawned).toMatchObject({ success: true, tools: ["docs__good"] });
    expect((spawned.left_out as { tool: string }[]).map((left) => left.tool)).toEqual([
      "(unnamed)",
      "bad key",
      "huge",
      "schemaless",
    ]);
    tools.length = 0;
    expect(await call(spawned.instance_id, "docs__good")).toEqual({ text: "ok", isError: false });
    const sent = model.simulator.journal.at(-1)?.body as { tools: { input_schema: unknown }[] };
    expect(sent.tools[0]?.input_schema).toEqual({
      type: "object",
      properties: { a: { description: "A" }, b: {} },
      required: ["a"],
    });
  });
});

describe("a structured result", () => {
  const structuredContent = { moss: 3, kinds: ["a", "b"] };
  it.each<[string, { type: "text"; text: string }[], string]>([
    ["alone", [], JSON.stringify(structuredContent)],
    [
      "that a text repeats",
      [{ type: "text", text: JSON.stringify(structuredContent, null, 2) }],
      JSON.stringify(structuredContent, null, 2),
    ],
    ["beside a summary", [{ type: "text", text: "Three." }], `Three.\n${JSON.stringify(structuredContent)}`],
  ])("%s reaches the model once", async (_what, content, seen) => {
    server(
      (body) => result(body, { content, structuredContent }),
      [{ name: "count", inputSchema: { type: "object" } }],
    );
    const spawned = await spawnWith();
    expect(await call(spawned.instance_id, "docs__count")).toEqual({ text: seen, isError: false });
  });
});

describe("what a server says of a tool", () => {
  it.each<[string, unknown, unknown]>([
    ["nothing", undefined, "it has no input schema"],
    [
      "a default nested beyond the stack",
      { properties: { a: { default: JSON.parse("[".repeat(5_000) + "]".repeat(5_000)) } } },
      "its input schema is nested more than 64 levels deep",
    ],
    ["no object", 17, "its input schema is no object"],
    [
      "a reference to what is not there",
      {
        properties: { a: { $ref: "#/$defs/Gone", description: "A" }, b: { items: { $ref: "#/definitions/B/deep" } } },
        $defs: { B: {} },
      },
      { type: "object", properties: { a: { description: "A" }, b: { items: {} } }, $defs: { B: {} } },
    ],
    [
      "alternatives at the top",
      {
        type: "object",
        properties: { a: { type: "string" } },
        anyOf: [
          { properties: { a: { type: "number" }, b: { type: "string" } }, required: ["b"] },
          { properties: { c: { type: "integer" } } },
        ],
      },
      {
        type: "object",
        properties: { a: { type: "string" }, b: { type: "string" }, c: { type: "integer" } },
      },
    ],
    ["a list", { type: "array" }, "its input is no object"],
    ["no properties", {}, { type: "object", properties: {} }],
    [
      "a reference to elsewhere",
      { properties: { a: { $ref: "https://evil.example/s" } } },
      { type: "object", properties: { a: {} } },
    ],
    [
      "old definitions",
      { properties: { a: { $ref: "#/definitions/A" } }, definitions: { A: { type: "string" } } },
      { type: "object", properties: { a: { $ref: "#/$defs/A" } }, $defs: { A: { type: "string" } } },
    ],
    [
      "a broken pattern",
      { properties: { a: { type: "string", pattern: "(" } } },
      { type: "object", properties: { a: { type: "string" } } },
    ],
  ])("%s becomes what the API takes", (_name, given, made) => {
    expect(inputSchema(given)).toEqual(made);
  });

  it("gets a name that the API takes", () => {
    expect(toolName("docs", "näme/with.dots")).toBe("docs__n_me_with_dots");
    expect(toolName("docs", "x".repeat(200))).toHaveLength(64);
  });
});

it("keeps remote servers and secrets out of the list of tools", async () => {
  const listed = JSON.stringify(await (await request("/tools")).json());
  expect(listed).toContain("mcp_servers");
  expect(listed).not.toContain(TOKEN);
});
