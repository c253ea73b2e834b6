/**
 * The table `question`: the open questions of a tenant's instances, as they report them.
 */
import type { OpenQuestion } from "../../contracts/instance-spec.ts";
import type { QuestionQuery } from "../../contracts/orchestrator.ts";
import type { QuestionRecord } from "../../contracts/records.ts";
import type { Row } from "../../platform/sqlite.ts";
import type { Tx } from "../../platform/transaction.ts";
import { setOpenQuestions } from "../store/instance-rows.ts";

/** Replaces an instance's open questions. `before`: how many it had. */
export function keepQuestions(tx: Tx, instanceId: string, before: number, questions: readonly OpenQuestion[]): void {
  if (before === 0 && questions.length === 0) return;
  forgetQuestions(tx, instanceId);
  for (const question of questions) {
    tx.exec(
      "INSERT INTO question (question_id, instance_id, to_id, kind, text, options, asked_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
      question.question_id,
      instanceId,
      question.to,
      question.kind,
      question.text,
      JSON.stringify(question.options),
      question.asked_at,
      question.expires_at,
    );
  }
  setOpenQuestions(tx, instanceId, questions.length);
}

/** The instance has no open questions any more. */
export function forgetQuestions(tx: Tx, instanceId: string): void {
  tx.exec("DELETE FROM question WHERE instance_id = ?", instanceId);
}

interface QuestionRow extends Row {
  question_id: string;
  instance_id: string;
  name: string;
  to_id: string | null;
  kind: string;
  text: string;
  options: string;
  asked_at: number;
  expires_at: number | null;
}

/** Open questions, oldest first. */
export function questionsOf(sql: SqlStorage, query: QuestionQuery): QuestionRecord[] {
  const where: string[] = ["1"];
  const values: SqlStorageValue[] = [];
  if (query.instance_id !== undefined) {
    where.push("question.instance_id = ?");
    values.push(query.instance_id);
  }
  if (query.to === "human") where.push("to_id IS NULL");
  else if (query.to !== undefined) {
    where.push("to_id = ?");
    values.push(query.to);
  }
  return sql
    .exec<QuestionRow>(
      `SELECT question.*, name FROM question JOIN instance USING (instance_id) WHERE ${where.join(" AND ")}
       ORDER BY asked_at, question_id LIMIT ?`,
      ...values,
      query.limit,
    )
    .toArray()
    .map((row) => ({
      question_id: row.question_id,
      instance_id: row.instance_id,
      name: row.name,
      kind: row.kind,
      to: row.to_id ?? "human",
      question: row.text,
      options: JSON.parse(row.options) as string[],
      asked_at: new Date(row.asked_at).toISOString(),
      expires_at: row.expires_at === null ? null : new Date(row.expires_at).toISOString(),
    }));
}
