/**
 * The MCP endpoint as real clients see it: the client library of the 2025 revisions and the one of 2026-07-28, both on `/mcp`
 * and on `POST /`.
 */

import { exports } from "cloudflare:workers";
import {
  Client as ModernClient,
  StreamableHTTPClientTransport as ModernTransport,
  type Transport as ModernTransportShape,
} from "@modelcontextprotocol/client";
import { Client as LegacyClient } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as LegacyTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport as LegacyTransportShape } from "@modelcontextprotocol/sdk/shared/transport.js";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { ALIASES } from "../../../src/anthropic/models.ts";
import { ERROR_STATUS } from "../../../src/platform/errors.ts";
import { newInstanceId } from "../../../src/platform/ids.ts";
import { VERSION } from "../../../src/platform/version.ts";
import { CATALOGUE } from "../../../src/tools/runtime/catalogue.ts";
import { jsonSchemaOf } from "../../../src/tools/runtime/tool.ts";
import { ORIGIN, type Output, output, request, status, tool, until } from "../../support/door.ts";
import { type Message, mcpRequest, messagesOf, type ToolResult, toolAnswer } from "../../support/mcp.ts";
import { installModel, type ScriptCall, scriptModel } from "../../support/model.ts";

const model = installModel();
beforeEach(() => scriptModel(() => undefined));
afterEach(() => scriptModel(() => undefined));

interface Listed {
  name: string;
  title?: string;
  description?: string;
  inputSchema: unknown;
  annotations?: Record<string, unknown>;
}

interface CallOptions {
  onprogress?: (progress: { progress: number; message?: string }) => void;
  signal?: AbortSignal;
}

/** What the two client libraries have in common. */
interface Peer {
  version: string | undefined;
  server: { name: string; version: string } | undefined;
  instructions: string | undefined;
  capabilities: unknown;
  list(): Promise<Listed[]>;
  call(name: string, input: Record<string, unknown>, options?: CallOptions): Promise<ToolResult>;
}

/** The Worker in the place of the network. workerd sets a Host header by itself, a synthetic request has none. */
const worker = async (url: string | URL, init?: RequestInit): Promise<Response> => {
  const headers = new Headers(init?.headers);
  headers.set("host", new URL(url).host);
  return exports.default.fetch(new Request(url, { ...init, headers }));
};

const INFO = { name: "test", version: "1" };

async function connectLegacy(path: string): Promise<Peer> {
  const client = new LegacyClient(INFO);
  const transport = new LegacyTransport(new URL(path, ORIGIN), { fetch: worker });
  await client.connect(transport as LegacyTransportShape);
  onTestFinished(() => client.close());
  return {
    version: transport.protocolVersion,
    server: client.getServerVersion(),
    instructions: client.getInstructions(),
    capabilities: client.getServerCapabilities(),
    list: async () => (await client.listTools()).tools,
    call: async (name, input, options) =>
      (await client.callTool({ name, arguments: input }, undefined, options)) as ToolResult,
  };
}

async function connectModern(path: string): Promise<Peer> {
  const client = new ModernClient(INFO, { versionNegotiation: { mode: "auto" } });
  await client.connect(new ModernTransport(new URL(path, ORIGIN), { fetch: worker }) as ModernTransportShape);
  onTestFinished(() => client.close());
  return {
    version: client.getNegotiatedProtocolVersion(),
    server: client.getServerVersion(),
    instructions: client.getInstructions(),
    capabilities: client.getServerCapabilities(),
    list: async () => (await client.listTools()).tools,
    call: async (name, input, options) => (await client.callTool({ name, arguments: input }, options)) as ToolResult,
  };
}

const ENDPOINTS = [
  { era: "2025-11-25", path: "/mcp", connect: connectLegacy },
  { era: "2025-11-25", path: "/", connect: connectLegacy },
  { era: "2026-07-28", path: "/mcp", connect: connectModern },
  { era: "2026-07-28", path: "/", connect: connectModern },
];

