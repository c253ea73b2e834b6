/// <reference types="vite/types/importMeta.d.ts" />
/**
 * What an instance may do to whom: one table, the same in the code, in the threat model and in the hands of instances. Every tool that
 * instances have is tried on everybody that there can be to its caller.
 */
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import type { Relation } from "../../../src/contracts/orchestrator.ts";
import { LOCAL } from "../../../src/contracts/principal.ts";
import { orchestratorOf } from "../../../src/contracts/stubs.ts";
import { contextOf } from "../../../src/http/context.ts";
import { newInstanceId, questionIdOf } from "../../../src/platform/ids.ts";
import { CATALOGUE } from "../../../src/tools/runtime/catalogue.ts";
import { dispatch } from "../../../src/tools/runtime/dispatch.ts";
import { accessTo, type Touch, VERBS, type Verb } from "../../../src/tools/runtime/reachability.ts";
import { installActors, type ToolUse } from "../../support/actors.ts";
import { type Json, send, spawn, tool, until } from "../../support/door.ts";
import { keyed, newKey } from "../../support/keyed.ts";

const { act, begin } = installActors();

const RELATIONS = ["self", "child", "descendant", "parent", "ancestor", "sibling", "stranger"] as const;

/** As the threat model has it. `sent`: only what the caller sent itself. */
const TABLE = `
| verb | self | child | descendant | parent | ancestor | sibling | stranger |
|---|---|---|---|---|---|---|---|
| spawn | yes | yes | yes | no | no | no | no |
| send | no | yes | yes | yes | no | yes | no |
| preempt | no | yes | yes | no | no | no | no |
| broadcast | yes | yes | yes | no | no | no | no |
| wait | no | yes | yes | sent | no | sent | no |
| read | yes | yes | yes | no | no | no | no |
| read_files | no | yes | yes | no | no | no | no |
| share_files | yes | yes | yes | no | no | no | no |
| answer | no | yes | yes | no | no | no | no |
| interrupt | no | yes | yes | no | no | no | no |
| terminate | no | yes | yes | no | no | no | no |
| coordinate | yes | yes | yes | no | no | no | no |
| participate | no | yes | yes | no | no | no | no |
| job | yes | yes | yes | no | no | no | no |
`;
const ROWS = TABLE.trim()
  .split("\n")
  .slice(2)
  .map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );

const DOCS: Record<string, string> = import.meta.glob<string>("../../../docs/threat-model.md", {
  query: "?raw",
  import: "default",
  eager: true,
});

describe("the table", () => {
  it("has every verb, and the code decides by it", () => {
    expect(ROWS.map(([verb]) => verb)).toEqual([...VERBS]);
    for (const [verb, ...cells] of ROWS)
      expect([verb, ...RELATIONS.map((relation) => accessTo(verb as Verb, relation))]).toEqual([verb, ...cells]);
  });

  it("stands in the threat model as it is", () => {
    expect(Object.values(DOCS)[0]).toContain(TABLE.trim());
  });

  it("gives nothing outside the caller's subtree but sending, and waiting for what was sent", () => {
    for (const verb of VERBS) {
      for (const relation of ["parent", "ancestor", "sibling", "stranger"] as const) {
        const access = accessTo(verb, relation);
        if (verb === "send")
          expect([relation, access]).toEqual([relation, /parent|sibling/.test(relation) ? "yes" : "no"]);
        else if (verb === "wait") expect(access).not.toBe("yes");
        else expect([verb, relation, access]).toEqual([verb, relation, "no"]);
      }
    }
  });
});

/** What a tool is tried with: somebody, what lives there, and the caller with a child of its own. */
interface Target {
  id: string;
  job: string;
  self: string;
  child: string;
}

interface Try {
  /** What the call does to the target. */
  verb: Verb;
  input(target: Target): Record<string, unknown>;
}

const soon = { wait_for_response: false };

