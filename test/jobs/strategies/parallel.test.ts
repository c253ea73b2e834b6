/**
 * A parallel job: all participants at the same time.
 */
import { beforeEach, describe, expect, it } from "vitest";
import { until } from "../../support/door.ts";
import { asked, coordinate, finished, play, playPlainly, team, who } from "../../support/jobs.ts";
import { installModel } from "../../support/model.ts";

installModel();

beforeEach(() => playPlainly());

describe("a parallel job", () => {
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