describe.each(ENDPOINTS)("a client of $era on $path", ({ era, path, connect }) => {
  it("negotiates its revision and learns who serves it", async () => {
    const peer = await connect(path);
    expect(peer.version).toBe(era);
    expect(peer.server).toMatchObject({ name: "madrox", version: VERSION });
    expect(peer.capabilities).toMatchObject({ tools: {} });
    expect(peer.capabilities).not.toMatchObject({ tools: { listChanged: true } });
  });

  it("gets instructions that fit", async () => {
    const { instructions = "" } = await connect(path);
    expect(instructions).toContain("spawn_claude");
    expect(new TextEncoder().encode(instructions).length).toBeLessThan(2048);
  });

  interface Schema {
    required?: string[];
    properties: Record<string, { description?: string }>;
  }

  it("lists exactly the catalogue, with schemas, titles and annotations", async () => {
    const listed = await (await connect(path)).list();
    expect(listed).toHaveLength(CATALOGUE.length);
    for (const [index, tool] of CATALOGUE.entries()) {
      expect(listed[index]).toMatchObject({
        name: tool.name,
        description: tool.description,
        inputSchema: { type: "object" },
      });
      const whole = jsonSchemaOf(tool.input) as unknown as Schema;
      const shown = listed[index]?.inputSchema as Schema;
      expect(shown.required).toEqual(whole.required);
      expect(Object.keys(shown.properties)).toEqual(Object.keys(whole.properties));
      const described = (schema: Schema) => Object.values(schema.properties).map(({ description }) => description);
      expect(described(shown)).toEqual(described(whole));
      // What is left out is what the protocol takes for granted.
      const granted = { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true };
      const hints = (listed[index] as { annotations?: object } | undefined)?.annotations;
      expect({ ...granted, ...hints }).toEqual({ title: tool.title, ...tool.annotations });
    }
  });

  it("spawns an instance, talks to it, reads it and ends it", async () => {
    const peer = await connect(path);
    const run = async (name: string, input: Record<string, unknown>) => {
      const answer = toolAnswer(await peer.call(name, input));
      expect(answer).toMatchObject({ success: true, message: expect.stringMatching(/\w/) });
      return answer;
    };
    const { instance_id: id } = await run("spawn_claude", { name: "Ada", role: "architect" });
    const sent = await run("send_to_instance", { instance_id: id, message: "Design a bridge." });
    expect(sent).toMatchObject({ status: "completed", response: { message_id: sent.message_id } });
    const read = await run("get_instance_output", { instance_id: id });
    expect((read.output as Output[]).map((row) => row.type)).toEqual(["user", "response"]);
    const stood = await run("get_instance_status", { instance_id: id });
    expect(stood.status).toMatchObject({ state: "idle", role: "architect", request_count: 1 });
    expect(await run("terminate_instance", { instance_id: id })).toMatchObject({ terminated: [id] });
  });

  it("is told of a failure as a tool error, in the shape of every error", async () => {
    const peer = await connect(path);
    const result = await peer.call("send_to_instance", { instance_id: newInstanceId(), message: "Anybody there?" });
    expect(result.isError).toBe(true);
    expect(toolAnswer(result)).toEqual({
      success: false,
      error: "not_found",
      message: expect.stringContaining("does not exist"),
      details: { instance_id: expect.any(String) },
    });
  });

  it.each([
    ["an unknown tool", "spawn_gpt", {}, "not_found"],
    ["a missing argument", "spawn_claude", {}, "invalid_input"],
    ["an argument too many", "spawn_claude", { name: "Ada", colour: "red" }, "invalid_input"],
  ])("is told of %s as a tool error, not as a broken protocol", async (_what, name, input, code) => {
    const peer = await connect(path);
    const answer = toolAnswer(await peer.call(name, input));
    expect(answer).toMatchObject({ success: false, error: code });
    expect(Object.keys(ERROR_STATUS)).toContain(answer.error);
    expect(toolAnswer(await peer.call("get_instance_status", { limit: 1 })).success).toBe(true);
  });

  it.each(["opus", "haiku"] as const)("has the default model %s that its URL names", async (alias) => {
    const peer = await connect(`${path}?model=${alias}`);
    const spawned = toolAnswer(await peer.call("spawn_claude", { name: "Ada" }));
    expect(spawned.model).toBe(ALIASES[alias]);
    await peer.call("send_to_instance", { instance_id: spawned.instance_id, message: `Who are you, ${path}${alias}?` });
    expect(model.callsAbout(`${path}${alias}?`).at(-1)?.model).toBe(ALIASES[alias]);
    // What a call names goes before it.
    expect(toolAnswer(await peer.call("spawn_claude", { name: "Bo", model: "sonnet" })).model).toBe(ALIASES.sonnet);
  });

  it("is told what is wrong with the model that its URL names", async () => {
    const peer = await connect(`${path}?model=gpt-7`);
    expect(toolAnswer(await peer.call("spawn_claude", { name: "Ada" }))).toMatchObject({
      success: false,
      error: "invalid_input",
      message: expect.stringContaining('"gpt-7"'),
    });
    expect(toolAnswer(await peer.call("get_instance_status", { limit: 1 })).success).toBe(true);
  });

  it("that hangs up loses nothing: the work goes on", async () => {
    const peer = await connect(path);
    const id = String(toolAnswer(await peer.call("spawn_claude", { name: "Ada" })).instance_id);
    const about = `Take your time over ${id}.`;
    const hangUp = new AbortController();
    scriptModel((call) => {
      if (!call.lastUserText.includes(about)) return undefined;
      hangUp.abort();
      return { blocks: [{ type: "text", text: "Here I am." }], chunkChars: 1, chunkDelayMs: 20 };
    });
    const sent = peer.call("send_to_instance", { instance_id: id, message: about }, { signal: hangUp.signal });
    await expect(sent).rejects.toThrow();
    const rows = await until(async () => {
      const found = await output(id);
      return found.length === 2 && found;
    });
    expect(rows.map((row) => row.type)).toEqual(["user", "response"]);
  });
});

