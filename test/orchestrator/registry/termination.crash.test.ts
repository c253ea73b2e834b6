/**
 * Terminating a tree, wherever the Orchestrator dies.
 */
import { abortAllDurableObjects, runDurableObjectAlarm } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { installClock } from "../../support/clock.ts";
import { watchCommits } from "../../support/commits.ts";
import { output, send, spawn, status, tool, until } from "../../support/door.ts";
import { installModel, scriptModel } from "../../support/model.ts";
import { objectOf, registry } from "../../support/objects.ts";
import { rowsOf, script } from "../../support/three-tools.ts";

installModel();

const clock = installClock();

describe("terminating a tree of three levels", () => {
  async function tree(): Promise<string[]> {
    const root = await spawn({ name: "root" });
    const child = await spawn({ name: "child", parent_instance_id: root });
    const grandchild = await spawn({ name: "grandchild", parent_instance_id: child });
    const ids = [root, child, grandchild];
    await Promise.all(ids.map((id) => send(id, "Hello.")));
    return ids;
  }

  it.each([false, true])(
    "ends all of it or nothing, wherever the Orchestrator dies (again by a repeated call: %s)",
    async (repeated) => {
      let died = 0;
      for (let sprung = true; sprung; ) {
        const deadly = died + 1;
        const ids = await tree();
        const trap = await watchCommits(registry(), deadly);
        const answer = await tool("terminate_instance", { instance_id: ids[0], force: true });
        if (!trap.sprung) await until(async () => trap.sprung, 200).catch(() => undefined);
        await abortAllDurableObjects();
        sprung = trap.sprung;
        if (sprung) died += 1;
        if (repeated)
          expect(await tool("terminate_instance", { instance_id: ids[0], force: true })).toMatchObject({
            success: true,
          });

        const states = await Promise.all(ids.map(async (id) => (await status(id)).state));
        const ended = states.filter((state) => state === "terminated").length;
        expect([0, 3]).toContain(ended);
        if (answer.success || repeated) expect(ended).toBe(3);
        if (ended === 0) continue;
        await until(async () => {
          clock.aheadMs += 1_000;
          await runDurableObjectAlarm(registry());
          const refusals = await Promise.all(ids.map((id) => send(id, "Still there?", { wait_for_response: false })));
          return refusals.every((refusal) => refusal.error === "conflict");
        }, 60_000).catch(() =>
          expect.unreachable(`killed after commit ${deadly}, an ended instance went on taking messages`),
        );
        for (const id of ids) expect((await rowsOf(id)).live).toMatchObject({ messages: 0, turns: 0 });
      }
      expect(died).toBeGreaterThan(3);
    },
    60_000,
  );

  it("stops what is running in it, also when the Orchestrator dies right after it has ended the rows", async () => {
    scriptModel(() => ({ delayMs: 3_600_000 }));
    const id = await spawn();
    await send(id, "Take your time.", { wait_for_response: false });
    await until(async () => (await status(id)).state === "busy");
    await watchCommits(registry(), 1);
    await tool("terminate_instance", { instance_id: id, force: true });
    scriptModel(script);
    await abortAllDurableObjects();
    await until(async () => {
      clock.aheadMs += 1_000;
      await runDurableObjectAlarm(registry());
      await runDurableObjectAlarm(objectOf(id));
      const { live } = await rowsOf(id);
      return live.turns === 0 && live.messages === 0;
    }, 60_000);
    expect((await output(id)).map((row) => row.type)).toEqual(["user", "notice"]);
  });
});
