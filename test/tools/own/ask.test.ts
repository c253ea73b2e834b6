/**
 * Questions: how they find who answers them, what ends them, and calls that wait for an approval.
 */
import { evictDurableObject } from "cloudflare:test";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Json, request, send, spawn, status, tool, until } from "../../support/door.ts";
import { installModel, type ScriptCall, saying, scriptModel } from "../../support/model.ts";
import { objectOf } from "../../support/objects.ts";
import { marker, programs, results, using } from "../../support/programs.ts";

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

describe("a question", () => {
  const asking = (input: Record<string, unknown>) => (call: ScriptCall) =>
    call.toolResults.length === 0 ? using({ name: "ask", input }) : saying(call.toolResults[0]?.text ?? "");
  const open = async (id: string) => {
    const record = await until(async () => {
      const known = await status(id);
      return (known.questions as unknown[] | undefined)?.length ? known : undefined;
    });
    return (record.questions as { question_id: string }[])[0]?.question_id ?? "";
  };

  it("waits for a person, is seen everywhere, and its answer lets the turn go on after an eviction", async () => {
    const job = marker();
    programs.set(job, asking({ question: "Blue or red?", options: ["blue", "red"] }));
    const id = await spawn({ name: "Painter" });
    const sent = await send(id, job, { wait_for_response: false });
    const question = await open(id);
    expect(await status(id)).toMatchObject({
      state: "waiting",
      waiting_for: { reason: "an answer" },
      open_questions: 1,
    });
    const listed = (await (await request("/questions")).json()) as { questions: Json[] };
    expect(listed.questions.find((q) => q.question_id === question)).toMatchObject({
      instance_id: id,
      name: "Painter",
      kind: "question",
      to: "human",
      question: "Blue or red?",
      options: ["blue", "red"],
    });
    expect(String((await tool("get_instance_tree", { root_id: id })).text)).toContain("1 open question");
    await evictDurableObject(objectOf(id));
    expect(await tool("answer_question", { question_id: question, answer: "green" })).toMatchObject({
      error: "invalid_input",
    });
    const answered = await request(`/questions/${question}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ answer: "red" }),
    });
    expect(answered.status).toBe(200);
    const done = await tool("wait", { ids: [sent.message_id] });
    expect(done.done).toMatchObject([{ response: { response: "The human answered: red" } }]);
    expect(await tool("answer_question", { question_id: question, answer: "red" })).toMatchObject({ success: true });
    expect(await tool("answer_question", { question_id: question, answer: "blue" })).toMatchObject({
      error: "conflict",
    });
    expect((await status(id)).questions).toBeUndefined();
  });

  it("takes its default when its time is over", async () => {
    const job = marker();
    programs.set(job, asking({ question: "Go on?", default_answer: "yes, go on", expires_in_minutes: 0.005 }));
    expect(await send(await spawn(), job)).toMatchObject({
      response: { response: "Nobody answered in time, so the default holds: yes, go on" },
    });
  });

  it("closes with its turn", async () => {
    const job = marker();
    programs.set(job, asking({ question: "Anybody?" }));
    const id = await spawn();
    await send(id, job, { wait_for_response: false });
    const question = await open(id);
    await tool("interrupt_instance", { instance_id: id });
    expect(await tool("answer_question", { question_id: question, answer: "hello" })).toMatchObject({
      error: "conflict",
    });
    expect(await status(id)).toMatchObject({ open_questions: 0 });
  });

  it("of a child reaches its parent in the middle of its wait, and the parent's answer reaches the child", async () => {
    const job = marker();
    const kid = marker();
    programs.set(kid, asking({ question: "Tabs or spaces?", to: "parent" }));
    programs.set(job, (call) => {
      const question = /question (q_\w+)\)/.exec(call.lastUserText)?.[1];
      const known = JSON.stringify(call.body.messages);
      if (question && !known.includes('"name":"answer_question"'))
        return using({ name: "answer_question", input: { question_id: question, answer: "spaces" } });
      if (call.step === 0) return using({ name: "spawn_claude", input: { name: "Kid", initial_prompt: kid } });
      const message = /msg_\w+_0/.exec(known)?.[0];
      const last = results(call)[0];
      if (last?.done && (last.done as unknown[]).length > 0)
        return saying((last.done as { response: { response: string } }[])[0]?.response.response ?? "");
      return using({ name: "wait", input: { ids: [message] } });
    });
    const parent = await spawn();
    const answer = await send(parent, job);
    const response = String((answer.response as { response: string }).response);
    expect(response).toBe(`The instance ${parent} answered: spaces`);
  });

  it.each([
    ["bad input of the call", "set_limits", {}],
    ["an unknown question", "answer_question", { question_id: "q_01KAAAAAAAAAAAAAAAAAAAAAAA_1", answer: "x" }],
    ["no id at all", "answer_question", { question_id: "what?", answer: "x" }],
    ["no parent", "get_instance_tree", { root_id: "inst_01KAAAAAAAAAAAAAAAAAAAAAAA" }],
  ])("refuses %s with a sentence", async (_name, name, input) => {
    const answer = await tool(name, input as Record<string, unknown>);
    expect(answer.success).toBe(false);
    expect(answer.message.length).toBeGreaterThan(10);
  });
});

describe("a tool behind approval", () => {
  const writing = (call: ScriptCall) =>
    call.toolResults.length === 0
      ? using({ name: "write_file", input: { path: "a.txt", content: "x" } }, { name: "list_files", input: {} })
      : saying(call.toolResults.map(({ text }) => text).join(" | "));
  const leave = (id: string) =>
    until(async () => ((await status(id)).questions as { question_id: string; question: string }[] | undefined)?.[0]);

  it.each([
    ["approve", "a.txt"],
    ["deny: not here", "This call was not approved, and was not run. The reason: not here"],
  ])("waits for leave: %s", async (answer, expected) => {
    const job = marker();
    programs.set(job, writing);
    const id = await spawn({ require_approval: ["write_file"] });
    const sent = await send(id, job, { wait_for_response: false });
    const question = await leave(id);
    expect(question?.question).toContain('write_file with {"path":"a.txt"');
    expect(await tool("answer_question", { question_id: question?.question_id, answer: "perhaps" })).toMatchObject({
      error: "invalid_input",
    });
    expect((await tool("list_instance_files", { instance_id: id })).files).toEqual([]);
    await tool("answer_question", { question_id: question?.question_id, answer });
    const done = await tool("wait", { ids: [sent.message_id] });
    expect(JSON.stringify(done.done)).toContain(expected);
    const files = (await tool("list_instance_files", { instance_id: id })).files as unknown[];
    expect(files).toHaveLength(answer === "approve" ? 1 : 0);
  });

  it("holds for children too, and only for tools that there are", async () => {
    const parent = await spawn({ require_approval: ["write_file"] });
    const child = await spawn({ parent_instance_id: parent });
    const job = marker();
    programs.set(job, writing);
    await send(child, job, { wait_for_response: false });
    expect((await leave(child))?.question).toContain("write_file");
    expect(await tool("spawn_claude", { name: "x", tools: "none", require_approval: ["write_file"] })).toMatchObject({
      error: "invalid_input",
    });
  });
});