/** All that comes for a request, as an event stream. */
async function eventsOf(response: Response): Promise<Message[]> {
  expect(response.headers.get("content-type")).toContain("text/event-stream");
  return messagesOf(response);
}

const post = (path: string, method: string, params: object) => request(path, mcpRequest(method, params));

describe("a wait over MCP", () => {
  /** Takes this long, and is never silent for as long as a stalled model. */
  const slowly = (marker: string, ms: number) => (call: ScriptCall) =>
    call.lastUserText.includes(marker)
      ? { blocks: [{ type: "text" as const, text: "word ".repeat(ms / 100) }], chunkChars: 5, chunkDelayMs: 100 }
      : undefined;

  it("sends progress to the clients that ask for it, of both eras, and to no other", async () => {
    const marker = "Write slowly, please.";
    scriptModel(slowly(marker, 6_000));
    const [legacy, modern] = await Promise.all([connectLegacy("/mcp"), connectModern("/mcp")]);
    const told: Record<string, { progress: number; message?: string }[]> = { legacy: [], modern: [] };
    const ids = await Promise.all(
      ["Ada", "Bo", "Cy"].map(async (name) => String((await tool("spawn_claude", { name })).instance_id)),
    );
    const send = (index: number) => ({ instance_id: ids[index], message: marker });
    const [first, second, third] = await Promise.all([
      legacy.call("send_to_instance", send(0), { onprogress: (step) => void told.legacy?.push(step) }),
      modern.call("send_to_instance", send(1), { onprogress: (step) => void told.modern?.push(step) }),
      post("/mcp", "tools/call", { name: "send_to_instance", arguments: send(2) }).then(eventsOf),
    ]);
    for (const result of [first, second]) {
      expect(toolAnswer(result)).toMatchObject({ success: true, status: "completed" });
    }
    for (const steps of Object.values(told)) {
      expect(steps[0]).toMatchObject({ progress: 1, message: "working" });
      const numbers = steps.map((step) => step.progress);
      expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    }
    expect(third).toHaveLength(1);
    expect(third[0]).toMatchObject({ id: 1, result: { structuredContent: { status: "completed" } } });
  });

  it("that ends before the answer says so, and the answer is there later", async () => {
    const marker = "Take a moment for this.";
    scriptModel(slowly(marker, 600));
    const peer = await connectModern("/mcp");
    const { instance_id: id } = toolAnswer(await peer.call("spawn_claude", { name: "Ada" }));
    const sent = toolAnswer(
      await peer.call("send_to_instance", { instance_id: id, message: marker, timeout_seconds: 0.1 }),
    );
    expect(sent).toMatchObject({ success: true, status: expect.stringMatching(/^(queued|working)$/) });
    expect(sent).not.toHaveProperty("response");
    await until(async () => (await status(String(id))).state === "idle" && (await output(String(id))).length === 2);
  });
});

