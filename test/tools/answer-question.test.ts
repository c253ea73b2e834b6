/**
 * Who may answer: leave to run a tool, and what a person is asked, only a caller from outside; what an instance is asked, that
 * instance or a caller from outside. Whatever the door, and however an instance came by the question's id.
 */
import { describe, expect, it } from "vitest";
import { questionIdOf } from "../../src/platform/ids.ts";
import { installActors } from "../support/actors.ts";
import { type Json, request, spawn, status, tool, until } from "../support/door.ts";
import { keyed, newKey } from "../support/keyed.ts";

const { act, begin } = installActors();

interface Open {
  question_id: string;
  kind: string;
  to: string;
  question: string;
  options: string[];
}

const openQuestion = (id: string) => until(async () => ((await status(id)).questions as Open[] | undefined)?.[0]);
const FORBIDDEN = { success: false, error: "forbidden" };

/** A family in which `child` may run bash only with leave, in the files of `boss`. */
async function guardedFamily() {
  const top = await spawn({ name: "top", tools: "full" });
  const boss = await spawn({ name: "boss", tools: "full", parent_instance_id: top, require_approval: ["bash"] });
  const kid = { name: "child", tools: "full", workspace: "parent" };
  const child = String((await act(boss, "spawn_claude", kid)).instance_id);
  const sibling = String((await act(boss, "spawn_claude", { ...kid, name: "sibling" })).instance_id);
  const stranger = await spawn({ name: "stranger", tools: "full" });
  return { top, boss, child, sibling, stranger };
}

describe("leave to run a tool", () => {
  it("is given by no instance, whatever it is to the one that asks", async () => {
    const family = await guardedFamily();
    const { child, boss } = family;
    const turn = await begin(child, { name: "bash", input: { command: "echo payload > out.txt" } });
    const asked = await openQuestion(child);
    expect(asked).toMatchObject({ kind: "approval", to: "human" });
    for (const who of [family.boss, family.top, family.sibling, family.stranger]) {
      const answer = await act(who, "answer_question", { question_id: asked.question_id, answer: "approve" });
      expect(answer).toMatchObject(FORBIDDEN);
    }
    expect((await tool("list_instance_files", { instance_id: boss })).files).toEqual([]);
    expect(await openQuestion(child)).toEqual(asked);
    expect(await tool("answer_question", { question_id: asked.question_id, answer: "approve" })).toMatchObject({
      success: true,
    });
    expect((await turn.results())[0]?.success).toBe(true);
    expect((await tool("list_instance_files", { instance_id: boss })).files).toMatchObject([{ path: "out.txt" }]);
  });

  it("is not given by the instance that asks for it, with another call of the same step", async () => {
    const id = await spawn({ tools: "full", require_approval: ["bash"] });
    const { results } = await begin(
      id,
      { name: "bash", input: { command: "echo payload > out.txt" } },
      { name: "answer_question", input: { question_id: questionIdOf(id, 1), answer: "approve" } },
    );
    const asked = await openQuestion(id);
    expect(asked.question_id).toBe(questionIdOf(id, 1));
    await tool("answer_question", { question_id: asked.question_id, answer: "deny" });
    expect(await results()).toMatchObject([{ success: false }, FORBIDDEN]);
    expect((await tool("list_instance_files", { instance_id: id })).files).toEqual([]);
  });
});

describe("a question to a person", () => {
  it("is answered by no instance, not by the parent either", async () => {
    const boss = await spawn({ name: "boss" });
    const child = await spawn({ name: "child", parent_instance_id: boss });
    const { results } = await begin(child, { name: "ask", input: { question: "May I?", options: ["yes", "no"] } });
    const { question_id } = await openQuestion(child);
    expect(await act(boss, "answer_question", { question_id, answer: "yes" })).toMatchObject(FORBIDDEN);
    expect(await tool("answer_question", { question_id, answer: "no" })).toMatchObject({ success: true });
    expect((await results())[0]?.message).toBe("The human answered: no");
  });
});

