/**
 * The table `question`: one row per question that a tool call asks, or approval that it needs. Open until it is answered, its time
 * is over, or the turn has ended.
 */
import type { Asked } from "../../contracts/instance-tool.ts";
import { first, type Row } from "../../platform/sqlite.ts";
import type { Tx } from "../../platform/transaction.ts";

export interface QuestionRow extends Row {
  n: number;
  call_id: number;
  kind: "question" | "approval";
  to_id: string | null;
  text: string;
  /** JSON of `string[]`; empty: any answer. */
  options: string;
  default_answer: string | null;
  asked_at: number;
  expires_at: number | null;
  state: "open" | "answered" | "expired" | "closed";
  answer: string | null;
  answered_by: string | null;
}

export function insertQuestion(tx: Tx, callId: number, asked: Asked, now: number): QuestionRow {
  return tx
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
}

export function question(sql: SqlStorage, n: number): QuestionRow | undefined {
  return first<QuestionRow>(sql, "SELECT * FROM question WHERE n = ?", n);
}

/** What a tool call has asked, or what was asked before it runs; each once. */
export function questionOfCall(sql: SqlStorage, callId: number, kind: QuestionRow["kind"]): QuestionRow | undefined {
  return first<QuestionRow>(sql, "SELECT * FROM question WHERE call_id = ? AND kind = ?", callId, kind);
}

export function hasOpenQuestion(sql: SqlStorage): boolean {
  return first(sql, "SELECT 1 AS one FROM question WHERE state = 'open' LIMIT 1") !== undefined;
}

export function openQuestionRows(sql: SqlStorage): QuestionRow[] {
  return sql.exec<QuestionRow>("SELECT * FROM question WHERE state = 'open' ORDER BY n").toArray();
}

/** `by`: `user`, or the instance that answers. */
export function setAnswer(tx: Tx, n: number, answer: string, by: string, now: number): void {
  tx.exec(
    "UPDATE question SET state = 'answered', answer = ?, answered_by = ?, answered_at = ? WHERE n = ?",
    answer,
    by,
    now,
    n,
  );
}

export function setExpired(tx: Tx, n: number): void {
  tx.exec("UPDATE question SET state = 'expired' WHERE n = ?", n);
}

/** Closes every open question. Returns which they were. */
export function closeOpenQuestions(tx: Tx): number[] {
  const open = tx
    .exec<{ n: number }>("UPDATE question SET state = 'closed' WHERE state = 'open' RETURNING n")
    .toArray();
  return open.map(({ n }) => n);
}
