/**
 * The table `model_call`: every model call that was made, from the moment before it to what came of it. Each one costs, also when
 * its answer is lost, so each one is on record.
 */
import type { Reply } from "../../anthropic/reply.ts";
import type { CallCounts } from "../../contracts/instance-spec.ts";
import type { TokenUsage } from "../../contracts/model-call.ts";
import type { Failure } from "../../platform/errors.ts";
import { first } from "../../platform/sqlite.ts";
import type { Tx } from "../../platform/transaction.ts";

export type ModelCallOutcome = "completed" | "failed" | "aborted" | "lost";

/** A model call is about to be made. Returns its number. */
export function insertModelCall(
  tx: Tx,
  call: { n: number; step: number; model: string; maxTokens: number },
  now: number,
): number {
  return tx
    .exec<{ id: number }>(
      "INSERT INTO model_call (n, step, model, started_at, max_tokens, outcome) VALUES (?, ?, ?, ?, ?, 'live') RETURNING id",
      call.n,
      call.step,
      call.model,
      now,
      call.maxTokens,
    )
    .one().id;
}

/** The number that the next model call will have: what it costs is reserved under it. */
export function nextModelCall(sql: SqlStorage): number {
  return (first<{ id: number | null }>(sql, "SELECT MAX(id) AS id FROM model_call")?.id ?? 0) + 1;
}

/** Keeps what `message_start` said, so that a call that dies later is counted all the same. One that has ended is left alone. */
export function keepStart(sql: SqlStorage, id: number, reply: Reply, requestId: string | null): void {
  sql.exec(
    `UPDATE model_call SET api_message_id = ?, request_id = ?, input = ?, output = ?, cache_read = ?, cache_write_5m = ?,
       cache_write_1h = ? WHERE id = ? AND outcome = 'live'`,
    reply.apiMessageId,
    requestId,
    reply.usage.input,
    reply.usage.output,
    reply.usage.cacheRead,
    reply.usage.cacheWrite5m,
    reply.usage.cacheWrite1h,
    id,
  );
}

export interface ModelCallRow {
  model: string;
  startedAt: number;
  requestId: string | null;
  /** As far as the API has reported it. */
  usage: TokenUsage;
}

export function modelCall(sql: SqlStorage, id: number): ModelCallRow {
  const row = sql
    .exec<{
      model: string;
      started_at: number;
      input: number;
      output: number;
      cache_read: number;
      cache_write_5m: number;
      cache_write_1h: number;
      request_id: string | null;
    }>(
      "SELECT model, started_at, input, output, cache_read, cache_write_5m, cache_write_1h, request_id FROM model_call WHERE id = ?",
      id,
    )
    .one();
  return {
    model: row.model,
    startedAt: row.started_at,
    requestId: row.request_id,
    usage: {
      input: row.input,
      output: row.output,
      cacheRead: row.cache_read,
      cacheWrite5m: row.cache_write_5m,
      cacheWrite1h: row.cache_write_1h,
      webSearches: 0,
    },
  };
}

/** The call has ended. `costNano`: nano-USD. */
export function setOutcome(
  tx: Tx,
  id: number,
  ended: {
    outcome: ModelCallOutcome;
    stopReason: string | null;
    usage: TokenUsage;
    costNano: number;
    error: Failure | null;
    /** The transcript row of the answer: what was reported for it is a known part of the next prompt. */
    answerSeq: number | null;
  },
  now: number,
): void {
  tx.exec(
    `UPDATE model_call SET finished_at = ?, outcome = ?, stop_reason = ?, input = ?, output = ?, cache_read = ?,
       cache_write_5m = ?, cache_write_1h = ?, cost_nano = ?, error = ?, answer_seq = ? WHERE id = ?`,
    now,
    ended.outcome,
    ended.stopReason,
    ended.usage.input,
    ended.usage.output,
    ended.usage.cacheRead,
    ended.usage.cacheWrite5m,
    ended.usage.cacheWrite1h,
    ended.costNano,
    ended.error ? JSON.stringify(ended.error) : null,
    ended.answerSeq,
    id,
  );
}

/** The turn's calls that have not ended: their runner died, or they are under way. */
export function liveModelCalls(sql: SqlStorage, n: number): number[] {
  const rows = sql.exec<{ id: number }>("SELECT id FROM model_call WHERE n = ? AND outcome = 'live'", n).toArray();
  return rows.map(({ id }) => id);
}

/** Of the newest `last` calls that came to an end of their own. */
export function lastCalls(sql: SqlStorage, last: number): CallCounts {
  const row = sql
    .exec<{ calls: number; failed: number | null }>(
      `SELECT COUNT(*) AS calls, SUM(outcome = 'failed') AS failed FROM
         (SELECT outcome FROM model_call WHERE outcome IN ('completed', 'failed') ORDER BY id DESC LIMIT ?)`,
      last,
    )
    .one();
  return { calls: row.calls, failed: row.failed ?? 0 };
}

/** The newest answer in the transcript: its row, and the tokens of its call's prompt and answer together. */
export function newestAnswer(sql: SqlStorage): { answer_seq: number; tokens: number } | undefined {
  return first<{ answer_seq: number; tokens: number }>(
    sql,
    `SELECT answer_seq, input + cache_read + cache_write_5m + cache_write_1h + output AS tokens FROM model_call
     WHERE outcome = 'completed' AND answer_seq IS NOT NULL ORDER BY id DESC LIMIT 1`,
  );
}

/** The newest call that succeeded: the tokens of its prompt and answer, and the row of the answer; null: it made a summary. */
export function newestCompleted(sql: SqlStorage): { answer_seq: number | null; tokens: number } | undefined {
  return first<{ answer_seq: number | null; tokens: number }>(
    sql,
    `SELECT answer_seq, input + cache_read + cache_write_5m + cache_write_1h + output AS tokens FROM model_call
     WHERE outcome = 'completed' ORDER BY id DESC LIMIT 1`,
  );
}

/** How the turn's newest answer ended, and its row in the transcript; null: it was empty. */
export function newestAnswerOf(sql: SqlStorage, n: number): { seq: number | null; stopReason: string | null } {
  const row = first<{ seq: number | null; stop_reason: string | null }>(
    sql,
    "SELECT answer_seq AS seq, stop_reason FROM model_call WHERE n = ? AND outcome = 'completed' ORDER BY id DESC LIMIT 1",
    n,
  );
  return { seq: row?.seq ?? null, stopReason: row?.stop_reason ?? null };
}

/** The transcript row of the newest answer that the API gave, or null. */
export function newestAnswerRow(sql: SqlStorage): number | null {
  const newest = "SELECT answer_seq AS seq FROM model_call WHERE answer_seq IS NOT NULL ORDER BY id DESC LIMIT 1";
  return first<{ seq: number }>(sql, newest)?.seq ?? null;
}

/** Which step of its turn a call made; 0 for none. */
export function stepOf(sql: SqlStorage, id: number): number {
  return first<{ step: number }>(sql, "SELECT step FROM model_call WHERE id = ?", id)?.step ?? 0;
}
