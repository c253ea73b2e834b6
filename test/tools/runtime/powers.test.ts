/// <reference types="vite/types/importMeta.d.ts" />
/**
 * One model of power: every tool declares what it can do, a guard holds for all that can do the same, and nobody hands on what they do
 * not have. The tables are made from the catalogue: a new tool is in them.
 */
import { describe, expect, it } from "vitest";
import { isGuarded, isPower, POWERS, type Power } from "../../../src/contracts/powers.ts";
import { remotePowers } from "../../../src/remote-mcp/remote-tools.ts";
import { WEB_TOOL_POWERS, WEB_TOOLS } from "../../../src/remote-mcp/web-tools.ts";
import { INSTANCE_TOOLS } from "../../../src/tools/own/index.ts";
import { CATALOGUE } from "../../../src/tools/runtime/catalogue.ts";
import { TEST_TOOLS } from "../../entry/tools.ts";
import { installActors } from "../../support/actors.ts";
import { type Json, spawn, status, tool, until } from "../../support/door.ts";
import { mcpServer, serveHost } from "../../support/remote.ts";

const { act, begin } = installActors();

const powersOf = (name: string): readonly Power[] =>
  [...INSTANCE_TOOLS, ...TEST_TOOLS].find((known) => known.name === name)?.powers ??
  expect.fail(`There is no ${name}.`);
const names = INSTANCE_TOOLS.map(({ name }) => name);
const includesAll = (of: readonly Power[], all: readonly Power[]) => all.every((power) => of.includes(power));

describe("the powers of tools", () => {
  it.each([...CATALOGUE, ...INSTANCE_TOOLS])("$name declares its own", ({ powers }) => {
    expect(powers.length).toBeGreaterThan(0);
    expect(new Set(powers).size).toBe(powers.length);
    for (const power of powers) expect(isPower(power)).toBe(true);
  });

  it("are no names of tools", () => {
    for (const { name } of [...CATALOGUE, ...INSTANCE_TOOLS]) expect(isPower(name)).toBe(false);
    for (const name of WEB_TOOLS) expect(isPower(name)).toBe(false);
  });

  it("stand in the documentation as they are", () => {
    const pages = import.meta.glob<string>("../../../docs/powers.md", {
      query: "?raw",
      import: "default",
      eager: true,
    });
    const row = (name: string, powers: readonly Power[]) =>
      `| \`${name}\` | ${POWERS.map((power) => (powers.includes(power) ? "x" : "")).join(" | ")} |`;
    const table = [
      `| tool | ${POWERS.join(" | ")} |`,
      `|---|${POWERS.map(() => "---").join("|")}|`,
      ...INSTANCE_TOOLS.map(({ name, powers }) => row(name, powers)),
      ...CATALOGUE.filter(({ name }) => !names.includes(name)).map(({ name, powers }) => row(name, powers)),
      ...WEB_TOOLS.map((name) => row(name, WEB_TOOL_POWERS)),
    ].join("\n");
    expect(Object.values(pages)[0]).toContain(table);
  });

  it("of a remote tool are all of them, unless its server says that it changes nothing", () => {
    const remote = { name: "docs__look_up", remote_name: "look_up", repeatable: true };
    expect(remotePowers(remote)).toEqual(POWERS);
    expect(remotePowers({ ...remote, read_only: true })).toEqual(["network"]);
  });
});

