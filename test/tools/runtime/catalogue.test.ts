/// <reference types="vite/types/importMeta.d.ts" />
/**
 * The catalogue is one: each tool is defined in one place, every answer keeps its tool's schema, each role's prompt reaches
 * the model, and the release has one number.
 */
import { beforeEach, describe, expect, it } from "vitest";
import { version } from "../../../package.json";
import { VERSION } from "../../../src/platform/version.ts";
import { BASE_PROMPT } from "../../../src/roles/base-prompt.ts";
import { ROLE_IDS, ROLES, type Role } from "../../../src/roles/index.ts";
import { CATALOGUE, toolByName } from "../../../src/tools/runtime/catalogue.ts";
import { jsonSchemaOf } from "../../../src/tools/runtime/tool.ts";
import { type Json, output, request, send, spawn, status, tool, until } from "../../support/door.ts";
import { installModel, scriptModel } from "../../support/model.ts";

const model = installModel();
beforeEach(() => scriptModel(() => undefined));

// The generated client repeats what the catalogue says.
const SOURCES: Record<string, string> = import.meta.glob<string>(
  ["../../../src/**/*.ts", "!../../../src/client/tools.ts"],
  {
    query: "?raw",
    import: "default",
    eager: true,
  },
);

/** The files that hold the text, once for each time. */
const filesWith = (text: string | RegExp) =>
  Object.entries(SOURCES).flatMap(([path, source]) =>
    source
      .split(text)
      .slice(1)
      .map(() => path),
  );

describe("the catalogue", () => {
  it("sees the sources that it is compared with", () => {
    expect(Object.keys(SOURCES)).toContain("../../../src/tools/runtime/catalogue.ts");
    expect(Object.keys(SOURCES).length).toBeGreaterThan(40);
  });

  it("has names that are unique and well formed", () => {
    const names = CATALOGUE.map((listed) => listed.name);
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(name).toMatch(/^[a-z]+(_[a-z]+)*$/);
    for (const listed of CATALOGUE) expect(toolByName(listed.name)).toBe(listed);
    expect(toolByName("spawn_gpt")).toBeUndefined();
  });

  it.each(CATALOGUE)("defines $name in one place, its own file", ({ name, description, title }) => {
    const home = [`../../../src/tools/${name.replaceAll("_", "-")}.ts`];
    expect(filesWith(new RegExp(`\\bname: *["'\`]${name}["'\`]`))).toEqual(home);
    expect(filesWith(description.slice(0, 40))).toEqual(home);
    expect(filesWith(`title: "${title}"`)).toEqual(home);
  });

  it.each(CATALOGUE)("describes $name to a model: in short, and each argument", ({ description, title, input }) => {
    expect(description.length).toBeGreaterThan(40);
    // Claude's clients cut off what is longer.
    expect(description.length).toBeLessThan(1_024);
    expect(title.length).toBeLessThan(60);
    const schema = jsonSchemaOf(input);
    expect(schema).toMatchObject({ type: "object", additionalProperties: false });
  });

  it.each(CATALOGUE)("says of $name what it does to the world", ({ annotations, changes }) => {
    expect(annotations.readOnlyHint).toBe(!changes);
    if (annotations.readOnlyHint) expect(annotations.destructiveHint).toBe(false);
  });

  it("offers an idempotency key with every tool that changes something, and with no other", () => {
    for (const { input, changes } of CATALOGUE) {
      expect("idempotency_key" in (jsonSchemaOf(input).properties as object)).toBe(changes);
    }
  });
});

