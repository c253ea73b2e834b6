/**
 * Spawning, wherever the Orchestrator dies.
 */
import { abortAllDurableObjects, runDurableObjectAlarm } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { installClock } from "../../support/clock.ts";
import { watchCommits } from "../../support/commits.ts";
import { output, send, status, tool, until } from "../../support/door.ts";
import { installModel } from "../../support/model.ts";
import { objectOf, registry } from "../../support/objects.ts";
import { named } from "../../support/three-tools.ts";

installModel();

const clock = installClock();

describe("spawning with an initial prompt", () => {
  it("leaves nothing, or an instance that sets to work, wherever the Orchestrator dies", async () => {
    let died = 0;
    for (let sprung = true; sprung; ) {
      const deadly = died + 1;
      const name = `born ${deadly} ${crypto.randomUUID()}`;
      const trap = await watchCommits(registry(), deadly);
      const answer = await tool("spawn_claude", { name, initial_prompt: "Begin." });
      await until(async () => trap.sprung || (await oneIn(name, "idle")), 1_000).catch(() => undefined);
      await abortAllDurableObjects();
      sprung = trap.sprung;
      if (sprung) died += 1;

      const ids = await named(name);
      if (answer.success) expect(ids).toEqual([answer.instance_id]);
      expect(ids.length).toBeLessThanOrEqual(1);
      const [id] = ids;
      if (!id) continue;
      // No request to either: the Orchestrator's alarm and the instance's own.
      await until(async () => {
        clock.aheadMs += 1_000;
        await runDurableObjectAlarm(registry());
        await runDurableObjectAlarm(objectOf(id));
        const record = await status(id);
        return record.state === "idle" && record.request_count !== 0;
      }, 60_000).catch(() =>
        expect.unreachable(`killed after commit ${deadly}, the initial prompt was never taken up`),
      );
      expect((await output(id)).map((row) => row.type)).toEqual(["user", "response"]);
      expect(await send(id, "And then?")).toMatchObject({ success: true, status: "completed" });
    }
    expect(died).toBeGreaterThan(3);
  }, 60_000);

  async function oneIn(name: string, state: string): Promise<boolean> {
    const [id] = await named(name);
    return id !== undefined && (await status(id)).state === state;
  }
});