describe("a guard", () => {
  const pairs = names.flatMap((guard) => names.map((other): [string, string] => [guard, other]));

  it("that names a tool holds for every other that can do all that it can, and for no other", () => {
    for (const [guard, other] of pairs) {
      const held = isGuarded([guard], { name: other, powers: powersOf(other) }, powersOf);
      expect([guard, other, held]).toEqual([guard, other, includesAll(powersOf(other), powersOf(guard))]);
    }
  });

  it.each([
    ["write_file", ["edit_file", "move_file", "delete_file", "bash", "run_code", "share_file"]],
    ["bash", ["run_code"]],
    ["run_code", ["bash"]],
    ["spawn_claude", ["spawn_team"]],
    ["send_to_instance", ["broadcast_to_children", "coordinate_instances", "report_to_parent", "ask", "spawn_claude"]],
    ["read_file", ["bash", "run_code", "search_files", "retrieve_instance_file", "share_file"]],
  ])("on %s holds for %j too", (guard, others) => {
    for (const other of others)
      expect([other, isGuarded([guard], { name: other, powers: powersOf(other) }, powersOf)]).toEqual([other, true]);
  });

  it.each([
    ["bash", ["write_file", "read_file", "send_to_instance"]],
    ["write_file", ["read_file", "send_to_instance", "ask"]],
    ["send_to_instance", ["write_file", "wait", "bash"]],
  ])("on %s does not hold for %j", (guard, others) => {
    for (const other of others)
      expect([other, isGuarded([guard], { name: other, powers: powersOf(other) }, powersOf)]).toEqual([other, false]);
  });

  // Calls that are not guarded are refused for their input, and do nothing.
  const everyTool = INSTANCE_TOOLS.map(({ name }) => ({ name, input: name === "ask" ? { to: "parent" } : {} }));
  const asking = async (guard: string) => {
    const parent = await spawn({ name: "parent" });
    const id = await spawn({ name: "child", tools: names, parent_instance_id: parent, require_approval: [guard] });
    const { messageId } = await begin(id, ...everyTool);
    await until(async () => {
      const { state, waiting_for } = (await status(id)) as { state: string; waiting_for?: { reason: string } };
      if (state === "waiting" && waiting_for?.reason === "approval") return true;
      return ((await tool("wait", { ids: [messageId], timeout_seconds: 0 })).done as unknown[]).length > 0;
    });
    const { questions = [] } = (await status(id)) as { questions?: { question: string }[] };
    return questions.map(({ question }) => /^May it run (\w+) with/.exec(question)?.[1] ?? "").toSorted();
  };

  it.each(POWERS)("on the power %s makes every tool that has it wait for leave", async (power) => {
    const having = INSTANCE_TOOLS.filter(({ powers }) => powers.includes(power)).map(({ name }) => name);
    expect(await asking(power)).toEqual(having.toSorted());
  });

  it.each(names)("on %s makes every tool that can do the same wait for leave", async (name) => {
    const able = names.filter((other) => includesAll(powersOf(other), powersOf(name)));
    expect(await asking(name)).toEqual(able.toSorted());
  });

  it("on messages lets an instance ask a person, who decides for themselves", async () => {
    const id = await spawn({ require_approval: ["message"] });
    await begin(id, { name: "ask", input: { question: "May I?" } });
    const [question] = await until(async () => (await status(id)).questions as Json[] | undefined);
    expect(question).toMatchObject({ kind: "question", question: "May I?" });
  });

  it("is inherited by those below, for the tools that they have", async () => {
    const boss = await spawn({ tools: ["spawn_claude", "write_file", "bash"], require_approval: ["bash"] });
    const child = await act(boss, "spawn_claude", { name: "child", tools: ["run_code"] });
    expect(child).toMatchObject({ success: true, require_approval: ["run_code"] });
    await begin(String(child.instance_id), { name: "run_code", input: { code: "1" } });
    const open = await until(async () => (await status(String(child.instance_id))).questions as Json[] | undefined);
    expect(open).toMatchObject([{ kind: "approval" }]);
  });

  it("is shown in the answer of a spawn, tool by tool", async () => {
    const given = await tool("spawn_claude", { name: "x", tools: "standard", require_approval: ["write_file"] });
    expect(given.require_approval).toEqual(["write_file", "edit_file", "move_file", "delete_file"]);
    expect(await tool("spawn_claude", { name: "x", tools: "standard" })).not.toHaveProperty("require_approval");
  });
});

describe("a guard that can't be held", () => {
  it.each([
    ["network", {}],
    ["spend", {}],
    ["web_search", {}],
    ["web_fetch", { web: { search_max_uses: 1, fetch_max_uses: 1 } }],
  ])("on %s is refused, naming the tools", async (guard, more) => {
    const input = { name: "x", tools: ["read_file", "web_search"], require_approval: [guard], ...more };
    const refused = await tool("spawn_claude", input);
    expect(refused).toMatchObject({ success: false, error: "invalid_input" });
    expect(refused.message).toContain("web_search");
  });

  it("because a parent has it is refused as well", async () => {
    const parent = await spawn({ require_approval: ["network"] });
    const refused = await tool("spawn_claude", { name: "x", tools: ["web_search"], parent_instance_id: parent });
    expect(refused).toMatchObject({ success: false, error: "invalid_input", details: { tools: ["web_search"] } });
  });

  it.each(["fly", "READ", "web_search"])(
    "on %s, which is no power and no tool of its own, is refused",
    async (guard) => {
      const refused = await tool("spawn_claude", { name: "x", tools: "standard", require_approval: [guard] });
      expect(refused).toMatchObject({ success: false, error: "invalid_input", details: { powers: POWERS } });
    },
  );
});