/** Answers of each tool as callers meet them, in the various shapes that they have. A tool without an entry fails. */
const ANSWERS: Record<string, () => Promise<Json[]>> = {
  spawn_claude: async () => {
    const parent = await tool("spawn_claude", { name: "Ada", role: "architect", effort: "low", max_tokens: 1_000 });
    const child = { name: "Bo", parent_instance_id: parent.instance_id, initial_prompt: "Begin." };
    return [parent, await tool("spawn_claude", child)];
  },
  list_instance_files: async () => {
    const id = await spawn();
    const empty = await tool("list_instance_files", { instance_id: id });
    await tool("write_instance_file", { instance_id: id, path: "a/b.txt", content: "x" });
    return [empty, await tool("list_instance_files", { instance_id: id, limit: 1 })];
  },
  retrieve_instance_file: async () => {
    const id = await spawn();
    await tool("write_instance_file", { instance_id: id, path: "a/b.txt", content: "text" });
    return [
      await tool("retrieve_instance_file", { instance_id: id, path: "a/b.txt" }),
      await tool("retrieve_instance_file", { instance_id: id, path: "a/b.txt", encoding: "base64", length: 1 }),
    ];
  },
  write_instance_file: async () => {
    const id = await spawn();
    const file = { instance_id: id, path: "a/b.txt" };
    return [
      await tool("write_instance_file", { ...file, content: "one" }),
      await tool("write_instance_file", { ...file, content: "dHdv", encoding: "base64" }),
    ];
  },
  share_file: async () => {
    const [from_instance_id, to_instance_id] = [await spawn(), await spawn()];
    const file = { from_instance_id, to_instance_id, path: "a/b.txt" };
    await tool("write_instance_file", { instance_id: from_instance_id, path: file.path, content: "text" });
    return [await tool("share_file", file), await tool("share_file", { ...file, overwrite: true })];
  },
  spawn_team: async () => [
    await tool("spawn_team", { template: "research" }),
    await tool("spawn_team", {
      template: "data_pipeline",
      task_description: "Count the sheep.",
      overrides: { max_cost: 1 },
    }),
  ],
  set_limits: async () => {
    const id = await spawn();
    return [
      await tool("set_limits", { instance_id: id, max_cost: 2, max_total_tokens: 5_000 }),
      await tool("set_limits", { max_instances: 100_000 }),
    ];
  },
  send_to_instance: async () => {
    const id = await spawn();
    const schema = { type: "object", properties: { colour: { type: "string" } }, required: ["colour"] };
    return [
      await send(id, "One."),
      await send(id, "Two.", { wait_for_response: false }),
      await send(id, "Three.", { timeout_seconds: 0 }),
      await send(id, "Four.", { response_schema: schema }),
    ];
  },
  get_instance_output: async () => {
    const id = await spawn();
    const empty = await tool("get_instance_output", { instance_id: id });
    scriptModel((call) => ({
      blocks:
        call.step === 0 ? [{ type: "tool_use", name: "lookup", input: {} }] : [{ type: "text", text: "Found it." }],
    }));
    await send(id, "Look it up.");
    const first = await tool("get_instance_output", { instance_id: id, limit: 2 });
    const rest = await tool("get_instance_output", { instance_id: id, cursor: first.next_cursor });
    expect(new Set((await output(id)).map((row) => row.type))).toContain("tool_call");
    return [empty, first, rest];
  },
  get_instance_status: async () => {
    const id = await spawn();
    await send(id, "Hello.");
    const ended = await spawn();
    await tool("terminate_instance", { instance_id: ended });
    return [
      await tool("get_instance_status", { instance_id: id }),
      await tool("get_instance_status", { instance_id: ended }),
      await tool("get_instance_status", { limit: 2 }),
      await tool("get_instance_status", {}),
    ];
  },
  wait: async () => {
    const id = await spawn();
    const sent = await send(id, "Hello.", { wait_for_response: false });
    const ids = [id, sent.message_id];
    return [
      await tool("wait", { ids, timeout_seconds: 0 }),
      await tool("wait", { ids, until: "any" }),
      await tool("wait", { ids, until: 2 }),
    ];
  },
  coordinate_instances: async () => {
    const job = { coordinator_id: await spawn(), participant_ids: [await spawn()], task_description: "Build." };
    return [
      await tool("coordinate_instances", job),
      await tool("coordinate_instances", {
        ...job,
        coordination_type: "parallel",
        options: { split: true, max_cost: 1 },
      }),
    ];
  },
  get_job_status: async () => {
    const job = {
      coordinator_id: await spawn(),
      participant_ids: [await spawn(), await spawn()],
      task_description: "Build.",
    };
    const merging = (await tool("coordinate_instances", job)).task_id;
    const running = await tool("get_job_status", { job_id: merging });
    const voting = (await tool("coordinate_instances", { ...job, coordination_type: "consensus" })).task_id;
    scriptModel((call) => (call.lastUserText.includes("<task>") ? { stopReason: "refusal", blocks: [] } : undefined));
    const failing = (await tool("coordinate_instances", { ...job, participant_ids: [await spawn()] })).task_id;
    await tool("wait", { ids: [failing], timeout_seconds: 50 });
    scriptModel(() => undefined);
    await tool("wait", { ids: [merging, voting], timeout_seconds: 50 });
    const ended = [merging, voting, failing].map((job_id) => tool("get_job_status", { job_id }));
    return [running, ...(await Promise.all(ended))];
  },
  cancel_job: async () => {
    const job = { coordinator_id: await spawn(), participant_ids: [await spawn()], task_description: "Build." };
    const { task_id } = await tool("coordinate_instances", job);
    return [
      await tool("cancel_job", { job_id: task_id, reason: "not needed" }),
      await tool("cancel_job", { job_id: task_id }),
    ];
  },
  interrupt_instance: async () => {
    const id = await spawn();
    const idle = await tool("interrupt_instance", { instance_id: id });
    scriptModel(() => ({ fault: { kind: "stall", pings: true, pingMs: 200 } }));
    await send(id, "Never mind.", { wait_for_response: false });
    const busy = await tool("interrupt_instance", { instance_id: id, reason: "changed my mind" });
    return [idle, busy];
  },
  broadcast_to_children: async () => {
    const id = await spawn();
    for (const name of ["a", "b"]) await spawn({ name, parent_instance_id: id });
    return [
      await tool("broadcast_to_children", { parent_id: id, message: "Hello." }),
      await tool("broadcast_to_children", { parent_id: id, message: "Hello.", wait_for_responses: true }),
    ];
  },
  get_instance_tree: async () => {
    const id = await spawn();
    await spawn({ parent_instance_id: id });
    return [
      await tool("get_instance_tree", {}),
      await tool("get_instance_tree", { root_id: id, depth: 0 }),
      await tool("get_instance_tree", { root_id: id, terminated: true }),
    ];
  },
  answer_question: async () => {
    const id = await spawn();
    scriptModel((call) => ({
      blocks:
        call.toolResults.length === 0
          ? [{ type: "tool_use", name: "ask", input: { question: "Which?" } }]
          : [{ type: "text", text: "Thanks." }],
    }));
    await send(id, "Ask.", { wait_for_response: false });
    const record = await until(async () => {
      const { questions } = await status(id);
      return (questions as { question_id: string }[] | undefined)?.[0];
    });
    return [await tool("answer_question", { question_id: record.question_id, answer: "This one." })];
  },
  terminate_instance: async () => {
    const id = await spawn();
    await spawn({ parent_instance_id: id });
    return [
      await tool("terminate_instance", { instance_id: id }),
      await tool("terminate_instance", { instance_id: id, force: true }),
    ];
  },
};

