/**
 * Attempts: every model call that was made, from the moment before it to what came of it. Each one costs, also when its
 * answer is lost, so each one is on record.
 */
import { costOf, priceOf } from "../../anthropic/prices.ts";
import type { Reply } from "../../anthropic/reply.ts";
import { settlementData } from "../../contracts/call-settled.ts";
import type { InstanceEvent } from "../../contracts/instance-spec.ts";
import type { TokenUsage } from "../../contracts/model-call.ts";
import type { Failure } from "../../platform/errors.ts";
import { messageIdOf } from "../../platform/ids.ts";
import { first } from "../../platform/sqlite.ts";
import type { Tx } from "../../platform/transaction.ts";
import { emit } from "./instance-row.ts";
import { show } from "./output.ts";
import { textOf } from "./transcript.ts";
import { fenced, type TurnRow, type TurnStore } from "./turn-store.ts";
import { ring } from "./watchers.ts";

/** Writes down that a model call is about to be made. Returns the attempt's id. */
export function beginCall(store: TurnStore, turn: TurnRow, maxTokens: number, now: number): number {
  return fenced(store, (tx) => {
    tx.exec("UPDATE turn SET phase = 'calling', not_before = NULL, waiting_reason = NULL WHERE n = ?", turn.n);
    tx.exec("UPDATE message SET state = 'running' WHERE (n = ? OR joined_n = ?) AND state = 'waiting'", turn.n, turn.n);
    tx.exec("UPDATE self SET request_count = request_count + 1, last_activity = ?", now);
    return tx
      .exec<{ id: number }>(
        "INSERT INTO attempt (n, step, model, started_at, max_tokens, outcome) VALUES (?, ?, ?, ?, ?, 'live') RETURNING id",
        turn.n,
        turn.step + 1,
        store.spec.model,
        now,
        maxTokens,
      )
      .one().id;
  });
}

/** The number that the next attempt will have: what it costs is reserved under it. */
export function nextAttempt(sql: SqlStorage): number {
  return (first<{ id: number | null }>(sql, "SELECT MAX(id) AS id FROM attempt")?.id ?? 0) + 1;
}

/** What the turn used since its last row that showed it; the row that asks carries it. */
export function takeUnshown(tx: Tx, n: number): { tokens: number; costNano: number } {
  const row = tx
    .exec<{ t: number; c: number }>("SELECT unshown_tokens AS t, unshown_nano AS c FROM turn WHERE n = ?", n)
    .one();
  tx.exec("UPDATE turn SET unshown_tokens = 0, unshown_nano = 0 WHERE n = ?", n);
  return { tokens: row.t, costNano: row.c };
}

/** Keeps what `message_start` said, so that a call that dies later is counted all the same. */
export function noteStart(store: TurnStore, attempt: number, reply: Reply, requestId: string | null): void {
  store.storage.sql.exec(
    `UPDATE attempt SET api_message_id = ?, request_id = ?, input = ?, output = ?, cache_read = ?, cache_write_5m = ?,
       cache_write_1h = ? WHERE id = ? AND outcome = 'live'`,
    reply.apiMessageId,
    requestId,
    reply.usage.input,
    reply.usage.output,
    reply.usage.cacheRead,
    reply.usage.cacheWrite5m,
    reply.usage.cacheWrite1h,
    attempt,
  );
}

/** What an attempt used, and the event that tells of it. */
export interface Closed {
  fresh: number;
  costNano: number;
  event: { kind: string; data: InstanceEvent["data"] };
}

/**
 * Ends an attempt and adds what it used to the turn and the instance. `reply` null: what `noteStart` kept. The caller
 * announces it once the output rows that belong to it are written.
 */
export function closeAttempt(
  tx: Tx,
  store: TurnStore,
  id: number,
  n: number,
  outcome: "completed" | "failed" | "aborted" | "lost",
  reply: Reply | null,
  now: number,
  error: Failure | null = null,
): Closed {
  const row = tx
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
      "SELECT model, started_at, input, output, cache_read, cache_write_5m, cache_write_1h, request_id FROM attempt WHERE id = ?",
      id,
    )
    .one();
  const usage: TokenUsage = reply?.usage ?? {
    input: row.input,
    output: row.output,
    cacheRead: row.cache_read,
    cacheWrite5m: row.cache_write_5m,
    cacheWrite1h: row.cache_write_1h,
    webSearches: 0,
  };
  const prompt = usage.input + usage.cacheRead + usage.cacheWrite5m + usage.cacheWrite1h;
  const price = priceOf(row.model, row.started_at, prompt);
  // What broke off is counted by the ledger, at its reservation: it has no price of its own.
  const costNano = price && outcome === "completed" ? costOf(price, usage) : 0;
  const written = usage.cacheWrite5m + usage.cacheWrite1h;
  const fresh = usage.input + written + usage.output;
  tx.exec(
    `UPDATE attempt SET finished_at = ?, outcome = ?, stop_reason = ?, input = ?, output = ?, cache_read = ?,
       cache_write_5m = ?, cache_write_1h = ?, cost_nano = ?, error = ? WHERE id = ?`,
    now,
    outcome,
    reply?.stopReason ?? null,
    usage.input,
    usage.output,
    usage.cacheRead,
    usage.cacheWrite5m,
    usage.cacheWrite1h,
    costNano,
    error ? JSON.stringify(error) : null,
    id,
  );
  tx.exec(
    "UPDATE turn SET tokens_fresh = tokens_fresh + ?, cost_nano = cost_nano + ?, unshown_tokens = unshown_tokens + ?, unshown_nano = unshown_nano + ? WHERE n = ?",
    fresh,
    costNano,
    fresh,
    costNano,
    n,
  );
  tx.exec(
    `UPDATE self SET tokens_input = tokens_input + ?, tokens_output = tokens_output + ?, tokens_cache_read = tokens_cache_read + ?,
       tokens_cache_write = tokens_cache_write + ?, cost_nano = cost_nano + ?, last_activity = ?`,
    usage.input,
    usage.output,
    usage.cacheRead,
    written,
    costNano,
    now,
  );
  const data = {
    message_id: messageIdOf(store.spec.instance_id, n),
    ...settlementData(
      id,
      outcome === "completed" ? "settled" : wasRefused(error, reply) ? "release" : "unsettled",
      usage,
      row.request_id,
    ),
    model: row.model,
    duration_ms: now - row.started_at,
    stop_reason: reply?.stopReason ?? null,
    cost_nano: costNano,
    error: error?.code ?? null,
  };
  return { fresh, costNano, event: { kind: `model_call.${outcome}`, data } };
}

