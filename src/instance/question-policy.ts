/**
 * Who may answer a question, and what counts as an answer. Decided here and nowhere else, whatever the door and however somebody came
 * by the question's id.
 */
import { err, type Result } from "../platform/errors.ts";

/** Who answers for a caller from outside: a person or a program with a key. An instance answers by its id. */
const OUTSIDE = "user";

/** `to`: the instance that is asked, or null for a person. */
export interface AskedOf {
  kind: "question" | "approval";
  to: string | null;
}

/**
 * Null when `by` may answer; else the refusal. Leave to run a tool, and the answer to what a person is asked, come from outside
 * alone: an instance that could give either would have no guard. What an instance is asked, that instance or a caller from outside
 * answers.
 */
export function answerRefusal(questionId: string, { kind, to }: AskedOf, by: string): Result<never> | null {
  if (by === OUTSIDE) return null;
  if (kind === "approval") {
    return err(
      "forbidden",
      `${questionId} asks for leave to run a tool, and no instance can give that. A person answers it.`,
      { question_id: questionId },
    );
  }
  if (to === null) {
    return err(
      "forbidden",
      `${questionId} is a question to a person, and no instance can answer it. Tell a person that it waits.`,
      { question_id: questionId },
    );
  }
  if (to === by) return null;
  return err(
    "forbidden",
    `${questionId} is a question to the instance ${to}: only that one, or a person, answers it.`,
    {
      question_id: questionId,
    },
  );
}

/** What leave to run a tool is given and refused with. */
export const APPROVAL_OPTIONS = ["approve", "deny"];

/**
 * The answer as it counts, or null when it is none. With options it is exactly one of them, but for blanks around it and for capitals,
 * and only a refusal may say more: `deny: why`. Without options it is any text, as it was given.
 */
export function countedAnswer(kind: AskedOf["kind"], options: readonly string[], given: string): string | null {
  const said = given.trim();
  if (kind === "approval" && /^deny\b/i.test(said)) return said;
  if (options.length === 0 || options.includes(given)) return given;
  const alike = options.filter((option) => option.trim().toLowerCase() === said.toLowerCase());
  return options.find((option) => option.trim() === said) ?? (alike.length === 1 ? (alike[0] ?? null) : null);
}

/** What an answer that counts says of leave to run a tool: anything but `approve` refuses, and the note is what `deny` was followed by. */
export function approvalIn(answer: string): { given: boolean; note: string } {
  if (answer === "approve") return { given: true, note: "" };
  return { given: false, note: answer.replace(/^deny[\s:,.;-]*/i, "").trim() };
}
