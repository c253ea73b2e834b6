/**
 * Teams: templates that say who works together, and a team of instances made of one, whole or not at all.
 */
import { beforeEach, describe, expect, it } from "vitest";
import { MAX_TEMPLATES, TeamTemplate } from "../../src/contracts/team-template.ts";
import { TEAMS } from "../../src/roles/teams/index.ts";
import { type Json, output, request, spawn, status, tool, until } from "../support/door.ts";
import { installModel, scriptModel } from "../support/model.ts";

const model = installModel();
beforeEach(() => scriptModel(() => undefined));

interface Member {
  instance_id: string;
  name: string;
  role: string;
  model: string;
  tools: string[];
}

interface Team extends Json {
  supervisor: Member;
  members: Member[];
  message_id?: string;
}

const spawnTeam = async (input: Record<string, unknown>): Promise<Team> => (await tool("spawn_team", input)) as Team;
const names = (members: { name: string }[]) => members.map(({ name }) => name);
const counted = async () => {
  const { status: all } = await tool("get_instance_status", { limit: 1 });
  return (all as { total_instances: number }).total_instances;
};
const send = async (method: string, path: string, body?: unknown) => {
  const headers = { "content-type": "application/json" };
  const response = await request(path, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, ...((await response.json()) as Json) } as Json & { status: number };
};

/** The whole system prompt that the model was given with a message. */
const systemAbout = (marker: string) => JSON.stringify(model.callsAbout(marker)[0]?.system);

const DUO = {
  name: "duo",
  title: "Duo",
  summary: "Two who think",
  coordination_type: "consensus",
  supervisor: { name: "First", prompt: "You ask." },
  members: [{ name: "Second", role: "debugger", prompt: "You answer.", workspace: "own" }],
};

describe.each(TEAMS)("the template $name", (template) => {
  it("keeps the shape of a template, and names who leads, who does what, and what it may cost", () => {
    expect(TeamTemplate.parse(template)).toEqual(template);
    expect(template.members.length).toBeGreaterThanOrEqual(3);
    expect(template.limits.max_cost).toBeGreaterThan(0);
    for (const { prompt } of [template.supervisor, ...template.members]) expect(prompt.length).toBeGreaterThan(200);
    for (const { name, prompt } of template.members) {
      expect(prompt, `${name} knows who leads`).toContain(template.supervisor.name);
    }
  });

  it("becomes a supervisor with its members below it, all in one tree of files", async () => {
    const team = await spawnTeam({ template: template.name });
    expect(team).toMatchObject({ success: true, coordination_type: template.coordination_type });
    expect(names([team.supervisor, ...team.members])).toEqual(names([template.supervisor, ...template.members]));
    expect(team.limits).toMatchObject({
      max_cost: template.limits.max_cost,
      max_total_tokens: template.limits.max_total_tokens,
    });
    for (const [i, member] of team.members.entries()) {
      expect(await status(member.instance_id)).toMatchObject({
        parent_instance_id: team.supervisor.instance_id,
        role: template.members[i]?.role,
        limits: { max_cost: null, timeout_minutes: template.limits.timeout_minutes },
      });
    }
    const { supervisor, members } = team;
    await tool("write_instance_file", { instance_id: supervisor.instance_id, path: "plan.md", content: "The plan." });
    for (const { instance_id } of members) {
      const seen = await tool("retrieve_instance_file", { instance_id, path: "plan.md" });
      expect(seen.content).toBe("The plan.");
    }
    const marker = crypto.randomUUID();
    const [member] = members;
    await tool("send_to_instance", { instance_id: member?.instance_id, message: marker });
    expect(systemAbout(marker)).toContain(JSON.stringify(template.members[0]?.prompt).slice(1, -1));
  });
});

describe("a team with a task", () => {
  it("has a supervisor that begins with the task and the ids of its team", async () => {
    const task = `Build a bridge ${crypto.randomUUID()}.`;
    const team = await spawnTeam({ template: "software_engineering", task_description: task });
    const [user] = await until(async () => {
      const rows = await output(team.supervisor.instance_id);
      return rows.some((row) => row.type === "response") && rows;
    });
    expect(user).toMatchObject({ type: "user", message_id: team.message_id });
    for (const { name, role, instance_id } of team.members) {
      expect(user?.content).toContain(`- ${name} (${role}): ${instance_id}`);
    }
    expect(user?.content).toMatch(/Plan the parts/);
    expect(user?.content.endsWith(task)).toBe(true);
    expect(systemAbout(task)).toContain("You lead a software team");
  });

  it("is started once for one key", async () => {
    const input = { template: "research", task_description: "Why?", idempotency_key: crypto.randomUUID() };
    const first = await spawnTeam(input);
    const before = await counted();
    const again = await spawnTeam(input);
    expect([again.supervisor, again.members, again.message_id]).toEqual([
      first.supervisor,
      first.members,
      first.message_id,
    ]);
    expect(await counted()).toBe(before);
    expect(await spawnTeam({ ...input, task_description: "How?" })).toMatchObject({ error: "conflict" });
  });
});