/**
 * An HTTP error before any answer, or nobody there to ask: the API bills nothing for that. Whatever else broke off may have
 * been billed.
 */
function wasRefused(error: Failure | null, reply: Reply | null): boolean {
  return reply === null && (typeof error?.details?.status === "number" || error?.details?.unreached === true);
}

/** `answer`: the transcript row that the attempt's text went into. */
export function announce(tx: Tx, { event }: Closed, now: number, answer: number | null = null): void {
  emit(tx, now, event.kind, answer === null ? event.data : { ...event.data, answer });
}

/** The turn may not call the model yet: it goes on at `at`. Nothing was tried, so nothing failed. */
export function park(store: TurnStore, turn: TurnRow, wait: { at: number; reason: string }, now: number): void {
  fenced(store, (tx) => {
    tx.exec("UPDATE turn SET not_before = ?, waiting_reason = ? WHERE n = ?", wait.at, wait.reason, turn.n);
    tellWaiting(tx, store, turn, wait, now);
  });
}

function tellWaiting(tx: Tx, store: TurnStore, turn: TurnRow, wait: { at: number; reason: string }, now: number): void {
  tx.exec("UPDATE message SET state = 'waiting' WHERE (n = ? OR joined_n = ?) AND state = 'running'", turn.n, turn.n);
  emit(tx, now, "message.waiting", {
    message_id: messageIdOf(store.spec.instance_id, turn.n),
    reason: wait.reason,
    until: new Date(wait.at).toISOString(),
  });
}

/** A cap does not leave enough for the next call: the turn stays as it is until the cap is raised. */
export function pause(store: TurnStore, turn: TurnRow, error: Failure, now: number): void {
  fenced(store, (tx) => {
    tx.exec(
      "UPDATE turn SET paused = ?, paused_at = ?, not_before = NULL, waiting_reason = ? WHERE n = ?",
      JSON.stringify(error),
      now,
      error.code,
      turn.n,
    );
    tx.exec("UPDATE message SET state = 'waiting' WHERE (n = ? OR joined_n = ?) AND state = 'running'", turn.n, turn.n);
    emit(tx, now, "message.waiting", {
      message_id: messageIdOf(store.spec.instance_id, turn.n),
      reason: error.code,
      until: null,
    });
    for (const { n } of tx
      .exec<{ n: number }>("SELECT n FROM message WHERE n = ? OR joined_n = ?", turn.n, turn.n)
      .toArray())
      ring(tx, n, now);
  });
}

/** What paused the open turn, or made it wait for money, may be gone: it asks again. Returns whether it waited for that. */
export function resume(storage: DurableObjectStorage, now: number): boolean {
  const rows = storage.sql.exec(
    `UPDATE turn SET held_ms = held_ms + COALESCE(? - paused_at, 0), paused = NULL, paused_at = NULL, not_before = NULL,
       waiting_reason = NULL
     WHERE n = (SELECT open_n FROM self) AND (paused IS NOT NULL OR waiting_reason = 'budget') RETURNING n`,
    now,
  );
  return rows.toArray().length > 0;
}

/** A model call came to nothing and is tried again at `at`. */
export function postpone(
  store: TurnStore,
  attempt: number | null,
  turn: TurnRow,
  wait: { at: number; reason: string; error: Failure; reply: Reply | null },
  now: number,
): void {
  fenced(store, (tx) => {
    if (attempt !== null) {
      announce(tx, closeAttempt(tx, store, attempt, turn.n, "failed", wait.reply, now, wait.error), now);
    }
    tx.exec(
      "UPDATE turn SET phase = ?, failures = failures + 1, not_before = ?, waiting_reason = ? WHERE n = ?",
      turn.phase === "full" ? "full" : "ready",
      wait.at,
      wait.reason,
      turn.n,
    );
    tellWaiting(tx, store, turn, wait, now);
  });
}

/** What was streamed of an answer that will not be asked for again is what the model said: it is part of the conversation. */
export function keepCutText(tx: Tx, store: TurnStore, n: number, reply: Reply | null, now: number): void {
  const blocks = reply?.blocks.filter((block) => block !== undefined) ?? [];
  const text = textOf(blocks).trimEnd().toWellFormed();
  if (text === "") return;
  const seq = store.transcript.append(tx, n, "assistant", [{ type: "text", text }], now);
  show(tx, { n, type: "progress", seq, cut: true }, now);
}

/** A model call was broken off from outside; why stands in the rows, and the runner looks there next. */
export function breakOff(store: TurnStore, attempt: number, turn: TurnRow, reply: Reply | null, now: number): void {
  fenced(store, (tx) => {
    const used = closeAttempt(tx, store, attempt, turn.n, "aborted", reply, now);
    keepCutText(tx, store, turn.n, reply, now);
    announce(tx, used, now);
    tx.exec("UPDATE turn SET phase = 'ready' WHERE n = ?", turn.n);
  });
}