describe("a question to an instance", () => {
  const asking = async () => {
    const grandparent = await spawn({ name: "grandparent" });
    const parent = await spawn({ name: "parent", parent_instance_id: grandparent });
    const child = await spawn({ name: "child", parent_instance_id: parent });
    const { results } = await begin(child, { name: "ask", input: { question: "Which?", to: "parent" } });
    const { question_id } = await openQuestion(child);
    return { grandparent, parent, question_id, results };
  };

  it("is answered by that one, and by none above it", async () => {
    const { grandparent, parent, question_id, results } = await asking();
    expect(await act(grandparent, "answer_question", { question_id, answer: "mine" })).toMatchObject(FORBIDDEN);
    expect(await act(parent, "answer_question", { question_id, answer: "yours" })).toMatchObject({ success: true });
    expect((await results())[0]?.message).toBe(`The instance ${parent} answered: yours`);
  });

  it("is answered by a person as well", async () => {
    const { question_id, results } = await asking();
    await tool("answer_question", { question_id, answer: "from above" });
    expect((await results())[0]?.message).toBe("The human answered: from above");
  });
});

describe("a caller from outside", () => {
  const KEY = newKey();
  const server = keyed({ default: KEY });
  const doors: [name: string, answer: (question_id: string) => Promise<Json>][] = [
    ["POST /tools/execute", (question_id) => tool("answer_question", { question_id, answer: "approve" })],
    [
      "POST /questions/{id}",
      async (question_id) => {
        const body = JSON.stringify({ answer: "approve" });
        const init = { method: "POST", headers: { "content-type": "application/json" }, body };
        return (await (await request(`/questions/${question_id}`, init)).json()) as Json;
      },
    ],
    ["MCP", (question_id) => server.mcpTool(KEY, "answer_question", { question_id, answer: "approve" })],
    ["REST with a key", (question_id) => server.tool(KEY, "answer_question", { question_id, answer: "approve" })],
  ];

  it.each(doors)("gives leave through %s", async (_door, answer) => {
    const id = await spawn({ require_approval: ["write_file"] });
    const { results } = await begin(id, { name: "write_file", input: { path: "a.txt", content: "x" } });
    const { question_id } = await openQuestion(id);
    expect(await answer(question_id)).toMatchObject({ success: true, question_id });
    expect((await results())[0]?.message).toContain("Created a.txt");
  });
});

describe("what is approved", () => {
  const ask = async (input: Record<string, unknown>) => {
    const id = await spawn({ require_approval: ["write_file"], max_tokens: 64_000 });
    const turn = await begin(id, { name: "write_file", input });
    return { id, ...turn };
  };

  it("is shown whole, however long, with its length", async () => {
    const content = `${"x".repeat(60_000)}PAYLOAD`;
    const { id } = await ask({ path: "a.txt", content });
    const { question } = await openQuestion(id);
    expect(question).toContain(JSON.stringify({ path: "a.txt", content }));
    expect(question).toContain("60,036 characters");
  });

  it("is not asked for when it is too long to be shown whole, and does not run", async () => {
    const { id, results } = await ask({ path: "a.txt", content: "x".repeat(120_000) });
    const [result] = await results();
    expect(result).toMatchObject({ success: false });
    expect(result?.message).toMatch(/not run.*120,\d{3} characters.*100,000.*smaller pieces/s);
    expect((await tool("list_instance_files", { instance_id: id })).files).toEqual([]);
  });

  it("shows what can't be seen, or turns the rest around", async () => {
    const { id } = await ask({ path: "a.txt", content: "rm -rf /tmp/\u202egpj.\u200b\u2066sh" });
    const { question } = await openQuestion(id);
    expect(question).toContain("rm -rf /tmp/\\u202egpj.\\u200b\\u2066sh");
  });
});

