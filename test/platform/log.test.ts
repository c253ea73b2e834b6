/**
 * The server's lines at its loudest: what they tell of, and what they never have in them.
 */
import { env } from "cloudflare:workers";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { describe as described } from "../../src/platform/log.ts";
import { request, send, spawn, tool, until } from "../support/door.ts";
import { installModel, scriptModel } from "../support/model.ts";

// Before any object of this file reads its configuration.
env.LOG_LEVEL = "DEBUG";

/** Stands in everything that a line must not have. */
const MARKER = "content-marker";

type Line = Record<string, unknown> & { level: string; event: string };
const written: string[] = [];

beforeAll(() => {
  installModel();
  for (const method of ["log", "warn", "error"] as const) {
    vi.spyOn(console, method).mockImplementation((line: unknown) => void written.push(String(line)));
  }
});
afterAll(() => vi.restoreAllMocks());
beforeEach(() => written.splice(0));

const lines = (event: string) => written.map((line) => JSON.parse(line) as Line).filter((line) => line.event === event);

/** A run with everything in it: a conversation, a tool, files, a failure, an end. */
async function run(): Promise<{ id: string; message: string }> {
  scriptModel((call) =>
    call.toolResults.length === 0
      ? { blocks: [{ type: "tool_use", name: "write_file", input: { path: `${MARKER}.txt`, content: MARKER } }] }
      : { blocks: [{ type: "text", text: `The answer: ${MARKER}` }] },
  );
  const id = await spawn({ name: `Ada ${MARKER}`, system_prompt: MARKER, tools: "standard" });
  const sent = await send(id, `Say ${MARKER}.`);
  expect(sent.status).toBe("completed");
  scriptModel(() => ({
    fault: { kind: "status", status: 400, type: "invalid_request_error", message: `messages.0: ${MARKER}` },
  }));
  expect((await send(id, "and now")).success).toBe(false);
  await tool("send_to_instance", { instance_id: id, wrong: MARKER });
  await request("/tools/execute", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: `{${MARKER}`,
  });
  await request(`/instances/${id}/files/${MARKER}.txt`, { method: "PUT", body: MARKER });
  await tool("terminate_instance", { instance_id: id });
  await until(async () => lines("instance.stopped").length > 0);
  return { id, message: String(sent.message_id) };
}

describe("the log lines of a run", () => {
  it("are JSON, have its ids, and neither what was said nor a key", async () => {
    const { id, message } = await run();
    const text = written.join("\n");
    expect(text).not.toContain(MARKER);
    expect(text).not.toContain("a-key-for-tests");
    for (const [event, level, fields] of [
      ["instance.spawned", "INFO", {}],
      ["message.queued", "INFO", { message_id: message }],
      ["message.started", "INFO", { message_id: message }],
      [
        "model_call.completed",
        "INFO",
        { message_id: message, request_id: expect.any(String), input: expect.any(Number) },
      ],
      ["tool.finished", "DEBUG", { message_id: message, tool: "write_file" }],
      ["message.completed", "INFO", { message_id: message }],
      ["model_call.failed", "WARNING", { error: "upstream_error" }],
      ["message.failed", "WARNING", { error: "upstream_error" }],
      ["instance.terminated", "INFO", {}],
    ] as const) {
      const [line] = lines(event);
      expect(line, event).toMatchObject({
        level,
        tenant: "default",
        instance_id: id,
        time: expect.any(String),
        ...fields,
      });
    }
    expect(lines("tool.called")[0]).toMatchObject({
      tenant: "default",
      tool: "spawn_claude",
      request_id: expect.any(String),
    });
  });

  it("are one an event", async () => {
    const { message } = await run();
    expect(lines("message.completed").filter((line) => line.message_id === message)).toHaveLength(1);
    const seqs = written.map((line) => (JSON.parse(line) as Line).seq).filter((seq) => seq !== undefined);
    expect(seqs).toEqual([...new Set(seqs)]);
  });
});

it.each([
  [new Error("plain"), "Error: plain"],
  [new SyntaxError(`Unexpected token in "${MARKER}"`), "SyntaxError"],
  ["text", "text"],
  [new Error("x".repeat(1_000)), `Error: ${"x".repeat(493)}`],
])("describes an exception by its name and, where that can't quote anything, its message", (error, text) => {
  expect(described(error)).toBe(text);
});
