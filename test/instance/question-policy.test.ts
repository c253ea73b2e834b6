import { describe, expect, it } from "vitest";
import { type AskedOf, answerRefusal } from "../../src/instance/question-policy.ts";

const APPROVAL: AskedOf = { kind: "approval", to: null };
const TO_A_PERSON: AskedOf = { kind: "question", to: null };
const TO_THE_PARENT: AskedOf = { kind: "question", to: "inst_parent" };

describe("who may answer", () => {
  it.each<[what: string, asked: AskedOf, by: string, may: boolean]>([
    ["leave to run a tool", APPROVAL, "user", true],
    ["leave to run a tool", APPROVAL, "inst_parent", false],
    ["a question to a person", TO_A_PERSON, "user", true],
    ["a question to a person", TO_A_PERSON, "inst_parent", false],
    ["a question to an instance", TO_THE_PARENT, "user", true],
    ["a question to an instance", TO_THE_PARENT, "inst_parent", true],
    ["a question to an instance", TO_THE_PARENT, "inst_grandparent", false],
  ])("%s (%o), answered by %s: %s", (_what, asked, by, may) => {
    const refusal = answerRefusal("q_1_1", asked, by);
    if (may) expect(refusal).toBeNull();
    else expect(refusal).toMatchObject({ ok: false, error: { code: "forbidden", details: { question_id: "q_1_1" } } });
  });
});
