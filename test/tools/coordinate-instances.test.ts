/**
 * coordinate_instances: what it refuses, and instances that call it themselves.
 */
import { beforeEach, describe, expect, it } from "vitest";
import { newInstanceId, newJobId } from "../../src/platform/ids.ts";
import { type Json, send, spawn, tool, until } from "../support/door.ts";
import { asked, coordinate, finished, jobsPage, playPlainly, team, view } from "../support/jobs.ts";
import { installModel } from "../support/model.ts";

installModel();

beforeEach(() => playPlainly());

describe("coordinate_instances", () => {
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
  ])("refuses %s, and begins nothing", async (_name, input, code) => {
    const ids = await team("Cora", "Ada", "Ben", "Gone");
    await tool("terminate_instance", { instance_id: ids.Gone });
    const before = await jobsPage();
    const answer = await tool("coordinate_instances", { task_description: "Build a bridge.", ...input(ids) });
    expect(answer).toMatchObject({ success: false, error: code });
    expect(await jobsPage()).toEqual(before);
    expect(asked).toEqual([]);
  });

  it("and the tools for its jobs say not_found of an unknown job, and invalid_input of what is no id of a job", async () => {
    for (const name of ["get_job_status", "cancel_job"]) {
      expect(await tool(name, { job_id: newJobId() })).toMatchObject({ success: false, error: "not_found" });
      expect(await tool(name, { job_id: none })).toMatchObject({ success: false, error: "invalid_input" });
    }
    expect(await tool("wait", { ids: [newJobId()] })).toMatchObject({ success: false, error: "not_found" });
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
    const page = await jobsPage();
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
