/**
 * Questions that an instance asks, and leave that it needs for a tool. Each belongs to a parked tool call, which runs again
 * when it is answered. Open until then, or until its time is over, or the turn has ended.
 */

import type { GivenAnswer } from "../../contracts/instance.ts";
import type { OpenQuestion } from "../../contracts/instance-spec.ts";
import type { Asked, QuestionState } from "../../contracts/instance-tool.ts";
import { err, ok, type Result } from "../../platform/errors.ts";
import { recall, remember } from "../../platform/idempotency.ts";
import { questionIdOf } from "../../platform/ids.ts";
import { first, type Row } from "../../platform/sqlite.ts";
import { inTransaction, type Tx } from "../../platform/transaction.ts";
import { answerRefusal, approvalIn, countedAnswer } from "../question-policy.ts";
import { recordCall } from "./audit-record.ts";
import { emit } from "./instance-row.ts";
import { unpark } from "./suspended-calls.ts";

interface QuestionRow extends Row {
  n: number;
  call_id: number;
  kind: "question" | "approval";
  to_id: string | null;
  text: string;
  options: string;
  default_answer: string | null;
  asked_at: number;
  expires_at: number | null;
  state: "open" | "answered" | "expired" | "closed";
  answer: string | null;
  answered_by: string | null;
}

/** Asks, once per call; later calls get how it stands. */
export function ask(tx: Tx, instanceId: string, callId: number, asked: Asked, now: number): QuestionState {
  const known = first<QuestionRow>(tx, "SELECT * FROM question WHERE call_id = ? AND kind = ?", callId, asked.kind);
  if (known) return stateOf(tx, instanceId, known, now);
  const row = tx
    .exec<QuestionRow>(
      `INSERT INTO question (call_id, kind, to_id, text, options, default_answer, asked_at, expires_at, state)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'open') RETURNING *`,
      callId,
      asked.kind,
      asked.to,
      asked.text,
      JSON.stringify(asked.options),
      asked.defaultAnswer,
      now,
      asked.expiresAt,
    )
    .one();
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
    tx.exec("UPDATE question SET state = 'expired' WHERE n = ?", row.n);
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

/** Whether leave for a call was asked for and given. Null: it was never asked for. */
export function approvalOf(sql: SqlStorage, callId: number): { given: boolean; note: string } | null {
  const row = first<QuestionRow>(sql, "SELECT * FROM question WHERE call_id = ? AND kind = 'approval'", callId);
  if (!row || row.answer === null) return null;
  return approvalIn(row.answer);
}

interface Answered {
  question_id: string;
  answer: string;
}

/**
 * Takes the answer to question `n`. `not_found`; `forbidden` for somebody who was not asked; `conflict` when it is no longer open;
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
    const row = first<QuestionRow>(tx, "SELECT * FROM question WHERE n = ?", n);
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
    tx.exec(
      "UPDATE question SET state = 'answered', answer = ?, answered_by = ?, answered_at = ? WHERE n = ?",
      counted,
      given.by,
      now,
      n,
    );
    emit(tx, now, "question.answered", { question_id: id, by: given.by });
    recordCall(tx, given.audit, now, id);
    unpark(tx, instanceId, row.call_id, now);
    return remember(tx, given.idempotency, ok({ question_id: id, answer: counted }), now);
  });
}

/** The turn that asked is over: nobody waits for an answer any more. */
export function closeQuestions(tx: Tx, instanceId: string, now: number): void {
  const open = tx
    .exec<{ n: number }>("UPDATE question SET state = 'closed' WHERE state = 'open' RETURNING n")
    .toArray();
  for (const { n } of open) emit(tx, now, "question.closed", { question_id: questionIdOf(instanceId, n) });
}

/** The open questions, for the registry. */
export function openQuestions(sql: SqlStorage, instanceId: string): OpenQuestion[] {
  return sql
    .exec<QuestionRow>("SELECT * FROM question WHERE state = 'open' ORDER BY n")
    .toArray()
    .map((row) => ({
      question_id: questionIdOf(instanceId, row.n),
      kind: row.kind,
      to: row.to_id,
      text: row.text,
      options: JSON.parse(row.options) as string[],
      asked_at: row.asked_at,
      expires_at: row.expires_at,
    }));
}
