/**
 * A job on its way to its end: participants that fail, limits, cancellation, and what wakes it.
 */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { orchestratorOf } from "../../src/contracts/stubs.ts";
import { type Json, send, spawn, status, tool, until } from "../support/door.ts";
import {
  asked,
  coordinate,
  finished,
  type JobView,
  plainly,
  play,
  playPlainly,
  type Reply,
  schemaOf,
  team,
  view,
  who,
} from "../support/jobs.ts";
import { installModel, scriptModel } from "../support/model.ts";

installModel();

beforeEach(() => playPlainly());

describe("a participant that fails", () => {
  /** A parallel job of three of whom Ben is in trouble; the others wait until the trouble is over. */
  async function trouble(
    cause: (ids: Record<string, string>) => Promise<unknown>,
    answer: (text: string) => Reply | Promise<Reply> = () => ({ fault: { kind: "stall", pings: true, pingMs: 200 } }),
    spawned?: Record<string, string>,
  ): Promise<{ job: JobView; ids: Record<string, string> }> {
    const ids = spawned ?? (await team("Cora", "Ada", "Ben", "Cleo"));
    let begun = false;
    let over = false;
    play(async (name, text, call) => {
      if (name === "Ben") {
        begun = true;
        return answer(text);
      }
      await until(async () => over || name === "Cora");
      return plainly(name, schemaOf(call));
    });
    const jobId = await coordinate({
      coordinator_id: ids.Cora,
      participant_ids: [ids.Ada, ids.Ben, ids.Cleo],
      coordination_type: "parallel",
    });
    if (!spawned) await until(async () => begun);
    await cause(ids);
    over = true;
    return { job: await finished(jobId), ids };
  }

  /** The result stands on the others, and says who is missing. */
  function standsOnTheRest(job: JobView, ids: Record<string, string>, code: string): void {
    expect(job.status).toBe("partial");
    expect(job.message).toContain("work:1 (Ben)");
    expect(job.steps.map((step) => [step.step, step.status, step.error?.code])).toEqual([
      ["work:0", "completed", undefined],
      ["work:1", "failed", code],
      ["work:2", "completed", undefined],
      ["result", "completed", undefined],
    ]);
    expect(job.result?.summary).toBe("the work of Cora");
    expect(job.result?.outputs.map((output) => output.instance_id)).toEqual([ids.Ada, ids.Cleo]);
    expect(asked.at(-1)?.text).toContain(`work:1: ${code}`);
  }

  it("because it was terminated meanwhile is named, and the result stands on the rest", async () => {
    const { job, ids } = await trouble((all) => tool("terminate_instance", { instance_id: all.Ben, force: true }));
    standsOnTheRest(job, ids, "cancelled");
  });

  it("because it was terminated before its step is named, and those after it go on", async () => {
    const ids = await team("Cora", "Ada", "Ben", "Cleo");
    let over = false;
    playPlainly((name) =>
      name === "Ada" && !over ? { fault: { kind: "stall", pings: true, pingMs: 50 } } : undefined,
    );
    const jobId = await coordinate({ coordinator_id: ids.Cora, participant_ids: [ids.Ada, ids.Ben, ids.Cleo] });
    await until(async () => who().includes("Ada"));
    await tool("terminate_instance", { instance_id: ids.Ben });
    over = true;
    await tool("interrupt_instance", { instance_id: ids.Ada });
    const job = await finished(jobId);
    expect(job.status).toBe("partial");
    expect(job.steps.map((step) => step.error?.code)).toEqual(["cancelled", "conflict", undefined, undefined]);
    expect(who()).toEqual(["Ada", "Cleo", "Cora"]);
  });

  it("because it refused is named, and is not asked again", async () => {
    const { job, ids } = await trouble(
      async () => undefined,
      () => ({ stopReason: "refusal", blocks: [] }),
    );
    standsOnTheRest(job, ids, "refused");
    expect(who().filter((name) => name === "Ben")).toHaveLength(1);
  });

  it("because its money is used up is named, and its message does not stay behind", async () => {
    const ids = await team("Cora", "Ada", "Ben", "Cleo");
    await tool("set_limits", { instance_id: ids.Ben, max_cost: 0.000001 });
    const { job } = await trouble(
      async () => undefined,
      () => "never",
      ids,
    );
    standsOnTheRest(job, ids, "budget_exceeded");
    expect(who()).not.toContain("Ben");
    const [message] = job.steps[1]?.message_ids ?? [];
    await until(async () => {
      const { done } = (await tool("wait", { ids: [message], timeout_seconds: 5 })) as Json & {
        done: { status: string }[];
      };
      return done[0]?.status === "cancelled";
    });
  });

  it("because of the model's server is asked once more", async () => {
    let tries = 0;
    playPlainly((name) => {
      if (name !== "Ada") return undefined;
      tries += 1;
      // Not worth another try to the turn runner, so that the message fails at once.
      return tries === 1
        ? { fault: { kind: "status", status: 500, type: "api_error", message: "broken", shouldRetry: false } }
        : undefined;
    });
    const { Cora, Ada } = await team("Cora", "Ada");
    const job = await finished(await coordinate({ coordinator_id: Cora, participant_ids: [Ada] }));
    expect(job.status).toBe("completed");
    expect(tries).toBe(2);
    expect(job.steps[0]).toMatchObject({ step: "work:0", message_ids: [expect.any(String), expect.any(String)] });
  });

  it("makes the job fail when none of them is left, and when it is the coordinator; what was delivered is kept", async () => {
    playPlainly((name) => (name === "Ada" || name === "Ben" ? { stopReason: "refusal", blocks: [] } : undefined));
    const ids = await team("Cora", "Ada", "Ben", "Dora");
    const none = await finished(await coordinate({ coordinator_id: ids.Cora, participant_ids: [ids.Ada, ids.Ben] }));
    expect(none).toMatchObject({
      status: "failed",
      failure: { code: "refused" },
      result: { summary: null, outputs: [] },
    });
    expect(who()).not.toContain("Cora");

    const headless = await finished(await coordinate({ coordinator_id: ids.Ada, participant_ids: [ids.Dora] }));
    expect(headless).toMatchObject({
      status: "failed",
      failure: { code: "refused", details: { step: "result" } },
      result: { summary: null, outputs: [{ instance_id: ids.Dora, text: "the work of Dora" }] },
    });
  });
});

