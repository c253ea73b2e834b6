/**
 * The tenant's event log as a stream: each step of an instance's life, from any sequence on.
 */

import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { TenantEvent } from "../../../src/contracts/records.ts";
import { type Json, request, send, spawn, tool } from "../../support/door.ts";
import { kill, streamOf } from "../../support/events.ts";
import { installModel, saying, scriptModel } from "../../support/model.ts";
import { randomOf } from "../../support/random.ts";
import { stopwatch } from "../../support/stopwatch.ts";

installModel();

beforeEach(() => scriptModel(() => undefined));

afterEach(() => scriptModel(() => undefined));

describe("the event log of the tenant", () => {
  const tenantEvents = (query = "", lastEventId?: string) => streamOf(`/events${query}`, lastEventId);

  /** Everything about an instance until an event of this kind. */
  async function logOf(id: string, last: string, query = `?instance_id=${id}`): Promise<TenantEvent[]> {
    const log: TenantEvent[] = [];
    for await (const { id: eventId, event, data } of tenantEvents(query)) {
      const entry = data as unknown as TenantEvent;
      expect({ id: eventId, event }).toEqual({ id: String(entry.seq), event: entry.kind });
      log.push(entry);
      if (entry.kind === last && entry.instance_id === id) break;
    }
    return log;
  }

  const ascending = (log: readonly TenantEvent[]) =>
    log.every((event, i) => i === 0 || event.seq > (log[i - 1]?.seq ?? 0));

  it("has each step of an instance's life, and nothing of what was said", async () => {
    const secrets = { system: "sesame-system", asked: "sesame-asked", said: "sesame-said", tool: "sesame-tool" };
    const id = await spawn({ system_prompt: secrets.system, initial_prompt: `Begin, ${secrets.asked}.` });
    scriptModel((call) =>
      call.toolResults.length === 0 && call.lastUserText.startsWith("Then")
        ? {
            blocks: [
              { type: "text", text: secrets.said },
              { type: "tool_use", name: "lookup", input: { value: secrets.tool } },
            ],
          }
        : saying(`${secrets.said} at last.`),
    );
    const { message_id } = await send(id, `Then ${secrets.asked}.`);
    await tool("interrupt_instance", { instance_id: id, reason: "sesame-reason" });
    await tool("terminate_instance", { instance_id: id });
    const log = await logOf(id, "instance.stopped");
    expect(ascending(log)).toBe(true);
    expect(log.every((event) => event.instance_id === id)).toBe(true);
    expect(log.every((event) => !Number.isNaN(Date.parse(event.at)))).toBe(true);
    expect(log.filter((event) => event.data.message_id === message_id).map((event) => event.kind)).toEqual([
      "message.queued",
      "message.started",
      "model_call.completed",
      "tool.finished",
      "tools.answered",
      "model_call.completed",
      "message.completed",
    ]);
    expect(log.map((event) => event.kind)).toEqual(
      expect.arrayContaining(["instance.spawned", "instance.terminated", "instance.stopped"]),
    );
    expect(log[0]?.kind).toBe("instance.spawned");
    expect(log.find((event) => event.kind === "model_call.completed")?.data).toMatchObject({
      model: expect.any(String),
      input: expect.any(Number),
      output: expect.any(Number),
      cost_nano: expect.any(Number),
      duration_ms: expect.any(Number),
    });
    for (const secret of Object.values(secrets)) expect(JSON.stringify(log)).not.toContain(secret);
  });

  it("tells of failures, waits and cancellations by their codes", async () => {
    const id = await spawn();
    let attempts = 0;
    scriptModel(() => {
      attempts += 1;
      const status = attempts === 1 ? 500 : 401;
      return { fault: { kind: "status", status, type: "api_error", message: "sesame", retryAfterSeconds: 0.1 } };
    });
    const { message_id } = await send(id, "Try.");
    const log = await logOf(id, "message.failed");
    const steps = log.filter(({ kind }) => kind !== "audit.called");
    expect(steps.slice(1).map(({ kind, data }) => [kind, data.message_id, data.error ?? data.reason])).toEqual([
      ["message.queued", message_id, undefined],
      ["message.started", message_id, undefined],
      ["model_call.failed", message_id, "upstream_error"],
      ["message.waiting", message_id, "server_error"],
      ["model_call.failed", message_id, "upstream_error"],
      ["message.failed", message_id, "upstream_error"],
    ]);
    expect(JSON.stringify(log)).not.toContain("sesame");
  });

  it("goes on after any sequence, of all instances or of one, the same every time", async () => {
    const [one, two] = await Promise.all([spawn(), spawn()]);
    for (let i = 0; i < 3; i++) await Promise.all([send(one, `${i}`), send(two, `${i}`)]);
    await tool("terminate_instance", { instance_id: one });
    const own = await logOf(one, "instance.stopped");
    const all = await logOf(one, "instance.stopped", "");
    expect(ascending(all)).toBe(true);
    expect(all.filter((event) => event.instance_id === one)).toEqual(own);
    expect(all.some((event) => event.instance_id === two)).toBe(true);

    const random = randomOf(7);
    const seen: TenantEvent[] = [];
    while (seen.at(-1)?.seq !== all.at(-1)?.seq) {
      const last = seen.at(-1)?.seq;
      for await (const { data } of tenantEvents("", last === undefined ? undefined : String(last))) {
        seen.push(data as unknown as TenantEvent);
        if (random() < 0.2 || seen.length === all.length) break;
      }
    }
    expect(seen).toEqual(all);

    const after = own[3]?.seq ?? 0;
    const rest: TenantEvent[] = [];
    for await (const { data } of tenantEvents(`?instance_id=${one}&after=${after}`)) {
      rest.push(data as unknown as TenantEvent);
      if (rest.at(-1)?.kind === "instance.stopped") break;
    }
    expect(rest).toEqual(own.slice(4));
  });

  it("survives the Orchestrator's end, and never uses a sequence twice", async () => {
    const id = await spawn();
    await send(id, "Hello.");
    const before = await logOf(id, "message.completed");
    await kill(env.ORCHESTRATOR.getByName("default"));
    await send(id, "Hello again.");
    await tool("terminate_instance", { instance_id: id });
    const log = await logOf(id, "instance.stopped");
    expect(log.slice(0, before.length)).toEqual(before);
    expect(ascending(log)).toBe(true);
  });

  it("reaches a reader that waits for it as it happens", async () => {
    const id = await spawn();
    const waiting = logOf(id, "message.completed");
    await new Promise((done) => setTimeout(done, 50));
    const elapsed = stopwatch();
    await send(id, "Hello.");
    expect((await waiting).map((event) => event.kind)).toEqual([
      "instance.spawned",
      "audit.called",
      "message.queued",
      "audit.called",
      "message.started",
      "model_call.completed",
      "message.completed",
    ]);
    expect(elapsed()).toBeLessThan(1_000);
  });

  it.each([
    ["/events?after=bees"],
    ["/events?after=-1"],
    ["/events?after=1.5"],
    ["/events?after="],
    [`/events?after=${"9".repeat(20)}`],
    ["/events?instance_id=bees"],
    ["/events?instance_id="],
  ])("refuses %s", async (path) => {
    const response = await request(path);
    expect(response.status).toBe(400);
    expect((await response.json()) as Json).toMatchObject({ success: false, error: "invalid_input" });
  });

  it("refuses an id that is none of its own", async () => {
    const response = await request("/events", { headers: { "last-event-id": "12_3_4" } });
    expect(response.status).toBe(400);
    await response.text();
  });
});
