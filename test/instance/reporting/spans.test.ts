/**
 * Traces of turns, as a collector gets them.
 */

import { env } from "cloudflare:workers";
import { beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { parseTraceparent } from "../../../src/platform/trace.ts";
import { request, send, spawn, status, tool, until } from "../../support/door.ts";
import { mcpRequest } from "../../support/mcp.ts";
import { installModel, scriptModel } from "../../support/model.ts";

// Before any object of this file reads its configuration.
env.OTEL_EXPORTER_OTLP_ENDPOINT = "https://collector.madrox.dev/";
env.OTEL_EXPORTER_OTLP_HEADERS = "authorization=Bearer%20t0ken,x-team=agents";

interface WireSpan {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  kind: number;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes: { key: string; value: Record<string, unknown> }[];
  status: { code?: number };
}

/** What the collector got, request by request. */
const taken: { url: string; headers: Headers; spans: WireSpan[] }[] = [];
const TRACE = "0af7651916cd43dd8448eb211c80319c";
const PARENT = "b7ad6b7169203331";
const SAMPLED = `00-${TRACE}-${PARENT}-01`;

beforeAll(() => {
  installModel();
  const inner = vi.mocked(globalThis.fetch).getMockImplementation() ?? globalThis.fetch;
  vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
    const url = input instanceof Request ? input.url : String(input);
    if (!url.startsWith("https://collector.madrox.dev")) return inner(input, init);
    const body = JSON.parse(String(init?.body)) as { resourceSpans: { scopeSpans: { spans: WireSpan[] }[] }[] };
    const spans = body.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans));
    taken.push({ url, headers: new Headers(init?.headers), spans });
    return new Response("{}");
  });
});

beforeEach(() => {
  taken.splice(0);
  scriptModel(() => undefined);
});

const value = (span: WireSpan | undefined, key: string) => {
  const found = span?.attributes.find((attribute) => attribute.key === key)?.value;
  return found === undefined ? undefined : Object.values(found)[0];
};

/** The spans of the turns of an instance, once there are as many turns. */
async function spansOf(instanceId: string, turns = 1): Promise<WireSpan[]> {
  const of = () => taken.filter(({ spans }) => value(spans[0], "gen_ai.agent.id") === instanceId);
  await until(async () => of().length >= turns);
  return of().flatMap(({ spans }) => spans);
}

