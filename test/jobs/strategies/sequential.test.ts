/**
 * A sequential job: one participant after another.
 */
import { describe, expect, it } from "vitest";
import { until } from "../../support/door.ts";
import { asked, coordinate, finished, mostAtOnce, play, team, view, who } from "../../support/jobs.ts";
import { installModel } from "../../support/model.ts";

installModel();

describe("a sequential job", () => {
  it("asks one participant after another, each with what came before, and has the coordinator write the result", async () => {
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
