/**
 * Coordinated tasks: what each participant is asked, in what order and at the same time as whom, and what comes of it when
 * somebody fails.
 */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { orchestratorOf } from "../../src/contracts/stubs.ts";
import { newInstanceId, newJobId } from "../../src/platform/ids.ts";
import { type Json, request, send, spawn, status, tool, until } from "../support/door.ts";
import {
  type Asked,
  asked,
  coordinate,
  finished,
  type JobView,
  mostAtOnce,
  PLAN,
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

describe("sequential", () => {
  it("asks one after another, each with what came before, and has the coordinator write the result", async () => {
    play((name) => `the work of ${name}`);
    const { Cora, Ada, Ben, Cleo } = await team("Cora", "Ada", "Ben", "Cleo");
    const job = await finished(await coordinate({ coordinator_id: Cora, participant_ids: [Ada, Ben, Cleo] }));
    expect(job.status).toBe("completed");
    expect(who()).toEqual(["Ada", "Ben", "Cleo", "Cora"]);
    expect(mostAtOnce()).toBe(1);
    expect(asked.every((call) => call.text.includes("<task>\nBuild a bridge.\n</task>"))).toBe(true);
    const sees = asked.map((call) =>
      ["Ada", "Ben", "Cleo"].filter((name) => call.text.includes(`the work of ${name}`)),
    );
    expect(sees).toEqual([[], ["Ada"], ["Ada", "Ben"], ["Ada", "Ben", "Cleo"]]);
    expect(job.result?.summary).toBe("the work of Cora");
    expect(job.result?.outputs.map((output) => output.text)).toEqual(
      ["Ada", "Ben", "Cleo"].map((n) => `the work of ${n}`),
    );
    expect(job.steps.map((step) => [step.step, step.status])).toEqual([
      ["work:0", "completed"],
      ["work:1", "completed"],
      ["work:2", "completed"],
      ["result", "completed"],
    ]);
    expect(job.steps.every((step) => step.message_ids.length === 1 && step.cost > 0)).toBe(true);
    const sum = job.steps.reduce((cost, step) => cost + step.cost, 0);
    // The registry hears of the last call at the same time as the job.
    await until(async () => Math.abs((await view(job.job_id)).cost - sum) < 1e-9);
  });
});

beforeEach(() => playPlainly());

describe("parallel", () => {
  it("has 16 participants at work at the same time, none of which sees another's work", async () => {
    const names = Array.from({ length: 16 }, (_, i) => `P${i}x`);
    const ids = await team("Cora", ...names);
    // Nobody answers before all sixteen were asked.
    let now = 0;
    let peak = 0;
    play(async (name) => {
      now += 1;
      peak = Math.max(peak, now);
      await until(async () => peak === 16 || name === "Cora");
      now -= 1;
      return `the work of ${name}`;
    });
    const participant_ids = names.map((name) => ids[name]);
    const job = await finished(
      await coordinate({ coordinator_id: ids.Cora, participant_ids, coordination_type: "parallel" }),
    );
    expect(job.status).toBe("completed");
    expect(peak).toBe(16);
    expect(who().slice(0, 16).toSorted()).toEqual(names.toSorted());
    expect(who().slice(16)).toEqual(["Cora"]);
    expect(asked.slice(0, 16).every((call) => !call.text.includes("the work of"))).toBe(true);
    expect(names.every((name) => asked[16]?.text.includes(`>\nthe work of ${name}\n</contribution>`))).toBe(true);
    expect(job.result?.outputs.map((output) => output.instance_id)).toEqual(participant_ids);
  });

  it("gives each participant its own part when the coordinator is to split the task", async () => {
    const { Cora, Ada, Ben } = await team("Cora", "Ada", "Ben");
    const job = await finished(
      await coordinate({
        coordinator_id: Cora,
        participant_ids: [Ada, Ben],
        coordination_type: "parallel",
        options: { split: true },
      }),
    );
    expect(job.status).toBe("completed");
    expect(who()[0]).toBe("Cora");
    expect(who().slice(1, 3).toSorted()).toEqual(["Ada", "Ben"]);
    for (const call of asked.slice(1, 3)) {
      const mine = call.who === "Ada" ? Ada : Ben;
      expect(call.text.match(/the part of \w+/g)).toEqual([`the part of ${mine}`]);
    }
  });
});

describe("delegated", () => {
  const delegate = async (ids: Record<string, string>) =>
    coordinate({
      coordinator_id: ids.Cora,
      participant_ids: [ids.Ada, ids.Ben],
      coordination_type: "delegated",
    });

  it("runs what is ready at the same time and hands results on along the dependencies", async () => {
    const ids = await team("Cora", "Ada", "Ben");
    let open = 0;
    let together = 0;
    play(async (name, text, call) => {
      if (!/<part>\nDo [ab]\./.test(text) || name === "Cora") return plainly(name, schemaOf(call));
      open += 1;
      together = Math.max(together, open);
      await until(async () => together === 2);
      open -= 1;
      return `result of ${/<part>\nDo (\w)/.exec(text)?.[1]} by ${name}`;
    });
    const job = await finished(await delegate(ids));
    expect(job.status).toBe("completed");
    expect(together).toBe(2);
    expect(job.steps.map((step) => step.step)).toEqual(["plan:1", "task:a", "task:b", "task:c", "result"]);
    const c = asked.find((call) => call.text.includes("<part>\nDo c."));
    expect(c?.who).toBe("Ada");
    expect(c?.text).toContain("result of a by Ada");
    expect(c?.text).toContain("result of b by Ben");
    expect(asked.at(-1)).toMatchObject({ who: "Cora", schema: null });
    expect(job.result?.outputs.map((output) => output.step)).toEqual(["task:a", "task:b", "task:c"]);
  });

  const circle = PLAN.map((task) => (task.id === "a" ? { ...task, depends_on: ["c"] } : task));

  it("has a plan that can't be carried out made again, with what is wrong with it", async () => {
    let plans = 0;
    playPlainly((name, _text, call) => {
      if (!(schemaOf(call)?.properties as Record<string, unknown> | undefined)?.tasks) return undefined;
      plans += 1;
      return plainly(name, schemaOf(call), plans === 1 ? circle : PLAN);
    });
    const job = await finished(await delegate(await team("Cora", "Ada", "Ben")));
    expect(job.status).toBe("completed");
    expect(asked[1]).toMatchObject({ who: "Cora", text: expect.stringContaining("a -> c -> a") });
    expect(job.steps.map((step) => step.step)).toEqual(["plan:1", "plan:2", "task:a", "task:b", "task:c", "result"]);
  });

  it("fails when the plan can't be carried out after that either, and asks no participant", async () => {
    play((name, _text, call) => plainly(name, schemaOf(call), circle));
    const job = await finished(await delegate(await team("Cora", "Ada", "Ben")));
    expect(job).toMatchObject({ status: "failed", failure: { code: "schema_mismatch" } });
    expect(job.failure?.message).toContain("circle");
    expect(who()).toEqual(["Cora", "Cora"]);
  });

  it("skips what builds on a part that failed, and finishes with the rest", async () => {
    playPlainly((_name, text) => (text.includes("<part>\nDo b.") ? { stopReason: "refusal", blocks: [] } : undefined));
    const job = await finished(await delegate(await team("Cora", "Ada", "Ben")));
    expect(job.status).toBe("partial");
    expect(job.steps.map((step) => [step.step, step.status])).toEqual([
      ["plan:1", "completed"],
      ["task:a", "completed"],
      ["task:b", "failed"],
      ["task:c", "skipped"],
      ["result", "completed"],
    ]);
    expect(asked.at(-1)?.text).toContain("task:b (Do b.): refused");
  });
});

describe("consensus", () => {
  interface Ballot {
    choice: string;
    confidence?: number;
  }

  /** Everyone votes as told by name; the coordinator as `Cora` says. */
  function playVotes(votes: Record<string, string | Ballot>): void {
    playPlainly((name, _text, call) => {
      const vote = votes[name];
      if (!(schemaOf(call)?.properties as Record<string, unknown> | undefined)?.choice || vote === undefined)
        return undefined;
      const ballot = typeof vote === "string" ? { choice: vote } : vote;
      return { confidence: 0.7, reasons: `reasons of ${name}`, ...ballot };
    });
  }

  const decide = async (ids: Record<string, string>, options: Record<string, unknown> = {}) => {
    const { Cora, ...others } = ids;
    return finished(
      await coordinate({
        coordinator_id: Cora,
        participant_ids: Object.values(others),
        coordination_type: "consensus",
        options,
      }),
    );
  };
  const CHOICES = ["Stone", "Steel", "Wood"];
  /** What a ballot may name. */
  const choicesIn = (call: Asked | undefined) =>
    (call?.schema?.properties as { choice: { enum: string[] } } | undefined)?.choice.enum;

  it("takes blind proposals, has them made into choices, and takes secret ballots", async () => {
    playVotes({ Ada: "Steel", Ben: "Steel", Cleo: "Stone" });
    const ids = await team("Cora", "Ada", "Ben", "Cleo");
    const job = await decide(ids);
    expect(job.status).toBe("completed");
    expect(who().slice(0, 3).toSorted()).toEqual(["Ada", "Ben", "Cleo"]);
    expect(who()[3]).toBe("Cora");
    expect(who().slice(4).toSorted()).toEqual(["Ada", "Ben", "Cleo"]);
    expect(asked.slice(0, 3).every((call) => call.schema === null && !call.text.includes("the work of"))).toBe(true);
    expect(["Ada", "Ben", "Cleo"].every((name) => asked[3]?.text.includes(`the work of ${name}`))).toBe(true);
    // A ballot shows nothing of the others: neither their names nor their proposals.
    for (const ballot of asked.slice(4)) {
      expect(ballot.text).not.toMatch(/the work of|Ada|Ben|Cleo|inst_/);
      expect(choicesIn(ballot)).toEqual(["Stone", "Steel"]);
    }
    expect(job.result).toMatchObject({
      decision: "Steel",
      tally: { Stone: 1, Steel: 2 },
      quorum_met: true,
      votes: ["Ada", "Ben", "Cleo"].map((name) => ({
        instance_id: ids[name],
        choice: name === "Cleo" ? "Stone" : "Steel",
        confidence: 0.7,
        reasons: `reasons of ${name}`,
      })),
      minority: [{ choice: "Stone", votes: 1, instance_ids: [ids.Cleo], reasons: ["reasons of Cleo"] }],
      rounds: 1,
    });
  });

  it("votes at once on choices that are given", async () => {
    playVotes({ Ada: "Wood", Ben: "Wood" });
    const job = await decide(await team("Cora", "Ada", "Ben"), { choices: CHOICES });
    expect(who().toSorted()).toEqual(["Ada", "Ben"]);
    expect(job.result).toMatchObject({ decision: "Wood", tally: { Stone: 0, Steel: 0, Wood: 2 }, minority: [] });
  });

  it("has the coordinator break a tie, between the choices that are tied alone", async () => {
    playVotes({ Ada: "Steel", Ben: "Wood", Cora: "Wood" });
    const ids = await team("Cora", "Ada", "Ben");
    const job = await decide(ids, { choices: CHOICES });
    expect(who().at(-1)).toBe("Cora");
    expect(choicesIn(asked.at(-1))).toEqual(["Steel", "Wood"]);
    expect(job.result).toMatchObject({
      decision: "Wood",
      tie_broken_by: ids.Cora,
      tally: { Stone: 0, Steel: 1, Wood: 1 },
    });
    expect(job.result?.minority).toMatchObject([{ choice: "Steel", instance_ids: [ids.Ada] }]);
  });

  it("decides nothing without a quorum, and says so", async () => {
    playVotes({ Ada: "Steel", Ben: "Concrete", Cleo: "Glass" });
    const ids = await team("Cora", "Ada", "Ben", "Cleo");
    const job = await decide(ids, { choices: CHOICES, quorum: 2 });
    expect(job.status).toBe("partial");
    expect(job.result).toMatchObject({ decision: null, quorum_met: false, tally: { Stone: 0, Steel: 1, Wood: 0 } });
    expect(job.result?.summary).toContain("no quorum");
  });

  it("has a malformed ballot made again once, and takes a vote for what is no choice as none", async () => {
    let tries = 0;
    playPlainly((name, _text, call) => {
      if (!schemaOf(call)) return undefined;
      if (name === "Cleo") return { choice: "Concrete", confidence: 1, reasons: "it lasts" };
      if (name !== "Ben") return undefined;
      tries += 1;
      return tries === 1 ? "I vote for steel!" : { choice: "Steel", confidence: 0.5, reasons: "better now" };
    });
    const ids = await team("Cora", "Ada", "Ben", "Cleo");
    const job = await decide(ids, { choices: ["Steel", "Wood"] });
    expect(job.status).toBe("partial");
    expect(who().toSorted()).toEqual(["Ada", "Ben", "Ben", "Cleo", "Cleo"]);
    expect(job.result).toMatchObject({ decision: "Steel", tally: { Steel: 2, Wood: 0 }, quorum_met: true });
    expect(job.steps.filter((step) => step.status === "failed")).toMatchObject([
      { step: "vote:1:2", instance_id: ids.Cleo, error: { code: "schema_mismatch" } },
    ]);
  });

  it("votes again only if further rounds were asked for, with the counts and reasons but no names", async () => {
    playPlainly((name, text, call) => {
      if (!schemaOf(call)) return undefined;
      const again = text.includes("A round before this one");
      return { choice: name === "Ada" || again ? "Steel" : "Wood", confidence: 0.5, reasons: `reasons of ${name[0]}` };
    });
    const job = await decide(await team("Cora", "Ada", "Ben"), { choices: CHOICES, threshold: 0.6, rounds: 3 });
    expect(who().toSorted()).toEqual(["Ada", "Ada", "Ben", "Ben"]);
    expect(asked.at(-1)?.text).toMatch(/Steel: 1[\s\S]*reasons of A/);
    expect(asked.at(-1)?.text).not.toMatch(/Ada|Ben|inst_/);
    expect(job.result).toMatchObject({ decision: "Steel", rounds: 2, tally: { Steel: 2 } });

    const once = await decide(await team("Cora", "Ada", "Ben"), { choices: CHOICES, threshold: 0.6 });
    expect(once.result).toMatchObject({ decision: null, threshold_met: false, rounds: 1 });
  });
});

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

describe("bad input", () => {
  const none = newInstanceId();
  it.each<[string, (ids: Record<string, string>) => Record<string, unknown>, string]>([
    [
      "the coordinator among the participants",
      ({ Cora, Ada }) => ({ coordinator_id: Cora, participant_ids: [Ada, Cora] }),
      "invalid_input",
    ],
    [
      "a participant twice",
      ({ Cora, Ada }) => ({ coordinator_id: Cora, participant_ids: [Ada, Ada] }),
      "invalid_input",
    ],
    ["no participant", ({ Cora }) => ({ coordinator_id: Cora, participant_ids: [] }), "invalid_input"],
    [
      "a thousand participants",
      ({ Cora }) => ({ coordinator_id: Cora, participant_ids: Array.from({ length: 1_000 }, () => newInstanceId()) }),
      "invalid_input",
    ],
    ["an unknown participant", ({ Cora }) => ({ coordinator_id: Cora, participant_ids: [none] }), "not_found"],
    ["an unknown coordinator", ({ Ada }) => ({ coordinator_id: none, participant_ids: [Ada] }), "not_found"],
    [
      "a terminated participant",
      ({ Cora, Ada, Gone }) => ({ coordinator_id: Cora, participant_ids: [Ada, Gone] }),
      "conflict",
    ],
    ["a terminated coordinator", ({ Ada, Gone }) => ({ coordinator_id: Gone, participant_ids: [Ada] }), "conflict"],
    ["what is no id", ({ Cora }) => ({ coordinator_id: Cora, participant_ids: ["Ada"] }), "invalid_input"],
    [
      "an unknown type",
      ({ Cora, Ada }) => ({ coordinator_id: Cora, participant_ids: [Ada], coordination_type: "chaos" }),
      "invalid_input",
    ],
    [
      "an option of another type",
      ({ Cora, Ada }) => ({ coordinator_id: Cora, participant_ids: [Ada], options: { split: true } }),
      "invalid_input",
    ],
    [
      "an unknown option",
      ({ Cora, Ada }) => ({ coordinator_id: Cora, participant_ids: [Ada], options: { speed: 9 } }),
      "invalid_input",
    ],
    [
      "a consensus of one",
      ({ Cora, Ada }) => ({ coordinator_id: Cora, participant_ids: [Ada], coordination_type: "consensus" }),
      "invalid_input",
    ],
    [
      "a choice twice",
      ({ Cora, Ada, Ben }) => ({
        coordinator_id: Cora,
        participant_ids: [Ada, Ben],
        coordination_type: "consensus",
        options: { choices: ["a", "a"] },
      }),
      "invalid_input",
    ],
    [
      "a task that is too large",
      ({ Cora, Ada }) => ({ coordinator_id: Cora, participant_ids: [Ada], task_description: "x".repeat(102_401) }),
      "too_large",
    ],
    [
      "an empty task",
      ({ Cora, Ada }) => ({ coordinator_id: Cora, participant_ids: [Ada], task_description: " " }),
      "invalid_input",
    ],
  ])("%s is refused, and nothing has begun", async (_name, input, code) => {
    const ids = await team("Cora", "Ada", "Ben", "Gone");
    await tool("terminate_instance", { instance_id: ids.Gone });
    const before = await jobs();
    const answer = await tool("coordinate_instances", { task_description: "Build a bridge.", ...input(ids) });
    expect(answer).toMatchObject({ success: false, error: code });
    expect(await jobs()).toEqual(before);
    expect(asked).toEqual([]);
  });

  it("to an unknown job is not_found, and to what is no job id invalid_input", async () => {
    for (const name of ["get_job_status", "cancel_job"]) {
      expect(await tool(name, { job_id: newJobId() })).toMatchObject({ success: false, error: "not_found" });
      expect(await tool(name, { job_id: none })).toMatchObject({ success: false, error: "invalid_input" });
    }
    expect(await tool("wait", { ids: [newJobId()] })).toMatchObject({ success: false, error: "not_found" });
  });
});

/** The newest page of jobs, as the registry knows them. */
async function jobs(query = "limit=500"): Promise<Json & { jobs: Json[]; next_cursor: string | null }> {
  return (await request(`/jobs?${query}`)).json();
}

describe("over REST", () => {
  const post = async (path: string, body?: unknown, headers = {}) =>
    request(path, {
      method: "POST",
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
    });

  it("jobs are started once for one key, looked at, listed in pages, and cancelled", async () => {
    const { Cora, Ada } = await team("Cora", "Ada");
    const body = { coordinator_id: Cora, participant_ids: [Ada], task_description: "Build a bridge." };
    const headers = { "idempotency-key": crypto.randomUUID() };
    const first = (await (await post("/jobs", body, headers)).json()) as Json;
    expect(first).toMatchObject({ success: true, status: "queued", task_id: expect.stringMatching(/^job_/) });
    expect(await (await post("/jobs", body, headers)).json()).toEqual(first);
    expect((await post("/jobs", { ...body, task_description: "Another." }, headers)).status).toBe(409);
    await finished(String(first.task_id));
    await until(async () => who().length === 2);

    const shown = (await (await request(`/jobs/${first.task_id}`)).json()) as JobView;
    expect(shown).toMatchObject({ success: true, status: "completed", type: "sequential" });
    const second = String(((await (await post("/jobs", body)).json()) as Json).task_id);
    const cancelled = await post(`/jobs/${second}/cancel`);
    expect(await cancelled.json()).toMatchObject({ success: true, job_id: second });

    const all = (await jobs()).jobs.map((job) => job.job_id);
    const page = await jobs("limit=1");
    expect(page.jobs.map((job) => job.job_id)).toEqual(all.slice(0, 1));
    expect((await jobs(`limit=1&cursor=${page.next_cursor}`)).jobs.map((job) => job.job_id)).toEqual(all.slice(1, 2));
    await until(async () => (await jobs("state=completed&limit=500")).jobs.some((job) => job.job_id === first.task_id));
    const statuses = await Promise.all(
      ["?limit=0", "?state=odd", "?cursor=x"].map(async (query) => (await request(`/jobs${query}`)).status),
    );
    expect(statuses).toEqual([400, 400, 400]);
    expect((await request("/jobs", { method: "DELETE" })).status).toBe(405);
  });

  it("the tenant's event log tells of a job from its making to its end", async () => {
    const { Cora, Ada } = await team("Cora", "Ada");
    const jobId = await coordinate({ coordinator_id: Cora, participant_ids: [Ada] });
    await finished(jobId);
    const kinds = await until(async () => {
      const page = await orchestratorOf(env, "default").events({ after: 0, instance_id: jobId, limit: 500, waitMs: 0 });
      // Who called is on record between them, whenever that comes.
      const seen = page.events.map((event) => event.kind).filter((kind) => kind.startsWith("job."));
      return seen.includes("job.completed") && seen;
    });
    expect(kinds).toEqual([
      "job.created",
      "job.started",
      "job.step_started",
      "job.step_completed",
      "job.step_started",
      "job.step_completed",
      "job.completed",
    ]);
  });
});

describe("an instance that coordinates", () => {
  /** A boss with children, who does what the steps say: each a tool call made from the results so far; then it is done. */
  async function led(
    steps: ((ids: Record<string, string>, results: Json[]) => [name: string, input: Record<string, unknown>])[],
  ): Promise<{ ids: Record<string, string>; results: Json[]; answer: Json }> {
    const boss = await spawn({ name: "Boss", system_prompt: "I AM Boss.", tools: "full" });
    const ids: Record<string, string> = { Boss: boss };
    for (const name of ["Cora", "Ada", "Ben"]) {
      ids[name] = await spawn({ name, system_prompt: `I AM ${name}.`, parent_instance_id: boss });
    }
    ids.Stranger = await spawn({ name: "Stranger" });
    const results: Json[] = [];
    let done = 0;
    playPlainly((name, text, call) => {
      if (name !== "Boss" || text.includes("<task>")) return undefined;
      for (const result of call.toolResults) results.push(JSON.parse(result.text) as Json);
      const step = steps[done];
      done += 1;
      if (!step) return "That is all.";
      const [tool_name, input] = step(ids, results);
      return { blocks: [{ type: "tool_use", name: tool_name, input }] };
    });
    const answer = await send(boss, "Lead.", { timeout_seconds: 50 });
    return { ids, results, answer };
  }

  const below = (ids: Record<string, string>, coordinator = ids.Cora): [string, Record<string, unknown>] => [
    "coordinate_instances",
    { coordinator_id: coordinator, participant_ids: [ids.Ada, ids.Ben], task_description: "Build a bridge." },
  ];

  it("waits for its job without holding anything, and reads the result", async () => {
    const { ids, results, answer } = await led([
      (all) => below(all),
      (_all, [job]) => ["wait", { ids: [job?.task_id] }],
      (_all, [job]) => ["get_job_status", { job_id: job?.task_id }],
    ]);
    expect(answer).toMatchObject({ status: "completed", response: { response: "That is all." } });
    expect(results[1]).toMatchObject({
      success: true,
      done: [{ kind: "job", status: "completed", result: { summary: "the work of Cora" } }],
      pending: [],
    });
    expect(results[2]).toMatchObject({ success: true, status: "completed" });
    const page = await jobs();
    expect(page.jobs.at(-1)).toMatchObject({ created_by: ids.Boss, status: expect.any(String) });
  });

  it("can't wait for a job that waits for itself, which goes on when its turn is over", async () => {
    const { results, answer } = await led([
      (all) => below(all, all.Boss),
      (_all, [job]) => ["wait", { ids: [job?.task_id] }],
    ]);
    expect(results[1]).toMatchObject({ success: false, error: "conflict" });
    expect(answer).toMatchObject({ status: "completed" });
    const job = await finished(String(results[0]?.task_id));
    expect(job).toMatchObject({ status: "completed", result: { summary: "the work of Boss" } });
  });

  it("reaches neither others' instances nor others' jobs", async () => {
    const { Cora, Ada } = await team("Cora", "Ada");
    const foreign = await coordinate({ coordinator_id: Cora, participant_ids: [Ada] });
    const { results } = await led([
      (all) => [
        "coordinate_instances",
        { coordinator_id: all.Cora, participant_ids: [all.Stranger], task_description: "x" },
      ],
      (all) => [
        "coordinate_instances",
        { coordinator_id: all.Stranger, participant_ids: [all.Ada], task_description: "x" },
      ],
      () => ["get_job_status", { job_id: foreign }],
      () => ["cancel_job", { job_id: foreign }],
      () => ["wait", { ids: [foreign] }],
    ]);
    expect(results.map((result) => result.error)).toEqual(Array.from({ length: 5 }, () => "forbidden"));
    expect((await finished(foreign)).status).toBe("completed");
  });

  it("for a job has its own job counted in the cap of that one", async () => {
    const boss = await spawn({ name: "Boss", system_prompt: "I AM Boss.", tools: "full" });
    const [Ada, Ben] = await Promise.all(
      ["Ada", "Ben"].map((name) => spawn({ name, system_prompt: `I AM ${name}.`, parent_instance_id: boss })),
    );
    const { Cora } = await team("Cora");
    let inner = "";
    playPlainly((name, _text, call) => {
      if (name !== "Boss") return undefined;
      const [result] = call.toolResults;
      if (result?.name === "wait") return "Done.";
      if (result) {
        inner = String((JSON.parse(result.text) as Json).task_id);
        return { blocks: [{ type: "tool_use", name: "wait", input: { ids: [inner] } }] };
      }
      const input = { coordinator_id: Ada, participant_ids: [Ben], task_description: "Build a pier." };
      return { blocks: [{ type: "tool_use", name: "coordinate_instances", input }] };
    });
    const outer = await finished(await coordinate({ coordinator_id: Cora, participant_ids: [boss] }));
    expect(outer.status).toBe("completed");
    const own = outer.steps.reduce((cost, step) => cost + step.cost, 0);
    await until(async () => {
      const inside = (await view(inner)).cost;
      return inside > 0 && Math.abs((await view(outer.job_id)).cost - own - inside) < 1e-9;
    });
  });
});

describe("without a key", () => {
  it.each<[string, Record<string, unknown>]>([
    ["sequential", {}],
    ["parallel", { split: true }],
    ["consensus", {}],
    ["delegated", {}],
  ])("the simulator alone brings a %s job to its end", async (coordination_type, options) => {
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