describe("a turn's trace", () => {
  it("goes on where the caller's is, with a span for the turn, each model call and each tool", async () => {
    scriptModel((call) =>
      call.toolResults.length === 0
        ? { blocks: [{ type: "tool_use", name: "write_file", input: { path: "a.txt", content: "secret-content" } }] }
        : undefined,
    );
    const id = await spawn({ tools: "standard" });
    const answer = await tool(
      "send_to_instance",
      { instance_id: id, message: "secret-content" },
      { traceparent: SAMPLED },
    );
    const spans = await spansOf(id);
    const [turn, first, second, file] = spans;
    expect(spans.map(({ name }) => name)).toEqual([
      "invoke_agent Ada",
      "chat claude-sonnet-5-5",
      "chat claude-sonnet-5-5",
      "execute_tool write_file",
    ]);
    expect(turn).toMatchObject({ traceId: TRACE, parentSpanId: PARENT, kind: 1, status: {} });
    expect(value(turn, "madrox.message_id")).toBe(answer.message_id);
    expect(value(turn, "gen_ai.operation.name")).toBe("invoke_agent");
    for (const span of [first, second, file])
      expect(span).toMatchObject({ traceId: TRACE, parentSpanId: turn?.spanId });
    expect(first).toMatchObject({ kind: 3 });
    expect(value(first, "gen_ai.operation.name")).toBe("chat");
    expect(value(first, "gen_ai.request.model")).toBe("claude-sonnet-5-5");
    expect(value(first, "gen_ai.response.finish_reasons")).toEqual({ values: [{ stringValue: "tool_use" }] });
    expect(Number(value(first, "gen_ai.usage.input_tokens"))).toBeGreaterThan(0);
    expect(Number(value(turn, "gen_ai.usage.output_tokens"))).toBe(
      Number(value(first, "gen_ai.usage.output_tokens")) + Number(value(second, "gen_ai.usage.output_tokens")),
    );
    expect(value(file, "gen_ai.tool.name")).toBe("write_file");
    expect(JSON.stringify(taken)).not.toContain("secret-content");
    expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(4);
    for (const span of spans)
      expect(BigInt(span.endTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(span.startTimeUnixNano));
  });

  it("goes to the collector in one request, with its headers", async () => {
    const id = await spawn();
    await send(id, "hello");
    await spansOf(id);
    expect(taken).toHaveLength(1);
    expect(taken[0]?.url).toBe("https://collector.madrox.dev/v1/traces");
    expect(taken[0]?.headers.get("authorization")).toBe("Bearer t0ken");
    expect(taken[0]?.headers.get("x-team")).toBe("agents");
  });

  it("is one of its own without a caller's, and says how the turn failed", async () => {
    scriptModel(() => ({ fault: { kind: "status", status: 400, type: "invalid_request_error", message: "no" } }));
    const id = await spawn();
    await send(id, "fail");
    const [turn, call] = await spansOf(id);
    expect(turn?.parentSpanId).toBeUndefined();
    expect([turn?.status.code, value(turn, "error.type")]).toEqual([2, "upstream_error"]);
    expect([call?.status.code, value(call, "error.type")]).toEqual([2, "failed"]);
  });

  it("takes an MCP caller's from the request's _meta", async () => {
    const id = await spawn();
    const sent = { name: "send_to_instance", arguments: { instance_id: id, message: "hello" } };
    const response = await request("/mcp", mcpRequest("tools/call", { ...sent, _meta: { traceparent: SAMPLED } }));
    expect(response.status).toBe(200);
    await response.text();
    expect((await spansOf(id))[0]).toMatchObject({ traceId: TRACE, parentSpanId: PARENT });
  });

  it("reaches children: their turns are below the call that caused them", async () => {
    scriptModel((call) =>
      call.lastUserText.includes("grow") && call.toolResults.length === 0
        ? { blocks: [{ type: "tool_use", name: "spawn_claude", input: { name: "Kid", initial_prompt: "be one" } }] }
        : undefined,
    );
    const id = await spawn({ tools: "full" });
    await tool("send_to_instance", { instance_id: id, message: "grow" }, { traceparent: SAMPLED });
    const call = (await spansOf(id)).find(({ name }) => name === "execute_tool spawn_claude");
    const child = await until(async () =>
      taken.flatMap(({ spans }) => spans).find(({ name }) => name === "invoke_agent Kid"),
    );
    expect(child).toMatchObject({ traceId: TRACE, parentSpanId: call?.spanId });
  });

  it("reaches the instances of a job: their turns are below the call that started it", async () => {
    const names = ["Cora", "Ben"];
    const [coordinator, participant] = await Promise.all(names.map((name) => spawn({ name })));
    const input = { coordinator_id: coordinator, participant_ids: [participant], task_description: "a bridge" };
    const job = await tool("coordinate_instances", input, { traceparent: SAMPLED });
    await tool("wait", { ids: [job.job_id] });
    for (const id of [coordinator, participant])
      expect((await spansOf(String(id)))[0]).toMatchObject({ traceId: TRACE, parentSpanId: PARENT });
  });

  it("reaches the parent that a child reports to", async () => {
    const id = await spawn({ tools: "full" });
    scriptModel(async (call) => {
      if (call.toolResults.length > 0) return undefined;
      if (call.lastUserText.startsWith("grow"))
        return { blocks: [{ type: "tool_use", name: "spawn_claude", input: { name: "Kid", initial_prompt: "tell" } }] };
      if (!call.lastUserText.startsWith("tell")) return undefined;
      // Before that it would join the turn that is under way.
      await until(async () => (await status(id)).state === "idle");
      const report = { kind: "result", content: "done" };
      return { blocks: [{ type: "tool_use", name: "report_to_parent", input: report }] };
    });
    await tool("send_to_instance", { instance_id: id, message: "grow" }, { traceparent: SAMPLED });
    const told = await until(async () =>
      taken.flatMap(({ spans }) => spans).find(({ name }) => name === "execute_tool report_to_parent"),
    );
    expect((await spansOf(id, 2)).filter(({ name }) => name === "invoke_agent Ada").at(-1)).toMatchObject({
      traceId: TRACE,
      parentSpanId: told.spanId,
    });
  });

  it("is not made where the caller's is not sampled", async () => {
    const id = await spawn();
    await tool("send_to_instance", { instance_id: id, message: "quiet" }, { traceparent: `00-${TRACE}-${PARENT}-00` });
    await send(id, "loud");
    expect((await spansOf(id)).filter(({ traceId }) => traceId === TRACE)).toEqual([]);
  });
});

it.each<[text: string, followed: boolean]>([
  [SAMPLED, true],
  [`00-${TRACE}-${PARENT}-00`, true],
  [`01-${TRACE}-${PARENT}-01-later`, true],
  [`ff-${TRACE}-${PARENT}-01`, false],
  [`00-${"0".repeat(32)}-${PARENT}-01`, false],
  [`00-${TRACE}-${"0".repeat(16)}-01`, false],
  [`00-${TRACE.toUpperCase()}-${PARENT}-01`, false],
  [`00-${TRACE}-01`, false],
  ["", false],
])("the traceparent %s can be followed: %s", (text, followed) => {
  expect(parseTraceparent(text) !== null).toBe(followed);
});