describe("a job's limits", () => {
  it("stop what its cap does not cover before it is paid, and nothing else", async () => {
    const { Cora, Ada } = await team("Cora", "Ada");
    const job = await finished(
      await coordinate({ coordinator_id: Cora, participant_ids: [Ada], options: { max_cost: 0.000001 } }),
    );
    expect(asked).toEqual([]);
    expect(job).toMatchObject({ status: "failed", failure: { code: "budget_exceeded" }, cost: 0, max_cost: 0.000001 });
    expect(job.steps[0]?.error).toMatchObject({ code: "budget_exceeded", details: { scope: job.job_id } });
    expect(await status(Ada ?? "")).toMatchObject({ state: "error" });
    expect(await send(Ada ?? "", "And without the job?")).toMatchObject({ success: true, status: "completed" });
  });

  it("stop a step that takes too long, and its message", async () => {
    const { Cora, Ada, Ben } = await team("Cora", "Ada", "Ben");
    playPlainly((name) => (name === "Ada" ? { fault: { kind: "stall", pings: true, pingMs: 200 } } : undefined));
    const jobId = await coordinate({
      coordinator_id: Cora,
      participant_ids: [Ada, Ben],
      coordination_type: "parallel",
      options: { step_timeout_seconds: 1 },
    });
    const job = await finished(jobId);
    expect(job.status).toBe("partial");
    expect(job.steps[0]).toMatchObject({ status: "failed", error: { code: "limit_reached" } });
    await until(async () => (await status(Ada ?? "")).state === "idle");
  });
});

describe("cancel_job", () => {
  it("stops the steps under way with their messages, and keeps what was delivered", async () => {
    const { Cora, Ada, Ben } = await team("Cora", "Ada", "Ben");
    playPlainly((name) => (name === "Ben" ? { fault: { kind: "stall", pings: true, pingMs: 200 } } : undefined));
    const jobId = await coordinate({ coordinator_id: Cora, participant_ids: [Ada, Ben] });
    await until(async () => who().includes("Ben"));
    expect(await tool("cancel_job", { job_id: jobId, reason: "enough" })).toMatchObject({
      success: true,
      status: "cancelled",
    });
    const job = await view(jobId);
    expect(job).toMatchObject({ status: "cancelled", failure: { code: "cancelled" } });
    expect(job.steps.map((step) => step.status)).toEqual(["completed", "skipped"]);
    expect(job.result).toMatchObject({ summary: null, outputs: [{ text: "the work of Ada" }] });
    await until(async () => (await status(Ben ?? "")).state === "idle");
    expect(who()).not.toContain("Cora");

    expect(await tool("cancel_job", { job_id: jobId })).toMatchObject({ success: true, status: "cancelled" });
  });
});

