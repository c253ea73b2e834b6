/**
 * A delegated job: a plan of the coordinator's, and who builds on whom.
 */
import { beforeEach, describe, expect, it } from "vitest";
import { until } from "../../support/door.ts";
import {
  asked,
  coordinate,
  finished,
  PLAN,
  plainly,
  play,
  playPlainly,
  schemaOf,
  team,
  who,
} from "../../support/jobs.ts";
import { installModel } from "../../support/model.ts";

installModel();

beforeEach(() => playPlainly());

describe("a delegated job", () => {
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