/** Every way in which a tool touches somebody. A tool that instances have and that is missing here fails. */
const TRIES: Record<string, Try[]> = {
  spawn_claude: [{ verb: "spawn", input: ({ id }) => ({ name: "x", parent_instance_id: id }) }],
  spawn_team: [{ verb: "spawn", input: ({ id }) => ({ template: "research", parent_instance_id: id }) }],
  send_to_instance: [
    { verb: "send", input: ({ id }) => ({ instance_id: id, message: "hi", ...soon }) },
    { verb: "send", input: ({ id }) => ({ instance_id: id, message: "hi", when_busy: "reject", ...soon }) },
    { verb: "preempt", input: ({ id }) => ({ instance_id: id, message: "hi", when_busy: "interrupt", ...soon }) },
    { verb: "preempt", input: ({ id }) => ({ instance_id: id, message: "hi", when_busy: "steer", ...soon }) },
    { verb: "preempt", input: ({ id }) => ({ instance_id: id, message: "hi", priority: 1, ...soon }) },
    { verb: "preempt", input: ({ id }) => ({ instance_id: id, message: "hi", priority: -1000, ...soon }) },
  ],
  broadcast_to_children: [{ verb: "broadcast", input: ({ id }) => ({ parent_id: id, message: "hi" }) }],
  wait: [
    { verb: "wait", input: ({ id }) => ({ ids: [id], timeout_seconds: 0 }) },
    { verb: "job", input: ({ job }) => ({ ids: [job], timeout_seconds: 0 }) },
  ],
  get_instance_output: [{ verb: "read", input: ({ id }) => ({ instance_id: id }) }],
  get_instance_tree: [{ verb: "read", input: ({ id }) => ({ root_id: id }) }],
  answer_question: [{ verb: "answer", input: ({ id }) => ({ question_id: questionIdOf(id, 99), answer: "x" }) }],
  coordinate_instances: [
    {
      verb: "coordinate",
      input: ({ id, child }) => ({ coordinator_id: id, participant_ids: [child], task_description: "x" }),
    },
    {
      verb: "participate",
      input: ({ id, self }) => ({ coordinator_id: self, participant_ids: [id], task_description: "x" }),
    },
  ],
  get_job_status: [{ verb: "job", input: ({ job }) => ({ job_id: job }) }],
  cancel_job: [{ verb: "job", input: ({ job }) => ({ job_id: job }) }],
  list_instance_files: [{ verb: "read_files", input: ({ id }) => ({ instance_id: id }) }],
  retrieve_instance_file: [{ verb: "read_files", input: ({ id }) => ({ instance_id: id, path: "none.txt" }) }],
  share_file: [
    { verb: "share_files", input: ({ id, self }) => ({ from_instance_id: id, path: "x", to_instance_id: self }) },
    { verb: "share_files", input: ({ id, self }) => ({ from_instance_id: self, path: "x", to_instance_id: id }) },
  ],
  interrupt_instance: [{ verb: "interrupt", input: ({ id }) => ({ instance_id: id }) }],
  // Last: it ends whom it may.
  terminate_instance: [{ verb: "terminate", input: ({ id }) => ({ instance_id: id }) }],
};

const KEY = newKey();
const otherTenant = keyed({ "another-tenant": KEY });

describe("every tool that instances have, on everybody", () => {
  const family = {} as Record<Relation | "other tenant", string>;
  const jobs = {} as Record<Relation | "other tenant", string>;

  beforeAll(async () => {
    family.ancestor = await spawn({ name: "ancestor" });
    family.parent = await spawn({ name: "parent", parent_instance_id: family.ancestor });
    family.self = await spawn({ name: "self", parent_instance_id: family.parent });
    family.sibling = await spawn({ name: "sibling", parent_instance_id: family.parent });
    family.child = await spawn({ name: "child", parent_instance_id: family.self });
    family.descendant = await spawn({ name: "descendant", parent_instance_id: family.child });
    family.stranger = await spawn({ name: "stranger" });
    family["other tenant"] = String((await otherTenant.tool(KEY, "spawn_claude", { name: "far" })).instance_id);
    for (const [who, id] of Object.entries(family)) {
      const tenant = who === "other tenant" ? "another-tenant" : "default";
      jobs[who as Relation] = await jobStartedBy(tenant, id);
    }
  }, 60_000);

  it("are all tried", () => {
    expect(Object.keys(TRIES).toSorted()).toEqual(
      CATALOGUE.filter(({ forInstances }) => forInstances !== undefined)
        .map(({ name }) => name)
        .toSorted(),
    );
    expect(new Set(Object.values(TRIES).flatMap((tries) => tries.map(({ verb }) => verb)))).toEqual(new Set(VERBS));
  });

  const cases = Object.entries(TRIES).flatMap(([name, tries]) =>
    tries.map((tried, i) => ({ name, way: `${tried.verb} ${i + 1}`, ...tried })),
  );
  it.each(cases)("$name ($way) reaches whom the table says, and nobody else", async ({ name, verb, input }) => {
    const targets = Object.entries(family).map(([who, id]): [string, Target] => [
      who,
      { id, job: jobs[who as Relation], self: family.self, child: family.child },
    ]);
    const declared = targets.flatMap(([, target]) => touchesOf(name, input(target)));
    expect(declared.some((touch) => touch.verb === verb)).toBe(true);
    const { results } = await begin(
      family.self,
      ...targets.map(([, target]): ToolUse => ({ name, input: input(target) })),
    );
    const answers = await results();
    targets.forEach(([who], i) => {
      const relation = who === "other tenant" ? "stranger" : (who as Relation);
      const answer = answers[i] as Json;
      const allowed = accessTo(verb, relation) === "yes";
      expect([who, answer.error === "forbidden", answer.message]).toEqual([who, !allowed, answer.message]);
    });
  });
});