describe("a job whose steps are under way", () => {
  it("does nothing and is woken by nothing but the next deadline", async () => {
    const { Cora, Ada, Ben } = await team("Cora", "Ada", "Ben");
    playPlainly(() => ({ fault: { kind: "stall", pings: true, pingMs: 200 } }));
    const input = { coordinator_id: Cora, participant_ids: [Ada, Ben], coordination_type: "parallel" };
    const jobId = await coordinate({ ...input, options: { step_timeout_seconds: 600 } });
    await until(async () => who().length === 2);
    const [first] = (await view(jobId)).steps;
    const object = env.JOB.getByName(`default/${jobId}`);
    const rows = await until(() =>
      runInDurableObject(object, async (_job, { storage }) => {
        const alarm = await storage.getAlarm();
        // Messages that have just gone out are noted first.
        if (alarm !== Date.parse(String(first?.started_at)) + 600_000) return false;
        return storage.sql.exec("SELECT 1 FROM outbox UNION ALL SELECT 1 FROM step WHERE due_at IS NOT NULL").toArray();
      }).then((found) => found || undefined),
    );
    expect(rows).toEqual([]);
    await tool("cancel_job", { job_id: jobId });
  });

  it("keeps those whose step has not come from ending for want of work", async () => {
    const ids = await team("Cora", "Ada", "Ben");
    playPlainly(() => ({ fault: { kind: "stall", pings: true, pingMs: 200 } }));
    const jobId = await coordinate({ coordinator_id: ids.Cora, participant_ids: [ids.Ada, ids.Ben] });
    await until(async () => who().includes("Ada"));
    const registry = env.ORCHESTRATOR.getByName("default");
    const idle = (id = "") =>
      runInDurableObject(registry, (_object, { storage }) => {
        // Its idle time is over: nobody has used it.
        storage.sql.exec("UPDATE instance SET unused_until = 1 WHERE instance_id = ?", id);
        return storage.setAlarm(Date.now() + 60_000);
      });
    await idle(ids.Ben);
    await runDurableObjectAlarm(registry);
    expect(await status(ids.Ben ?? "")).toMatchObject({ state: "idle" });
    expect(await orchestratorOf(env, "default").expire(ids.Cora ?? "")).toMatchObject({ expired: false });

    await tool("cancel_job", { job_id: jobId });
    const never = await spawn({ timeout_minutes: 0.0001 });
    await idle(never);
    await until(async () => {
      await runDurableObjectAlarm(registry);
      return (await status(never)).state === "terminated";
    });
  });

  it("is cancelled with what is still on its way to its instances", async () => {
    const names = ["Ada", "Ben", "Cleo", "Dora"];
    const ids = await team("Cora", ...names);
    playPlainly(() => ({ fault: { kind: "stall", pings: true, pingMs: 200 } }));
    const participant_ids = names.map((name) => ids[name]);
    const jobId = await coordinate({ coordinator_id: ids.Cora, participant_ids, coordination_type: "parallel" });
    expect(await tool("cancel_job", { job_id: jobId })).toMatchObject({ status: "cancelled" });
    await until(async () => {
      const states = await Promise.all(names.map(async (name) => status(ids[name] ?? "")));
      return states.every((record) => record.state === "idle" && record.queue_depth === 0);
    });
    expect((await view(jobId)).status).toBe("cancelled");
  });
});

describe("a server without a key", () => {
  it.each<[string, Record<string, unknown>]>([
    ["sequential", {}],
    ["parallel", { split: true }],
    ["consensus", {}],
    ["delegated", {}],
  ])("brings a %s job to its end by the simulator alone", async (coordination_type, options) => {
    scriptModel(() => undefined);
    const { Cora, Ada, Ben } = await team("Cora", "Ada", "Ben");
    const input = { coordinator_id: Cora, participant_ids: [Ada, Ben], coordination_type, options };
    expect(await finished(await coordinate(input))).toMatchObject({
      status: "completed",
      result: { summary: expect.stringMatching(/\w/) },
    });
  });
});

describe("a job with more participants than are asked at once", () => {
  it("asks each of them once, and merges what all of them gave", async () => {
    const names = Array.from({ length: 80 }, (_, i) => `P${i}x`);
    const ids = await team("Cora", ...names);
    const participant_ids = names.map((name) => ids[name]);
    const jobId = await coordinate({ coordinator_id: ids.Cora, participant_ids, coordination_type: "parallel" });
    const job = await finished(jobId);
    expect(job.status).toBe("completed");
    expect(who().toSorted()).toEqual(["Cora", ...names].toSorted());
    expect(job.result?.outputs).toHaveLength(80);
  }, 60_000);
});
