/**
 * Instances that work with other instances: what a parent can do through its own tools and what not, and how it waits.
 */
import { evictDurableObject } from "cloudflare:test";
import { afterAll, afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { type Json, output, send, spawn, status, tool, until } from "../../support/door.ts";
import { installModel, saying, scriptModel } from "../../support/model.ts";
import { alarmOf, objectOf } from "../../support/objects.ts";
import { heldChild, marker, programs, result, results, using, waitingFor } from "../../support/programs.ts";

const model = installModel();

beforeEach(() => {
  programs.clear();
  scriptModel((call) => {
    // Each instance follows the program whose marker stands in what it was told first.
    const first = JSON.stringify((call.body.messages as unknown[])[0]);
    for (const [marker, program] of programs) if (first.includes(marker)) return program(call);
    return undefined;
  });
});

afterEach(() => scriptModel(() => undefined));

afterAll(() => {
  const refused = model.simulator.journal.filter((entry) => entry.status >= 400 && entry.status < 500);
  expect(refused.map((entry) => entry.body)).toEqual([]);
});

describe("an instance with children", () => {
  it("spawns them, sends to them, waits suspended through an eviction, and gets every answer", async () => {
    const job = marker();
    const children = [heldChild(), heldChild()];
    programs.set(job, (call) => {
      switch (call.step) {
        case 0:
          return using(
            ...children.map(({ name }) => ({
              name: "spawn_claude",
              input: { name, role: "debugger", initial_prompt: `Do ${name}` },
            })),
          );
        case 1:
          return using({ name: "wait", input: { ids: results(call).map((answer) => answer.message_id) } });
        default:
          return saying(
            JSON.stringify((result(call).done as { response: { response: string } }[]).map((d) => d.response.response)),
          );
      }
    });
    const parent = await spawn({ name: "Chief" });
    const sent = await send(parent, job, { wait_for_response: false });
    await waitingFor(parent, "other instances");
    // Nothing is held and nothing beats: the alarm is the wait's own end.
    const alarm = await alarmOf(parent);
    expect(alarm).toBeGreaterThan(Date.now() + 3_000_000);
    await evictDurableObject(objectOf(parent));
    children[0]?.answer("the first");
    await until(async () => (await output(parent)).length > 0);
    expect((await status(parent)).state).toBe("waiting");
    await evictDurableObject(objectOf(parent));
    children[1]?.answer("the second");
    const answer = await tool("wait", { ids: [sent.message_id] });
    expect(answer.done).toMatchObject([{ response: { response: '["the first","the second"]' } }]);
    const tree = await tool("get_instance_tree", { root_id: parent });
    expect(tree.tree).toMatchObject([{ instance_id: parent, children: [{ role: "debugger" }, { role: "debugger" }] }]);
    expect(String(tree.text).split("\n")).toHaveLength(3);
  });

  it("gets the answer of a send that it waits for, once, in its own name", async () => {
    const job = marker();
    const child = heldChild();
    programs.set(job, (call) => {
      if (call.step === 0)
        return using({ name: "spawn_claude", input: { name: "Kid", parent_instance_id: undefined } });
      if (call.step === 1)
        return using({
          name: "send_to_instance",
          input: { instance_id: result(call).instance_id, message: `Do ${child.name}` },
        });
      return saying(String((result(call).response as { response: string }).response));
    });
    const parent = await spawn({ name: "Chief" });
    const sent = await send(parent, job, { wait_for_response: false });
    await waitingFor(parent, "other instances");
    child.answer("done it");
    const answer = await tool("wait", { ids: [sent.message_id] });
    expect(answer.done).toMatchObject([{ response: { response: "done it" } }]);
    const calls = model.callsAbout(`Do ${child.name}`);
    const asked = calls.filter((body) => JSON.stringify((body.messages as unknown[])[0]).includes(child.name));
    expect(asked).toHaveLength(1);
    expect(JSON.stringify(asked[0]?.messages)).toContain(
      `[All of this message is from the instance \\"Chief\\" (${parent}), your parent, who gives you your work.]`,
    );
  });

  it("comes back from its wait when the time is over, with what is pending", async () => {
    const job = marker();
    const child = heldChild();
    programs.set(job, (call) => {
      if (call.step === 0) return using({ name: "spawn_claude", input: { name: "Kid", initial_prompt: child.name } });
      if (call.step === 1)
        return using({ name: "wait", input: { ids: [result(call).message_id], timeout_seconds: 0.2 } });
      return saying(JSON.stringify(result(call).pending));
    });
    const parent = await spawn();
    const answer = await send(parent, job);
    expect(String((answer.response as { response: string }).response)).toContain('"status":"working"');
    child.answer("late");
  });

  it("waits for any of them", async () => {
    const job = marker();
    const [slow, fast] = [heldChild(), heldChild()];
    programs.set(job, (call) => {
      if (call.step === 0)
        return using(
          ...[slow, fast].map(({ name }) => ({ name: "spawn_claude", input: { name, initial_prompt: name } })),
        );
      if (call.step === 1)
        return using({ name: "wait", input: { ids: results(call).map((a) => a.instance_id), until: "any" } });
      return saying(`${(result(call).done as unknown[]).length} done`);
    });
    const parent = await spawn();
    const sent = await send(parent, job, { wait_for_response: false });
    await waitingFor(parent, "other instances");
    fast.answer("quick");
    expect((await tool("wait", { ids: [sent.message_id] })).done).toMatchObject([{ response: { response: "1 done" } }]);
    slow.answer("slow");
  });

  it("is stopped while it waits, and its conversation goes on", async () => {
    const job = marker();
    const child = heldChild();
    programs.set(job, (call) => {
      if (call.lastUserText.includes("and now?")) return saying("still here");
      if (call.step === 0) return using({ name: "spawn_claude", input: { name: "Kid", initial_prompt: child.name } });
      return using({ name: "wait", input: { ids: [result(call).message_id] } });
    });
    const parent = await spawn();
    const sent = await send(parent, job, { wait_for_response: false });
    await waitingFor(parent, "other instances");
    expect((await tool("interrupt_instance", { instance_id: parent })).interrupted).toEqual([sent.message_id]);
    expect(await send(parent, "and now?")).toMatchObject({ response: { response: "still here" } });
    child.answer("nobody listens");
  });

  it("hears that one of them was paused or terminated, and does not wait for that", async () => {
    const job = marker();
    const child = heldChild();
    let kid = "";
    programs.set(job, (call) => {
      if (call.step === 0) return using({ name: "spawn_claude", input: { name: "Kid", initial_prompt: child.name } });
      if (call.step === 1) {
        kid = String(result(call).instance_id);
        return using({ name: "wait", input: { ids: [result(call).message_id] } });
      }
      return saying(JSON.stringify(result(call).done));
    });
    const parent = await spawn();
    const sent = await send(parent, job, { wait_for_response: false });
    await waitingFor(parent, "other instances");
    await tool("terminate_instance", { instance_id: kid, force: true });
    const [done] = (await tool("wait", { ids: [sent.message_id] })).done as { response: { response: string } }[];
    expect(done?.response.response).toContain('"error":"cancelled"');
    child.answer("too late");

    const poor = marker();
    programs.set(poor, (call) => {
      if (call.step === 0)
        return using({ name: "spawn_claude", input: { name: "Poor", initial_prompt: "x", max_total_tokens: 1 } });
      if (call.step === 1) return using({ name: "wait", input: { ids: [result(call).message_id] } });
      return saying(JSON.stringify(result(call).pending));
    });
    expect(JSON.stringify(await send(await spawn(), poor))).toContain('\\"status\\":\\"paused\\"');
  });

  it("tells all its children at once, and each answers", async () => {
    const job = marker();
    const [one, two] = [marker(), marker()];
    for (const name of [one, two])
      programs.set(name, (call) => saying(`${name}: ${call.lastUserText.split("\n").at(-1)}`));
    programs.set(job, (call) => {
      if (call.step === 0)
        return using(...[one, two].map((name) => ({ name: "spawn_claude", input: { name, initial_prompt: name } })));
      if (call.step === 1)
        return using({
          name: "broadcast_to_children",
          input: { parent_id: parent, message: "report!", wait_for_responses: true },
        });
      return saying(
        JSON.stringify((result(call).results as { response: { response: string } }[]).map((r) => r.response.response)),
      );
    });
    const parent = await spawn();
    const answer = await send(parent, job);
    expect(answer).toMatchObject({ response: { response: JSON.stringify([`${one}: report!`, `${two}: report!`]) } });
    const outside = await tool("broadcast_to_children", {
      parent_id: parent,
      message: "again",
      wait_for_responses: true,
    });
    expect((outside.results as Json[]).map((r) => r.status)).toEqual(["completed", "completed"]);
    expect(
      await tool("broadcast_to_children", {
        parent_id: String((outside.results as Json[])[0]?.instance_id),
        message: "x",
      }),
    ).toMatchObject({
      success: false,
      error: "conflict",
    });
  });

  it("spawns three by three by three, within the limits, and merges level by level", async () => {
    const job = marker();
    programs.set(job, (call) => {
      const level = Number(/level (\d)/.exec(JSON.stringify((call.body.messages as unknown[])[0]))?.[1] ?? 0);
      if (level === 3) return saying("1");
      if (call.step === 0)
        return using(
          ...[1, 2, 3].map((i) => ({
            name: "spawn_claude",
            input: { name: `L${level}.${i}`, initial_prompt: `${job} level ${level + 1}` },
          })),
        );
      if (call.step === 1) return using({ name: "wait", input: { ids: results(call).map((a) => a.message_id) } });
      const parts = (result(call).done as { response: { response: string } }[]).map((d) => Number(d.response.response));
      return saying(String(parts.reduce((sum, part) => sum + part, 0)));
    });
    const top = await spawn();
    const sent = await send(top, `${job} level 0`, { wait_for_response: false });
    const done = await until(async () => {
      const [first] = (await tool("wait", { ids: [sent.message_id], timeout_seconds: 5 })).done as Json[];
      return first;
    }, 60_000);
    expect(done).toMatchObject({ response: { response: "27" } });
    const tree = await tool("get_instance_tree", { root_id: top });
    expect(tree).toMatchObject({ count: 40, truncated: false });
    const [root] = tree.tree as { cost: number; subtree_cost: number }[];
    expect(root?.subtree_cost).toBeGreaterThan(root?.cost ?? 0);
  });

  it("stops at the limits when it breeds without end, with errors that say which", async () => {
    const job = marker();
    const errors = new Set<string>();
    programs.set(job, (call) => {
      const last = call.toolResults.at(-1);
      if (!last?.isError) return using({ name: "spawn_claude", input: { name: "more", initial_prompt: job } });
      errors.add(last.text);
      return saying("enough");
    });
    const { status: before } = await tool("get_instance_status", { limit: 1 });
    const active = (before as { active_instances: number }).active_instances;
    await tool("set_limits", { max_instances: active + 8 });
    onTestFinished(async () => {
      await tool("set_limits", { max_instances: 100_000 });
    });
    const top = await spawn();
    await send(top, job, { wait_for_response: false });
    await until(async () => {
      const { text } = await tool("get_instance_tree", { root_id: top });
      const lines = String(text).split("\n");
      return lines.length === 8 && lines.every((line) => line.includes("] idle,"));
    });
    expect([...errors].join()).toContain(`MAX_INSTANCES is ${active + 8}`);
  });

  it("goes as deep as it may, and no deeper", async () => {
    const job = marker();
    programs.set(job, (call) => {
      if (call.step === 0) return using({ name: "spawn_claude", input: { name: "deeper", initial_prompt: job } });
      const spawned = result(call);
      if (spawned.success === false) return saying(spawned.message);
      if (call.step === 1) return using({ name: "wait", input: { ids: [spawned.message_id] } });
      return saying((spawned.done as { response: { response: string } }[])[0]?.response.response ?? "");
    });
    const answer = await send(await spawn(), job);
    expect(JSON.stringify(answer.response)).toContain(
      "Instances go 5 levels deep (MAX_DEPTH), and this one would be at 6.",
    );
  });
});

describe("what an instance may touch through its own tools", () => {
  it("has no tool that is not for instances, and no tenant's limits", async () => {
    const id = await spawn();
    const names = ((await tool("spawn_claude", { name: "x" })).tools as string[]) ?? [];
    expect(names).toEqual(expect.arrayContaining(["ask", "report_to_parent", "spawn_claude", "wait"]));
    expect(names).not.toContain("set_limits");
    expect(names).not.toContain("get_instance_status");
    await tool("terminate_instance", { instance_id: id });
  });

  it.each([
    ["on itself", (self: string, _child: string) => self],
    ["on somebody who waits for it", (_self: string, child: string) => child],
  ])("refuses a wait that would close a circle: %s", async (_name, target) => {
    const job = marker();
    const down = marker();
    programs.set(down, (call) =>
      call.step === 0
        ? using({ name: "send_to_instance", input: { instance_id: parent, message: "and you?" } })
        : saying(call.toolResults[0]?.text ?? ""),
    );
    programs.set(job, (call) => {
      if (call.lastUserText.includes("and you?")) return saying("me too");
      if (call.step === 0) return using({ name: "spawn_claude", input: { name: "Kid" } });
      if (call.step === 1) {
        const child = String(result(call).instance_id);
        const aim = target(parent, child);
        return aim === parent
          ? using({ name: "wait", input: { ids: [parent] } })
          : using({ name: "send_to_instance", input: { instance_id: child, message: down } });
      }
      return saying(call.toolResults[0]?.text ?? "");
    });
    const parent = await spawn();
    const answer = await send(parent, job);
    const said = JSON.stringify(answer);
    expect(said).toContain(target(parent, "x") === parent ? "forbidden" : "it would never end");
  });
});