describe("the MCP route by hand", () => {
  it.each(["/mcp", "/"])("answers %s as an event stream, at once", async (path) => {
    const response = await post(path, "ping", {});
    expect(response.status).toBe(200);
    expect(await eventsOf(response)).toEqual([{ jsonrpc: "2.0", id: 1, result: {} }]);
  });

  it("has clients load the tools of the pattern at once, and keep long answers", async () => {
    const [listed] = (await eventsOf(await post("/mcp", "tools/list", {}))) as [
      { result: { tools: { name: string; _meta?: Record<string, unknown> }[] } },
    ];
    const meta = (key: string) => listed.result.tools.filter(({ _meta }) => _meta?.[key]).map(({ name }) => name);
    expect(meta("anthropic/alwaysLoad")).toEqual([
      "spawn_claude",
      "send_to_instance",
      "wait",
      "get_instance_output",
      "get_instance_status",
    ]);
    expect(meta("anthropic/maxResultSizeChars")).toEqual(["send_to_instance", "wait", "get_instance_output"]);
  });

  it.each(["plan_team", "review_progress", "wrap_up"])(
    "has the prompt %s, which names only tools there are",
    async (name) => {
      const [{ result: list }] = (await eventsOf(await post("/mcp", "prompts/list", {}))) as [
        { result: { prompts: { name: string; arguments: { name: string }[] }[] } },
      ];
      const prompt = list.prompts.find((one) => one.name === name);
      const given = Object.fromEntries(
        (prompt?.arguments ?? []).map((argument) => [argument.name, `<${argument.name}>`]),
      );
      const [{ result }] = (await eventsOf(await post("/mcp", "prompts/get", { name, arguments: given }))) as [
        { result: { messages: { role: string; content: { text: string } }[] } },
      ];
      expect(result.messages).toMatchObject([{ role: "user", content: { type: "text" } }]);
      const text = result.messages[0]?.content.text ?? "";
      for (const value of Object.values(given)) expect(text).toContain(value);
      const tools = CATALOGUE.map((tool) => tool.name);
      const named = text.match(/\b(?:get|list|retrieve|send|spawn|terminate|answer|coordinate|set)_[a-z_]+/g) ?? [];
      expect(named.length).toBeGreaterThan(0);
      for (const tool of named) expect(tools).toContain(tool);
    },
  );

  it("plans a team for what was spoken of, when no task is given", async () => {
    const [{ result }] = (await eventsOf(await post("/mcp", "prompts/get", { name: "plan_team" }))) as [
      { result: { messages: { content: { text: string } }[] } },
    ];
    expect(result.messages[0]?.content.text).toMatch(
      /^Plan a team .* we have spoken of, or that you ask me for\.\n\n1\. /,
    );
  });

  it.each([
    ["no prompt", { name: "fly" }],
    ["a prompt with too much", { name: "plan_team", arguments: { task: "x".repeat(50_001) } }],
  ])("refuses %s", async (_what, params) => {
    const [answer] = await eventsOf(await post("/mcp", "prompts/get", params));
    expect(answer).toMatchObject({ error: { code: -32602 } });
  });

  it("lets instances, conversations and the tree be read as resources", async () => {
    const id = String((await tool("spawn_claude", { name: "Readable Ada" })).instance_id);
    await tool("send_to_instance", { instance_id: id, message: "A word to find again" });
    const read = async (uri: string) => {
      const [{ result }] = (await eventsOf(await post("/mcp", "resources/read", { uri }))) as [
        { result: { contents: { text: string }[] } },
      ];
      return result.contents[0]?.text ?? "";
    };
    expect(JSON.parse(await read(`instance://${id}`))).toMatchObject({ instance_id: id, name: "Readable Ada" });
    const transcript = await read(`instance://${id}/transcript`);
    expect(transcript).toMatch(/^\[user, .*\]\nA word to find again\n\n\[response, /);
    expect(await read(`tree://${id}`)).toContain("Readable Ada");
    const [{ result }] = (await eventsOf(await post("/mcp", "resources/list", {}))) as [
      { result: { resources: { uri: string }[] } },
    ];
    const uris = result.resources.map(({ uri }) => uri);
    expect(uris).toEqual(expect.arrayContaining(["tree://all", `instance://${id}/transcript`, `workspace://${id}/`]));
  });

  it("cuts a long conversation at its old end when it is read as a resource", async () => {
    const id = String((await tool("spawn_claude", { name: "Ada" })).instance_id);
    for (const letter of ["a", "b", "c"]) {
      await tool("send_to_instance", { instance_id: id, message: letter.repeat(60_000) });
    }
    const [{ result }] = (await eventsOf(
      await post("/mcp", "resources/read", { uri: `instance://${id}/transcript` }),
    )) as [{ result: { contents: { text: string }[] } }];
    const text = result.contents[0]?.text ?? "";
    expect(text).toMatch(/^\[older rows are left out/);
    expect(text.length).toBeLessThan(101_000);
    expect(text).toContain("c".repeat(60_000));
    expect(text).not.toContain("aa");
  });

  it("lists its tools in less than 24 KB, the same bytes each time", async () => {
    const texts = await Promise.all([1, 2].map(async () => (await post("/mcp", "tools/list", {})).text()));
    expect(new TextEncoder().encode(texts[0]).length).toBeLessThan(24 * 1024);
    expect(texts[0]).toBe(texts[1]);
  });

  it.each([
    ["GET", "/mcp", {}],
    ["GET", "/mcp", { accept: "text/event-stream" }],
    ["DELETE", "/mcp", {}],
    ["PUT", "/mcp", {}],
    ["GET", "/", { accept: "text/event-stream" }],
    ["GET", "/", {}],
  ])("refuses %s %s with 405 and what it takes (%j)", async (method, path, headers) => {
    const response = await request(path, { method, headers: { host: "localhost", ...headers } });
    expect(response.status).toBe(405);
    expect(response.headers.get("allow") ?? "").toContain("POST");
    expect(response.headers.get("content-type")).toContain("application/json");
    await response.text();
  });

  it.each([
    ["no JSON", "{"],
    ["no request", '"hello"'],
    ["null", "null"],
    ["a number", "42"],
    ["an empty array", "[]"],
    ["another protocol", '{"hello":"world"}'],
  ])("answers %s with a 4xx of JSON-RPC, and goes on", async (_what, body) => {
    const response = await worker(`${ORIGIN}/mcp`, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json, text/event-stream" },
      body,
    });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ jsonrpc: "2.0", error: { code: expect.any(Number) } });
    expect((await post("/mcp", "ping", {})).status).toBe(200);
  });

  it.each(["tools/fly", "resources/subscribe", "completion/complete"])("knows no method %s", async (method) => {
    const response = await post("/mcp", method, {});
    expect(response.status).toBeLessThan(500);
    expect(await response.text()).toContain("-32601");
  });

  it("tells pages of other origins to go, whatever they ask", async () => {
    const response = await worker(`${ORIGIN}/mcp`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        accept: "application/json, text/event-stream",
        origin: "https://evil.example",
      },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list" }),
    });
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({ success: false, error: "forbidden" });
  });
});