describe("the overrides of a template", () => {
  it("change who is in the team, what it runs on, and how its tools are named", async () => {
    const team = await spawnTeam({
      template: "research",
      overrides: {
        model: "haiku",
        names: { Editor: "Grace", Scout: "Ada" },
        leave_out: ["Skeptic", "Theorist"],
        add: [{ name: "Lawyer", role: "general", prompt: "You know the law.", tools: "read_only", workspace: "own" }],
      },
    });
    expect(names([team.supervisor, ...team.members])).toEqual(["Grace", "Ada", "Analyst", "Lawyer"]);
    for (const { model: used } of [team.supervisor, ...team.members]) expect(used).toContain("haiku");
    expect(team.members[2]?.tools).not.toContain("write_file");
    const { instance_id } = team.members[2] ?? expect.fail("no third member");
    await tool("write_instance_file", { instance_id: team.supervisor.instance_id, path: "a", content: "x" });
    expect(await tool("retrieve_instance_file", { instance_id, path: "a" })).toMatchObject({ error: "not_found" });
  });

  it.each([
    ["beside the rest", { max_cost: 1, max_total_tokens: 5_000, timeout_minutes: 7, max_turn_minutes: 3 }],
    [
      "in resource_limits",
      { resource_limits: { max_cost: 1, max_total_tokens: 5_000, timeout_minutes: 7 }, max_turn_minutes: 3 },
    ],
    [
      "in both, of which the one beside goes before",
      {
        max_cost: 1,
        timeout_minutes: 7,
        resource_limits: { max_cost: 9, max_total_tokens: 5_000, timeout_minutes: 9 },
        max_turn_minutes: 3,
      },
    ],
  ])("set limits %s: money and tokens of the whole team, times of each", async (_where, overrides) => {
    const team = await spawnTeam({ template: "research", overrides });
    expect(team.limits).toEqual({ max_cost: 1, max_total_tokens: 5_000, timeout_minutes: 7, max_turn_minutes: 3 });
    const { limits, remaining } = await status(team.members[0]?.instance_id ?? "");
    expect(limits).toMatchObject({ max_cost: null, timeout_minutes: 7, max_turn_minutes: 3 });
    expect(remaining).toMatchObject({ cost: 1 });
  });

  it.each([
    ["nobody has this name", { names: { Nobody: "Ada" } }, /nobody named "Nobody".*Editor, Scout/],
    ["nobody left out is there", { leave_out: ["Nobody"] }, /nobody named "Nobody"/],
    ["the one who leads is left out", { leave_out: ["Editor"] }, /Editor leads/],
    ["all others are left out", { leave_out: ["Scout", "Theorist", "Analyst", "Skeptic"] }, /nobody is left/],
    ["two have one name", { names: { Scout: "Analyst" } }, /same name/],
    ["a model is unknown", { model: "gpt-7" }, /gpt-7/],
    ["a tool is unknown", { add: [{ name: "X", prompt: "p", tools: ["fly"] }] }, /"fly"/],
    ["a role is unknown", { add: [{ name: "X", prompt: "p", role: "wizard" }] }, /role/],
    ["a limit is none", { max_cost: -1 }, /max_cost/],
    ["there is no such thing", { colour: "red" }, /colour/],
  ])("are refused when %s, and nothing is spawned", async (_what, overrides, says) => {
    const before = await counted();
    const refused = await spawnTeam({ template: "research", overrides });
    expect(refused).toMatchObject({ success: false, error: "invalid_input" });
    expect(refused.message).toMatch(says);
    expect(await counted()).toBe(before);
  });
});

describe("a team that can't be", () => {
  it("is not spawned in part when there is no room for all of it", async () => {
    const { status: all } = await tool("get_instance_status", { limit: 1 });
    const { active_instances: active } = all as { active_instances: number };
    await tool("set_limits", { max_instances: active + 4 });
    try {
      const before = await counted();
      const refused = await spawnTeam({ template: "research", task_description: "Why?", idempotency_key: "no-room" });
      expect(refused).toMatchObject({
        success: false,
        error: "limit_reached",
        details: { team_size: 5, active_instances: active, max_instances: active + 4 },
      });
      expect(await counted()).toBe(before);
      const smaller = { template: "research", overrides: { leave_out: ["Scout"] } };
      expect(await spawnTeam(smaller)).toMatchObject({ success: true });
    } finally {
      await tool("set_limits", { max_instances: 100_000 });
    }
  });

  it("leaves nothing of itself when a member is refused after others were made", async () => {
    let parent: string | undefined;
    for (let depth = 0; depth < 5; depth++) parent = await spawn(parent ? { parent_instance_id: parent } : {});
    const before = await counted();
    // The supervisor fits at the deepest level, its members do not.
    const refused = await spawnTeam({ template: "research", parent_instance_id: parent });
    expect(refused).toMatchObject({ success: false, error: "limit_reached", details: { max_depth: 5 } });
    expect(await counted()).toBe(before);
  });

  it("has no such template: those there are are named", async () => {
    const refused = await spawnTeam({ template: "football" });
    expect(refused).toMatchObject({ success: false, error: "not_found" });
    for (const { name } of TEAMS) expect(refused.message).toContain(name);
  });

  it("goes below a parent that there is", async () => {
    const parent = await spawn();
    const team = await spawnTeam({ template: "research", parent_instance_id: parent });
    expect(await status(team.supervisor.instance_id)).toMatchObject({ parent_instance_id: parent });
    const ended = await tool("terminate_instance", { instance_id: parent });
    expect(ended.terminated).toHaveLength(6);
  });
});