describe("the answer", () => {
  it.each(CATALOGUE)("of $name keeps the schema that the tool publishes", async ({ name, output: schema }) => {
    const answersOf = ANSWERS[name];
    expect(answersOf, `ANSWERS has no entry for ${name}`).toBeDefined();
    const answers = (await answersOf?.()) ?? [];
    expect(answers.length).toBeGreaterThan(0);
    for (const answer of answers) {
      expect(answer).toMatchObject({ success: true, message: expect.stringMatching(/^\S+ .*\.$/) });
      expect(schema.safeParse(answer)).toMatchObject({ success: true });
      // Nor has it a field that the schema doesn't tell of.
      const told = Object.keys(jsonSchemaOf(schema).properties as object);
      expect(told).toEqual(expect.arrayContaining(Object.keys(answer)));
    }
  });
});

/** The system prompt of the first call about a text. */
async function systemOf(input: Record<string, unknown>): Promise<string> {
  const marker = `Marker ${crypto.randomUUID()}.`;
  const id = await spawn(input);
  await send(id, marker);
  const calls = model.callsAbout(marker);
  expect(calls).toHaveLength(1);
  const system = calls[0]?.system;
  return typeof system === "string" ? system : (system as { text: string }[]).map((block) => block.text).join("\n\n");
}

const firstLine = (role: Role) => role.prompt.split("\n")[0] ?? "";

describe("the roles", () => {
  it("are the ten that there are", () => {
    expect(ROLES.map((role) => role.id)).toEqual([...ROLE_IDS]);
    expect(ROLES).toHaveLength(10);
    expect(new Set(ROLES.map(firstLine)).size).toBe(10);
    expect(new Set(ROLES.map((role) => role.title)).size).toBe(10);
  });

  it.each(ROLES)("bring the prompt of $id to the model, and no other's", async (role) => {
    const system = await systemOf({ role: role.id });
    expect(system.startsWith(role.prompt)).toBe(true);
    expect(system).toContain(BASE_PROMPT);
    for (const other of ROLES) expect(system.includes(firstLine(other))).toBe(other.id === role.id);
  });

  it.each(ROLES)("have a system_prompt added to that of $id", async (role) => {
    const added = `You keep bees, and say "buzz" – in ${role.title}.`;
    const system = await systemOf({ role: role.id, system_prompt: added });
    expect(system.startsWith(role.prompt)).toBe(true);
    expect(system).toContain(BASE_PROMPT);
    expect(system.endsWith(added)).toBe(true);
  });

  it("make an instance without a role a general one", async () => {
    expect(await systemOf({})).toBe(await systemOf({ role: "general" }));
    expect(await systemOf({ system_prompt: " \n" })).toBe(await systemOf({ role: "general" }));
  });

  it("are offered by name", () => {
    const { properties } = jsonSchemaOf(toolByName("spawn_claude")?.input ?? expect.fail("no spawn_claude"));
    expect((properties as { role: { enum: string[] } }).role.enum).toEqual([...ROLE_IDS]);
  });
});

describe("the version of the release", () => {
  it("has one number, in package.json and in what the server says", async () => {
    expect(VERSION).toBe(version);
    expect(await (await request("/health")).json()).toMatchObject({ version });
  });
});
