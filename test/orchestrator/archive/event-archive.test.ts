/**
 * Old events move to R2, and the chain goes on from there.
 */
import { env, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { beforeAll, describe, expect, test, vi } from "vitest";
import type { OrchestratorApi } from "../../../src/contracts/orchestrator.ts";
import { orchestratorOf } from "../../../src/contracts/stubs.ts";
import { hashOlderEvents } from "../../../src/orchestrator/store/event-log.ts";
import { spawn } from "../../support/door.ts";
import { DAY_MS, exported, parsed, problemsOf } from "../../support/log-export.ts";
import { installModel } from "../../support/model.ts";

beforeAll(() => {
  installModel();
});

describe("the retention of events", () => {
  const refusal = (stub: OrchestratorApi) =>
    stub.record({ tool: "spawn_claude", actor: "local", client: null }, null, "limit_reached");

  /** A tenant with this many calls on record, the first `old` of them past their retention. */
  async function aged(tenant: string, calls: number, old: number): Promise<OrchestratorApi> {
    const stub = orchestratorOf(env, tenant);
    const clock = vi.spyOn(Date, "now");
    const longAgo = Date.now() - 40 * DAY_MS;
    for (let i = 0; i < calls; i++) {
      if (i < old) clock.mockReturnValue(longAgo + i);
      else clock.mockRestore();
      await refusal(stub);
    }
    clock.mockRestore();
    return stub;
  }

  const wake = (tenant: string) =>
    runInDurableObject(env.ORCHESTRATOR.getByName(tenant), (instance) => instance.alarm());

  const linesIn = async (key: string) => ((await (await env.FILES?.get(key))?.text()) ?? "").split("\n").slice(0, -1);

  test("moves old events to R2, and the chain goes on from there", async () => {
    const stub = await aged("aged", 5, 3);
    const before = await stub.audit(0, 5);
    const end = await stub.auditHead();
    await wake("aged");
    const moved = await stub.audit(0, 5);
    expect(moved).toEqual({ key: "claude_orchestrator/aged/_events/000000000000001.jsonl", first_seq: 1, last_seq: 3 });
    const rest = await stub.audit(3, 5);
    const lines = [...(await linesIn("key" in moved ? moved.key : "")), ...linesOf(rest)];
    expect(lines).toEqual(linesOf(before));
    expect(problemsOf(lines, end)).toEqual([]);
    const { events } = await stub.events({ after: 0, instance_id: null, limit: 10, waitMs: 0 });
    expect(events.map((event) => event.seq)).toEqual([4, 5]);
  });

  test("goes on with the sequence and the chain when all events are gone", async () => {
    const stub = await aged("emptied", 2, 2);
    const end = await stub.auditHead();
    await wake("emptied");
    expect(await stub.auditHead()).toEqual(end);
    await refusal(stub);
    const [line] = parsed(linesOf(await stub.audit(2, 3)));
    expect(line).toMatchObject({ seq: 3, prev: end.hash });
  });

  test("loses nothing when R2 does not take a segment", async () => {
    const stub = await aged("refused", 3, 3);
    await runInDurableObject(env.ORCHESTRATOR.getByName("refused"), async (instance) => {
      const bucket = env.FILES as R2Bucket;
      const put = bucket.put;
      bucket.put = () => Promise.reject(new Error("R2 is away"));
      await instance.alarm().finally(() => {
        bucket.put = put;
      });
    });
    expect(linesOf(await stub.audit(0, 3))).toHaveLength(3);
  });

  test("wakes nobody before anything is due", async () => {
    await aged("young", 2, 0);
    expect(await runDurableObjectAlarm(env.ORCHESTRATOR.getByName("young"))).toBe(false);
  });

  test("is exported from R2 and from the object as one", async () => {
    for (let i = 0; i < 4; i++) await spawn();
    const stub = env.ORCHESTRATOR.getByName("default");
    const end = await stub.auditHead();
    expect(end.seq).toBeGreaterThan(4);
    const whole = (await exported()).slice(0, end.seq);
    await runInDurableObject(stub, async (instance, state) => {
      state.storage.sql.exec("UPDATE event SET at = ? WHERE seq <= 4", Date.now() - 40 * DAY_MS);
      state.storage.sql.exec("UPDATE event SET hash = '' WHERE 1");
      hashOlderEvents(state.storage);
      await instance.alarm();
    });
    const now = await exported();
    expect(problemsOf(now)).toEqual([]);
    expect(
      parsed(now)
        .map((line) => line.seq)
        .slice(0, end.seq),
    ).toEqual(parsed(whole).map((line) => line.seq));
    expect(parsed(await exported(2)).map((line) => line.seq)[0]).toBe(3);
    expect(problemsOf(await exported(2))).toEqual([]);
  });
});

function linesOf(page: object): string[] {
  return "lines" in page ? String(page.lines).split("\n").slice(0, -1) : [];
}