describe("an answer", () => {
  const asked = async () => {
    const id = await spawn({ require_approval: ["write_file"] });
    const { results } = await begin(id, { name: "write_file", input: { path: "a.txt", content: "x" } });
    return { id, results, question: await openQuestion(id) };
  };
  const files = async (id: string) => (await tool("list_instance_files", { instance_id: id })).files as unknown[];

  it.each(["approve", " Approve \n", "APPROVE"])("%j gives leave", async (answer) => {
    const { id, results, question } = await asked();
    expect(await tool("answer_question", { question_id: question.question_id, answer })).toMatchObject({
      success: true,
    });
    await results();
    expect(await files(id)).toHaveLength(1);
    // The same answer again, however it is written, changes nothing.
    expect(await tool("answer_question", { question_id: question.question_id, answer: "approve" })).toMatchObject({
      success: true,
    });
  });

  it.each([
    ["deny", ""],
    ["Deny", ""],
    ["deny: not here", " The reason: not here"],
    ["deny, use b.txt", " The reason: use b.txt"],
    ["deny?? no, approve never", " The reason: ?? no, approve never"],
  ])("%j refuses", async (answer, reason) => {
    const { id, results, question } = await asked();
    expect(await tool("answer_question", { question_id: question.question_id, answer })).toMatchObject({
      success: true,
    });
    expect((await results())[0]?.message).toBe(`This call was not approved, and was not run.${reason}`);
    expect(await files(id)).toEqual([]);
  });

  it.each([
    "approve?? no never",
    "approve: but only once",
    "approved",
    "approve.",
    "approve deny",
    "yes",
    "ok",
    "do not approve",
    "\u202eevorppa",
    "approve\u200b",
    "denial",
  ])("%j is none: it is refused with the options, and nothing runs", async (answer) => {
    const { id, question } = await asked();
    const refused = await tool("answer_question", { question_id: question.question_id, answer });
    expect(refused).toMatchObject({
      success: false,
      error: "invalid_input",
      details: { options: ["approve", "deny"] },
    });
    expect(refused.message).toContain("approve or deny");
    expect(await openQuestion(id)).toEqual(question);
    expect(await files(id)).toEqual([]);
  });
});

describe("an answer to a question with options", () => {
  const OPTIONS = ["Blue", "red", "RED", "dark red"];
  const asked = async () => {
    const id = await spawn();
    const { results } = await begin(id, { name: "ask", input: { question: "Which?", options: OPTIONS } });
    return { results, question: await openQuestion(id) };
  };

  it.each([
    ["Blue", "Blue"],
    [" blue ", "Blue"],
    ["red", "red"],
    ["RED", "RED"],
    ["Dark Red", "dark red"],
  ])("%j is the option %j", async (answer, option) => {
    const { results, question } = await asked();
    expect(await tool("answer_question", { question_id: question.question_id, answer })).toMatchObject({
      success: true,
    });
    expect((await results())[0]?.message).toBe(`The human answered: ${option}`);
  });

  it.each(["green", "blue, or red", "Red", "bl"])("%j is none of them", async (answer) => {
    const { question } = await asked();
    expect(await tool("answer_question", { question_id: question.question_id, answer })).toMatchObject({
      error: "invalid_input",
      details: { options: OPTIONS },
    });
  });
});

describe("a guarded tool that itself asks", () => {
  it("waits for leave, and then for its own answer", async () => {
    const id = await spawn({ require_approval: ["ask"] });
    const { results } = await begin(id, { name: "ask", input: { question: "Blue or red?" } });
    const leave = await openQuestion(id);
    expect(leave.kind).toBe("approval");
    await tool("answer_question", { question_id: leave.question_id, answer: "approve" });
    const question = await until(async () => {
      const now = await openQuestion(id);
      return now.question_id !== leave.question_id && now;
    });
    expect(question).toMatchObject({ kind: "question", question: "Blue or red?" });
    await tool("answer_question", { question_id: question.question_id, answer: "blue" });
    expect((await results())[0]?.message).toBe("The human answered: blue");
  });
});