describe("templates over REST", () => {
  it("are listed, read, stored, used and deleted", async () => {
    expect(await send("POST", "/templates", DUO)).toMatchObject({ status: 201, success: true, created: true });
    expect(await send("POST", "/templates", DUO)).toMatchObject({ status: 200, created: false });
    const listed = (await send("GET", "/templates")).templates as { name: string; built_in: boolean }[];
    expect(names(listed)).toEqual([...names([...TEAMS]), "duo"]);
    expect(listed.map((one) => one.built_in)).toEqual([...TEAMS.map(() => true), false]);
    expect(await send("GET", "/templates/duo")).toMatchObject({ built_in: false, template: DUO });
    expect(await send("GET", "/templates/research")).toMatchObject({ built_in: true, template: { name: "research" } });
    const team = await spawnTeam({ template: "duo", task_description: "Think." });
    expect(team).toMatchObject({ success: true, coordination_type: "consensus", members: [{ role: "debugger" }] });
    expect((await spawnTeam({ template: "football" })).message).toContain("duo");
    expect(await send("DELETE", "/templates/duo")).toMatchObject({ status: 200, success: true });
    expect(await spawnTeam({ template: "duo" })).toMatchObject({ error: "not_found" });
    expect(await send("DELETE", "/templates/duo")).toMatchObject({ status: 404 });
    expect(await send("GET", "/templates/duo")).toMatchObject({ status: 404 });
  });

  it.each([
    ["another of its name", { ...DUO, title: "Other" }, 409, "conflict", /Delete it first/],
    ["a built-in name", { ...DUO, name: "research" }, 409, "conflict", /built in/],
    ["a name that is none", { ...DUO, name: "../duo" }, 400, "invalid_input", /name: must be/],
    ["nobody to lead", { ...DUO, name: "x", supervisor: undefined }, 400, "invalid_input", /supervisor/],
    ["no members", { ...DUO, name: "x", members: [] }, 400, "invalid_input", /members/],
    [
      "too many members",
      { ...DUO, name: "x", members: Array(21).fill(DUO.members[0]) },
      400,
      "invalid_input",
      /members/,
    ],
    ["a name twice", { ...DUO, name: "x", members: [DUO.members[0], DUO.members[0]] }, 400, "invalid_input", /names/],
    [
      "a role that is none",
      { ...DUO, name: "x", members: [{ ...DUO.members[0], role: "wizard" }] },
      400,
      "invalid_input",
      /role/,
    ],
    [
      "a model that is none",
      { ...DUO, name: "x", supervisor: { ...DUO.supervisor, model: "gpt-7" } },
      400,
      "invalid_input",
      /gpt-7/,
    ],
    [
      "a tool that is none",
      { ...DUO, name: "x", supervisor: { ...DUO.supervisor, tools: ["fly"] } },
      400,
      "invalid_input",
      /"fly"/,
    ],
    [
      "an endless prompt",
      { ...DUO, name: "x", supervisor: { ...DUO.supervisor, prompt: "x".repeat(8_001) } },
      400,
      "invalid_input",
      /prompt/,
    ],
    ["a lone surrogate", { ...DUO, name: "x", title: "\ud800" }, 400, "invalid_input", /title/],
    ["a field too many", { ...DUO, name: "x", colour: "red" }, 400, "invalid_input", /colour/],
    [
      "more text than a template has",
      {
        ...DUO,
        name: "x",
        members: Array.from({ length: 20 }, (_, i) => ({ name: `m${i}`, prompt: "x".repeat(4_000) })),
      },
      413,
      "too_large",
      /65536/,
    ],
  ])("are refused with %s", async (_what, template, code, error, says) => {
    await send("POST", "/templates", DUO);
    const refused = await send("POST", "/templates", template);
    expect(refused).toMatchObject({ status: code, success: false, error });
    expect(refused.message).toMatch(says);
    expect(await send("GET", "/templates/x")).toMatchObject({ status: 404 });
  });

  it("are bounded in number, and what is built in stays", async () => {
    await send("DELETE", "/templates/duo");
    for (let i = 0; i < MAX_TEMPLATES; i++) {
      expect(await send("POST", "/templates", { ...DUO, name: `t${i}` })).toMatchObject({ status: 201 });
    }
    expect(await send("POST", "/templates", { ...DUO, name: "more" })).toMatchObject({
      status: 429,
      error: "limit_reached",
      details: { max_templates: MAX_TEMPLATES },
    });
    for (let i = 0; i < MAX_TEMPLATES; i++) await send("DELETE", `/templates/t${i}`);
    expect(await send("DELETE", "/templates/research")).toMatchObject({ status: 403, error: "forbidden" });
    expect(await send("PUT", "/templates/research", DUO)).toMatchObject({ status: 405 });
  });
});
