/**
 * Who may answer a question. Decided here and nowhere else, whatever the door and however somebody came by the question's id.
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
