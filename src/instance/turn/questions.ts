/**
 * Questions that an instance asks, and approvals that it needs for a tool. Each belongs to a suspended tool call, which runs again
 * when it is answered. Open until then, or until its time is over, or the turn has ended.
 */

import type { GivenAnswer } from "../../contracts/instance.ts";
import type { OpenQuestion } from "../../contracts/instance-spec.ts";
import type { Asked, QuestionState } from "../../contracts/instance-tool.ts";
import { err, ok, type Result } from "../../platform/errors.ts";
import { recall, remember } from "../../platform/idempotency.ts";
import { questionIdOf } from "../../platform/ids.ts";
import { inTransaction, type Tx } from "../../platform/transaction.ts";
import { answerRefusal, approvalIn, countedAnswer } from "../question-policy.ts";
import { auditCall } from "../store/audit-record.ts";
import { emit } from "../store/events.ts";
import {
  closeOpenQuestions,
  insertQuestion,
  openQuestionRows,
  type QuestionRow,
  question,
  questionOfCall,
  setAnswer,
  setExpired,
} from "../store/questions.ts";
import { resumeCall } from "./suspension.ts";

/** Asks, once per tool call; asking again returns the question's state. */
export function ask(tx: Tx, instanceId: string, callId: number, asked: Asked, now: number): QuestionState {
  const known = questionOfCall(tx, callId, asked.kind);
  if (known) return stateOf(tx, instanceId, known, now);
  const row = insertQuestion(tx, callId, asked, now);
  emit(tx, now, "question.asked", {
    question_id: questionIdOf(instanceId, row.n),
    kind: row.kind,
    to: row.to_id ?? "human",
  });
  return stateOf(tx, instanceId, row, now);
}

function stateOf(tx: Tx, instanceId: string, row: QuestionRow, now: number): QuestionState {
  const id = questionIdOf(instanceId, row.n);
  if (row.state === "open" && row.expires_at !== null && row.expires_at <= now) {
    setExpired(tx, row.n);
    emit(tx, now, "question.expired", { question_id: id });
    return { id, state: "expired", answer: row.default_answer, by: null };
  }
  return {
    id,
    state: row.state,
    answer: row.answer ?? (row.state === "expired" ? row.default_answer : null),
    by: row.answered_by,
  };
}

/** Whether a call was approved. Null: it was never asked. */
export function approvalOf(sql: SqlStorage, callId: number): { given: boolean; note: string } | null {
  const row = questionOfCall(sql, callId, "approval");
  return row?.answer == null ? null : approvalIn(row.answer);
}

interface Answered {
  question_id: string;
  answer: string;
}

/**
 * Takes the answer to question `n`. `not_found`; `forbidden` for a caller who was not asked; `conflict` when it is no longer open;
 * `invalid_input` for none of its options.
 */
export function answer(
  storage: DurableObjectStorage,
  instanceId: string,
  n: number,
  given: GivenAnswer,
  now: number,
): Result<Answered> {
  const id = questionIdOf(instanceId, n);
  return inTransaction(storage, (tx): Result<Answered> => {
    const known = recall<Answered>(tx, given.idempotency);
    if (known) return known;
    const row = question(tx, n);
    if (!row)
      return err("not_found", `There is no question ${id}. get_instance_tree and GET /questions show the open ones.`);
    const refusal = answerRefusal(id, { kind: row.kind, to: row.to_id }, given.by);
    if (refusal) return refusal;
    const state = stateOf(tx, instanceId, row, now);
    const options = JSON.parse(row.options) as string[];
    const counted = countedAnswer(row.kind, options, given.answer);
    if (state.state === "answered" && state.answer !== null && [counted, given.answer].includes(state.answer))
      return ok({ question_id: id, answer: state.answer });
    if (state.state !== "open") {
      return err("conflict", `The question ${id} is ${state.state} and takes no answer any more.`, {
        question_id: id,
        state: state.state,
        ...(state.answer === null ? {} : { answer: state.answer }),
      });
    }
    if (counted === null) {
      const also = row.kind === "approval" ? "; deny may be followed by a reason. Nothing has run" : "";
      return err("invalid_input", `The answer to ${id} has to be exactly one of: ${options.join(" or ")}${also}.`, {
        question_id: id,
        options,
      });
    }
    setAnswer(tx, n, counted, given.by, now);
    emit(tx, now, "question.answered", { question_id: id, by: given.by });
    auditCall(tx, given.audit, now, id);
    resumeCall(tx, instanceId, row.call_id, now);
    return remember(tx, given.idempotency, ok({ question_id: id, answer: counted }), now);
  });
}

/** The turn that asked is over: its questions are no longer open. */
export function closeQuestions(tx: Tx, instanceId: string, now: number): void {
  for (const n of closeOpenQuestions(tx)) {
    emit(tx, now, "question.closed", { question_id: questionIdOf(instanceId, n) });
  }
}

/** The open questions, for the registry. */
export function openQuestions(sql: SqlStorage, instanceId: string): OpenQuestion[] {
  return openQuestionRows(sql).map((row) => ({
    question_id: questionIdOf(instanceId, row.n),
    kind: row.kind,
    to: row.to_id,
    text: row.text,
    options: JSON.parse(row.options) as string[],
    asked_at: row.asked_at,
    expires_at: row.expires_at,
  }));
}