describe("what an instance hands on", () => {
  /** What a child of an instance with these tools gets. */
  const childOf = async (tools: string[] | string, input: Record<string, unknown>) =>
    act(await spawn({ name: "boss", tools }), "spawn_claude", { name: "child", ...input });

  it.each(names.filter((name) => name !== "spawn_claude"))(
    "%s is had by a child only if its parent can do as much",
    async (name) => {
      const held = powersOf("spawn_claude");
      const child = await childOf(["spawn_claude"], { tools: [name] });
      if (includesAll(held, powersOf(name))) return expect(child).toMatchObject({ success: true, tools: [name] });
      expect(child).toMatchObject({ success: false, error: "forbidden", details: { tools: [name] } });
      expect(child.message).toContain(name);
    },
  );

  it.each([
    [["spawn_claude"], "full"],
    [["spawn_claude", "read_file"], "full"],
    [["spawn_claude", "write_file"], "standard"],
    ["full", "full"],
  ])("of %j, the preset %s is what of it can be handed on", async (tools, preset) => {
    const held = (Array.isArray(tools) ? tools : names).flatMap(powersOf);
    const child = await childOf(tools, { tools: preset });
    const all = (await tool("spawn_claude", { name: "x", tools: preset })).tools as string[];
    const able = all.filter((name) => includesAll(held, powersOf(name)));
    expect(child.tools).toEqual(able);
    const withheld = ((child.left_out as { tool: string; reason: string }[] | undefined) ?? []).map((one) => one.tool);
    expect(withheld).toEqual(all.filter((name) => !able.includes(name)));
  });

  it("is bounded for a role's own tools and for teams too", async () => {
    const developer = await childOf(["spawn_claude", "read_file"], { role: "backend_developer" });
    expect(developer.tools).not.toEqual(expect.arrayContaining(["bash"]));
    const boss = await spawn({ tools: ["spawn_team", "read_file"] });
    const team = (await act(boss, "spawn_team", { template: "software_engineering" })) as Json & {
      supervisor: { tools: string[] };
      members: { tools: string[] }[];
    };
    for (const one of [team.supervisor, ...team.members])
      for (const name of one.tools) expect(powersOf(name)).not.toEqual(expect.arrayContaining(["write"]));
  });

  it("below somebody else is bounded by that one as well", async () => {
    const boss = await spawn({ name: "boss", tools: "full" });
    const reader = String((await act(boss, "spawn_claude", { name: "reader", tools: ["read_file"] })).instance_id);
    const under = { name: "x", parent_instance_id: reader };
    expect(await act(boss, "spawn_claude", { ...under, tools: ["bash"] })).toMatchObject({ error: "forbidden" });
    expect(await act(boss, "spawn_claude", { ...under, tools: ["list_files"] })).toMatchObject({ success: true });
  });

  it("is bounded by itself, where a person gave the one below more", async () => {
    const boss = await spawn({ name: "boss", tools: ["spawn_claude", "read_file"] });
    const worker = await spawn({ name: "worker", tools: "full", parent_instance_id: boss });
    const under = { name: "x", parent_instance_id: worker, tools: ["bash"] };
    expect(await act(boss, "spawn_claude", under)).toMatchObject({ error: "forbidden" });
    expect(await act(worker, "spawn_claude", under)).toMatchObject({ success: true, tools: ["bash"] });
  });
});

describe("a remote tool", () => {
  const HOST = "one.remote-tools.dev";
  const said = (text: string) => ({ content: [{ type: "text" as const, text }] });
  serveHost(
    HOST,
    mcpServer((server) => {
      server.registerTool("look_up", { annotations: { readOnlyHint: true } }, async () => said("found"));
      server.registerTool("create", {}, async () => said("created"));
    }),
  );
  const withServer = (input: Record<string, unknown>) =>
    tool("spawn_claude", {
      name: "x",
      tools: ["read_file"],
      mcp_servers: [{ name: "s", url: `https://${HOST}/mcp` }],
      ...input,
    });

  it.each<[guard: string, guarded: string[]]>([
    ["network", ["s__look_up", "s__create"]],
    ["s__look_up", ["s__look_up", "s__create"]],
    ["s__create", ["s__create"]],
    ["write", ["s__create"]],
    ["execute", ["s__create"]],
    ["read_file", ["read_file", "s__create"]],
  ])("waits for leave by what it may be able to do: guard %s", async (guard, guarded) => {
    const spawned = await withServer({ require_approval: [guard] });
    expect(spawned.require_approval).toEqual(guarded);
    const id = String(spawned.instance_id);
    await begin(id, ...(spawned.tools as string[]).map((name) => ({ name, input: {} })));
    const questions = await until(async () => {
      const open = ((await status(id)).questions as { question: string }[] | undefined) ?? [];
      return open.length >= guarded.length && open;
    });
    expect(questions.map(({ question }) => /^May it run (\w+) with/.exec(question)?.[1]).toSorted()).toEqual(
      guarded.toSorted(),
    );
  });

  it("that a parent's guard names, and its child does not have, counts as able to do anything", async () => {
    const parent = await withServer({ require_approval: ["s__create"] });
    const child = { name: "c", parent_instance_id: parent.instance_id, tools: ["bash"] };
    expect(await tool("spawn_claude", child)).not.toHaveProperty("require_approval");
    const servers = [{ name: "t", url: `https://${HOST}/mcp` }];
    expect(await tool("spawn_claude", { ...child, mcp_servers: servers })).toMatchObject({
      require_approval: ["t__create"],
    });
  });
});