function touchesOf(name: string, input: Record<string, unknown>): Touch[] {
  const found = CATALOGUE.find((listed) => listed.name === name);
  return found?.forInstances?.touches(found.input.parse(input)) ?? [];
}

/** A job that an instance started, with a child of its own. */
async function jobStartedBy(tenant: string, creator: string): Promise<string> {
  const context = contextOf(env, [], { principal: { ...LOCAL, tenant }, signal: new AbortController().signal });
  const helper = await dispatch(context, "spawn_claude", { name: "helper", parent_instance_id: creator });
  const answer = await orchestratorOf(env, tenant).coordinate({
    tenant,
    type: "sequential",
    coordinator_id: creator,
    participant_ids: [String((helper as Json).instance_id)],
    task: "x",
    options: { choices: null, quorum: 0.5, threshold: null, rounds: 1, split: false, step_timeout_seconds: 60 },
    max_cost: null,
    creator,
    within_job: null,
  });
  if (!answer.ok) throw new Error(answer.error.message);
  return answer.value.job_id;
}

describe("waiting for a message", () => {
  const pair = async () => {
    const parent = await spawn({ name: "parent" });
    const self = await spawn({ name: "self", parent_instance_id: parent });
    const sibling = await spawn({ name: "sibling", parent_instance_id: parent });
    const child = await spawn({ name: "child", parent_instance_id: self });
    return { parent, self, sibling, child };
  };
  const waited = (self: string, id: unknown) => act(self, "wait", { ids: [id], timeout_seconds: 20 });

  it.each(["parent", "sibling"] as const)("that somebody else sent to the %s is refused", async (who) => {
    const family = await pair();
    const { message_id } = await send(family[who], "What is the secret?");
    const refused = await waited(family.self, message_id);
    expect(refused).toMatchObject({ success: false, error: "forbidden" });
    expect(JSON.stringify(refused)).not.toContain("done");
    // In the same words, whether it is there or not.
    const absent = String(message_id).replace(/_\d+$/, "_77");
    expect((await waited(family.self, absent)).message.replace(absent, String(message_id))).toBe(refused.message);
  });

  it.each(["parent", "sibling"] as const)(
    "that it sent itself to the %s brings the answer, and no money",
    async (who) => {
      const family = await pair();
      const input = { instance_id: family[who], message: "hello", wait_for_response: false };
      const sent = await act(family.self, "send_to_instance", input);
      expect(sent).toMatchObject({ success: true });
      expect(Object.keys(sent)).not.toEqual(expect.arrayContaining(["spent"]));
      expect(await waited(family.self, sent.message_id)).toMatchObject({
        success: true,
        done: [{ status: "completed", response: { message_id: sent.message_id } }],
      });
    },
  );

  it("below it is allowed, whoever sent it", async () => {
    const { self, child } = await pair();
    const { message_id } = await send(child, "hello");
    expect(await waited(self, message_id)).toMatchObject({ success: true, done: [{ status: "completed" }] });
  });

  it("of a vote's ballots is refused to the other voters", async () => {
    const lead = await spawn({ name: "lead" });
    const voters = await Promise.all(["one", "two"].map((name) => spawn({ name, parent_instance_id: lead })));
    const { job_id } = await tool("coordinate_instances", {
      coordinator_id: lead,
      participant_ids: voters,
      task_description: "Which?",
      coordination_type: "consensus",
      options: { choices: ["a", "b"] },
    });
    const ballot = await until(async () => {
      const { steps } = (await tool("get_job_status", { job_id })) as unknown as {
        steps: { instance_id: string; message_ids: string[] }[];
      };
      return steps.find((step) => step.instance_id === voters[0])?.message_ids[0];
    });
    expect(await waited(voters[1] ?? "", ballot)).toMatchObject({ success: false, error: "forbidden" });
    await tool("cancel_job", { job_id });
  });
});

describe("a tool that is not for instances", () => {
  const someone = newInstanceId();
  const inputs: Record<string, Record<string, unknown>> = {
    get_instance_status: {},
    set_limits: { instance_id: someone, max_cost: 1 },
    write_instance_file: { instance_id: someone, path: "a.txt", content: "x" },
  };
  const names = CATALOGUE.filter(({ forInstances }) => forInstances === undefined).map(({ name }) => name);

  it.each(names)("%s is not there for one, and refused by the dispatcher", async (name) => {
    const input = inputs[name] ?? expect.fail(`${name} has to be tried here too.`);
    const id = await spawn();
    expect((await act(id, name, input)).message).toBe(`There is no tool named ${name}.`);
    const principal = { ...LOCAL, instance: id };
    const context = contextOf(env, [], { principal, signal: new AbortController().signal });
    expect(await dispatch(context, name, input)).toMatchObject({ success: false, error: "forbidden" });
  });
});
