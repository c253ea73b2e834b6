/**
 * The writes of a turn: each function is one step of it, in one transaction, and leaves rows from which `nextAction`
 * goes on. A write by a drive that was superseded (its generation is no longer the row's) changes nothing.
 */
import { costOf, priceOf } from "../claude/prices.ts";
import type { Reply, Usage } from "../claude/reply.ts";
import type { Failure } from "../errors.ts";
import { messageIdOf } from "../ids.ts";
import { first, type Row } from "../sqlite.ts";
import type { MessageState, OutputType } from "./api.ts";
import { nextQueued } from "./inbox.ts";
import { show } from "./output.ts";
import { emit, selfOf } from "./self.ts";
import type { InstanceSpec } from "./spec.ts";
import { type Block, type Transcript, textOf } from "./transcript.ts";
import type { TurnPhase, TurnRows, TurnView } from "./turn.ts";

/** Model calls in one turn, at most: far above what honest work takes, and an end to a loop. */
export const MAX_STEPS = 200;
/** `pause_turn` answers in one turn that are resumed. */
export const MAX_RESUMES = 10;

export interface TurnStore {
  storage: DurableObjectStorage;
  transcript: Transcript;
  spec: InstanceSpec;
  generation: string;
}

export interface TurnRow extends Row {
  n: number;
  phase: TurnPhase;
  generation: string;
  step: number;
  resumes: number;
  failures: number;
  compactions: number;
  repairs: number;
  not_before: number | null;
  waiting_reason: string | null;
  cancel_reason: string | null;
  last_step_at: number;
}

const TURN_COLUMNS =
  "n, phase, generation, step, resumes, failures, compactions, repairs, not_before, waiting_reason, cancel_reason, last_step_at";

export function openTurn(sql: SqlStorage): TurnRow | undefined {
  return first<TurnRow>(sql, `SELECT ${TURN_COLUMNS} FROM turn WHERE n = (SELECT open_n FROM self)`);
}

/** The rows that `nextAction` decides on. */
export function turnRows(sql: SqlStorage, generation: string, now: number): TurnRows {
  const self = selfOf(sql);
  const row = openTurn(sql);
  const turn: TurnView | null = row
    ? {
        n: row.n,
        phase: row.phase,
        generation: row.generation,
        step: row.step,
        failures: row.failures,
        notBefore: row.not_before,
        waitingReason: row.waiting_reason,
        cancelReason: row.cancel_reason,
      }
    : null;
  return {
    generation,
    ended: self?.ended ?? 2,
    turn,
    nextQueued: turn ? null : nextQueued(sql),
    calls: row?.phase === "tools" ? callsOf(sql, row) : [],
    maxSteps: MAX_STEPS,
    now,
  };
}

export interface CallRow extends Row {
  id: number;
  tool_use_id: string;
  name: string;
  input: string;
  state: "pending" | "running" | "done" | "unknown";
  result: string | null;
  is_error: number;
}

export function callsOf(sql: SqlStorage, turn: { n: number; step: number }): CallRow[] {
  return sql
    .exec<CallRow>(
      "SELECT id, tool_use_id, name, input, state, result, is_error FROM tool_call WHERE n = ? AND step = ? ORDER BY id",
      turn.n,
      turn.step,
    )
    .toArray();
}

/** Starts the turn on message `n`: its text goes into the transcript. */
export function start(store: TurnStore, n: number, now: number): void {
  const { sql } = store.storage;
  transaction(store, () => {
    const message = first<{ content: string }>(sql, "SELECT content FROM message WHERE n = ? AND state = 'queued'", n);
    if (!message) return;
    const seq = store.transcript.append(n, "user", [{ type: "text", text: message.content }], now);
    sql.exec("UPDATE message SET state = 'running', content = NULL, started_at = ? WHERE n = ?", now, n);
    sql.exec(
      "INSERT INTO turn (n, phase, generation, last_step_at) VALUES (?, 'ready', ?, ?)",
      n,
      store.generation,
      now,
    );
    sql.exec("UPDATE self SET open_n = ?, queued = queued - 1, last_activity = ?", n, now);
    show(sql, { n, type: "user", seq }, now);
    emit(sql, now, "message.started", { message_id: messageIdOf(store.spec.instance_id, n) });
  });
}

/**
 * Takes over a turn whose drive died. Its model call is lost (its tokens stay counted as far as they were reported), a
 * tool that was running is open again where it may be repeated, and otherwise of unknown outcome.
 */
export function recover(store: TurnStore, repeatable: (tool: string) => boolean, now: number): void {
  const { sql } = store.storage;
  transaction(store, () => {
    const turn = openTurn(sql);
    if (!turn) return;
    for (const { id } of sql
      .exec<{ id: number }>("SELECT id FROM attempt WHERE n = ? AND outcome = 'live'", turn.n)
      .toArray()) {
      closeAttempt(store, id, turn.n, "lost", null, now);
    }
    for (const call of turn.phase === "tools" ? callsOf(sql, turn) : []) {
      if (call.state !== "running") continue;
      sql.exec("UPDATE tool_call SET state = ? WHERE id = ?", repeatable(call.name) ? "pending" : "unknown", call.id);
    }
    sql.exec(
      "UPDATE turn SET generation = ?, phase = CASE phase WHEN 'calling' THEN 'ready' ELSE phase END, failures = failures + ? WHERE n = ?",
      store.generation,
      turn.phase === "calling" ? 1 : 0,
      turn.n,
    );
    emit(sql, now, "turn.recovered", { message_id: messageIdOf(store.spec.instance_id, turn.n), phase: turn.phase });
  });
}

/** Writes down that a model call is about to be made. Returns the attempt's id. */
export function beginCall(store: TurnStore, turn: TurnRow, now: number): number {
  const { sql } = store.storage;
  return fenced(store, () => {
    sql.exec("UPDATE turn SET phase = 'calling', not_before = NULL, waiting_reason = NULL WHERE n = ?", turn.n);
    sql.exec("UPDATE message SET state = 'running' WHERE n = ? AND state = 'waiting'", turn.n);
    sql.exec("UPDATE self SET request_count = request_count + 1, last_activity = ?", now);
    return sql
      .exec<{ id: number }>(
        "INSERT INTO attempt (n, step, model, started_at, outcome) VALUES (?, ?, ?, ?, 'live') RETURNING id",
        turn.n,
        turn.step + 1,
        store.spec.model,
        now,
      )
      .one().id;
  });
}

/** Keeps what `message_start` said, so that a call that dies later is counted all the same. */
export function noteStart(store: TurnStore, attempt: number, reply: Reply, requestId: string | null): void {
  store.storage.sql.exec(
    `UPDATE attempt SET api_message_id = ?, request_id = ?, input = ?, output = ?, cache_read = ?, cache_write_5m = ?,
       cache_write_1h = ? WHERE id = ?`,
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

/** Ends an attempt and adds what it used to the turn and the instance. `reply` null: what `noteStart` kept. */
export function closeAttempt(
  store: TurnStore,
  id: number,
  n: number,
  outcome: "completed" | "failed" | "aborted" | "lost",
  reply: Reply | null,
  now: number,
  error: Failure | null = null,
): { fresh: number; costNano: number } {
  const { sql } = store.storage;
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
      "SELECT model, started_at, input, output, cache_read, cache_write_5m, cache_write_1h, request_id FROM attempt WHERE id = ?",
      id,
    )
    .one();
  const usage: Usage = reply?.usage ?? {
    input: row.input,
    output: row.output,
    cacheRead: row.cache_read,
    cacheWrite5m: row.cache_write_5m,
    cacheWrite1h: row.cache_write_1h,
    webSearches: 0,
  };
  const prompt = usage.input + usage.cacheRead + usage.cacheWrite5m + usage.cacheWrite1h;
  const price = priceOf(row.model, row.started_at, prompt);
  const costNano = price ? costOf(price, usage) : 0;
  const written = usage.cacheWrite5m + usage.cacheWrite1h;
  const fresh = usage.input + written + usage.output;
  sql.exec(
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
  sql.exec(
    "UPDATE turn SET tokens_fresh = tokens_fresh + ?, cost_nano = cost_nano + ? WHERE n = ?",
    fresh,
    costNano,
    n,
  );
  sql.exec(
    `UPDATE self SET tokens_input = tokens_input + ?, tokens_output = tokens_output + ?, tokens_cache_read = tokens_cache_read + ?,
       tokens_cache_write = tokens_cache_write + ?, cost_nano = cost_nano + ?, last_activity = ?`,
    usage.input,
    usage.output,
    usage.cacheRead,
    written,
    costNano,
    now,
  );
  emit(sql, now, `model_call.${outcome}`, {
    message_id: messageIdOf(store.spec.instance_id, n),
    model: row.model,
    request_id: row.request_id,
    duration_ms: now - row.started_at,
    stop_reason: reply?.stopReason ?? null,
    input: usage.input,
    output: usage.output,
    cache_read: usage.cacheRead,
    cache_write: written,
    cost_nano: costNano,
    error: error?.code ?? null,
  });
  return { fresh, costNano };
}

/** A model call came to nothing and is tried again at `at`. */
export function postpone(
  store: TurnStore,
  attempt: number | null,
  turn: TurnRow,
  wait: { at: number; reason: string; error: Failure; reply: Reply | null },
  now: number,
): void {
  const { sql } = store.storage;
  fenced(store, () => {
    if (attempt !== null) closeAttempt(store, attempt, turn.n, "failed", wait.reply, now, wait.error);
    sql.exec(
      "UPDATE turn SET phase = 'ready', failures = failures + 1, not_before = ?, waiting_reason = ? WHERE n = ?",
      wait.at,
      wait.reason,
      turn.n,
    );
    sql.exec("UPDATE message SET state = 'waiting' WHERE n = ?", turn.n);
    emit(sql, now, "message.waiting", {
      message_id: messageIdOf(store.spec.instance_id, turn.n),
      reason: wait.reason,
      until: new Date(wait.at).toISOString(),
    });
  });
}

/** A model call was broken off from outside; why stands in the rows, and the drive looks there next. */
export function breakOff(store: TurnStore, attempt: number, turn: TurnRow, reply: Reply | null, now: number): void {
  fenced(store, () => {
    closeAttempt(store, attempt, turn.n, "aborted", reply, now);
    store.storage.sql.exec("UPDATE turn SET phase = 'ready' WHERE n = ?", turn.n);
  });
}

/** A model call failed for good, and the message with it. */
export function giveUp(
  store: TurnStore,
  attempt: number,
  turn: TurnRow,
  reply: Reply | null,
  error: Failure,
  now: number,
): void {
  fenced(store, () => {
    closeAttempt(store, attempt, turn.n, "failed", reply, now, error);
    finish(store, turn.n, "failed", error, now);
  });
}

/** A whole answer is in: the assistant's message, its usage and its tool intents, or the end of the turn, at once. */
export function commitAnswer(
  store: TurnStore,
  attempt: number,
  turn: TurnRow,
  reply: Reply,
  answer: { simulated: boolean; structured: StructuredCheck | null },
  now: number,
): void {
  const { sql } = store.storage;
  fenced(store, () => {
    const used = closeAttempt(store, attempt, turn.n, "completed", reply, now);
    sql.exec("UPDATE turn SET simulated = ? WHERE n = ?", answer.simulated ? 1 : 0, turn.n);
    sql.exec("UPDATE self SET simulated = ?", answer.simulated ? 1 : 0);
    const step = turn.step + 1;
    sql.exec(
      "UPDATE turn SET step = ?, failures = 0, not_before = NULL, waiting_reason = NULL, last_step_at = ? WHERE n = ?",
      step,
      now,
      turn.n,
    );
    if (reply.stopReason === "refusal") {
      finish(store, turn.n, "refused", refusalOf(reply), now);
      return;
    }
    const blocks = sendable(reply.blocks);
    const seq = blocks.length > 0 ? store.transcript.append(turn.n, "assistant", blocks, now) : null;
    const uses = blocks.filter((block) => block.type === "tool_use");
    const paused = reply.stopReason === "pause_turn" && turn.resumes < MAX_RESUMES;
    const answered = uses.length === 0 && !paused;
    const text = textOf(blocks);

    if (answered && text === "" && reply.stopReason === "max_tokens") {
      finish(store, turn.n, "failed", outOfTokens(store.spec.max_tokens), now);
      return;
    }
    if (answered && answer.structured && !answer.structured.ok && turn.repairs === 0) {
      showProgress(store, turn.n, seq, blocks, used, now);
      const request = `Your answer does not follow the required schema: ${answer.structured.problem}. Answer again with nothing but valid JSON.`;
      store.transcript.append(turn.n, "user", [{ type: "text", text: request }], now);
      show(sql, { n: turn.n, type: "notice", text: request }, now);
      sql.exec("UPDATE turn SET phase = 'ready', repairs = repairs + 1 WHERE n = ?", turn.n);
      return;
    }
    if (answered && answer.structured && !answer.structured.ok) {
      showProgress(store, turn.n, seq, blocks, used, now);
      finish(store, turn.n, "failed", schemaMismatch(answer.structured.problem, text), now);
      return;
    }
    if (answered) {
      if (answer.structured?.ok) {
        sql.exec("UPDATE turn SET structured = ? WHERE n = ?", JSON.stringify(answer.structured.value), turn.n);
      }
      const index = show(
        sql,
        {
          n: turn.n,
          type: "response",
          ...(seq === null ? { text: "" } : { seq }),
          tokens: used.fresh,
          costNano: used.costNano,
        },
        now,
      );
      const cut = reply.stopReason === "max_tokens" || reply.stopReason === "model_context_window_exceeded";
      sql.exec("UPDATE turn SET response_index = ?, truncated = ? WHERE n = ?", index, cut ? 1 : 0, turn.n);
      finish(store, turn.n, "completed", null, now);
      return;
    }

    showProgress(store, turn.n, seq, blocks, used, now);
    if (paused) {
      sql.exec("UPDATE turn SET phase = 'ready', resumes = resumes + 1 WHERE n = ?", turn.n);
      return;
    }
    for (const use of uses) {
      // A call whose input was cut off, or that stands in a cut-off answer, is never run: the model is told so.
      const cutOff = reply.stopReason === "max_tokens" || reply.brokenInputs.has(String(use.id));
      sql.exec(
        "INSERT INTO tool_call (n, step, tool_use_id, name, input, state, result, is_error) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        turn.n,
        step,
        String(use.id),
        String(use.name),
        JSON.stringify(use.input ?? {}),
        cutOff ? "done" : "pending",
        cutOff ? CUT_OFF_CALL : null,
        cutOff ? 1 : 0,
      );
    }
    sql.exec("UPDATE turn SET phase = 'tools' WHERE n = ?", turn.n);
  });
}

/** Whether an answer's text follows the schema that was asked for. */
export type StructuredCheck = { ok: true; value: unknown } | { ok: false; problem: string };

const CUT_OFF_CALL =
  "This call was cut off by the output limit before it was whole, and was not run. Send it again in smaller pieces.";
const UNKNOWN_OUTCOME =
  "This call was interrupted by a restart. It may or may not have taken effect: check before you repeat it.";
const CANCELLED_CALL = "This call was cancelled before it finished.";

function showProgress(
  store: TurnStore,
  n: number,
  seq: number | null,
  blocks: readonly Block[],
  used: { fresh: number; costNano: number },
  now: number,
): void {
  if (seq === null) return;
  const visible = blocks.flatMap((block, index): { type: OutputType; index: number }[] => {
    if (block.type === "text") return [{ type: "progress", index }];
    return block.type === "tool_use" || block.type === "server_tool_use" ? [{ type: "tool_call", index }] : [];
  });
  visible.forEach(({ type, index }, i) => {
    // The call's tokens and cost stand on its last row, so that a sum over rows is the sum over calls.
    const last = i === visible.length - 1;
    const spent = last ? { tokens: used.fresh, costNano: used.costNano } : {};
    show(store.storage.sql, { n, type, seq, block: index, ...spent }, now);
  });
}

/** Blocks that the API takes back: it refuses empty text. */
function sendable(blocks: readonly (Block | undefined)[]): Block[] {
  return blocks.filter((block): block is Block => block !== undefined && !(block.type === "text" && block.text === ""));
}

/** Marks a call as running, before it runs. */
export function beginTool(store: TurnStore, id: number, now: number): void {
  store.storage.sql.exec(
    "UPDATE tool_call SET state = 'running', tries = tries + 1, started_at = ? WHERE id = ?",
    now,
    id,
  );
}

/** Keeps a call's result, as soon as there is one. */
export function endTool(
  store: TurnStore,
  turn: TurnRow,
  call: CallRow,
  result: { content: string; isError: boolean },
  now: number,
): void {
  const { sql } = store.storage;
  fenced(store, () => {
    sql.exec(
      "UPDATE tool_call SET state = 'done', result = ?, is_error = ?, finished_at = ? WHERE id = ? AND state = 'running'",
      result.content,
      result.isError ? 1 : 0,
      now,
      call.id,
    );
    emit(sql, now, "tool.finished", {
      message_id: messageIdOf(store.spec.instance_id, turn.n),
      tool: call.name,
      is_error: result.isError,
    });
  });
}

/** All calls of the step have ended: one user message with all results, in the model's order. */
export function appendResults(store: TurnStore, turn: TurnRow, now: number): void {
  fenced(store, () => {
    writeResults(store, turn, now);
    store.storage.sql.exec("UPDATE turn SET phase = 'ready', last_step_at = ? WHERE n = ?", now, turn.n);
  });
}

function writeResults(store: TurnStore, turn: TurnRow, now: number): void {
  const { sql } = store.storage;
  const calls = callsOf(sql, turn);
  if (calls.length === 0) return;
  const blocks = calls.map((call): Block => {
    const open = call.state === "unknown" ? UNKNOWN_OUTCOME : call.state === "done" ? null : CANCELLED_CALL;
    const isError = open !== null || call.is_error === 1;
    // The API refuses empty text in a result.
    const content = (open ?? call.result ?? "") || "(no output)";
    return { type: "tool_result", tool_use_id: call.tool_use_id, content, ...(isError ? { is_error: true } : {}) };
  });
  const seq = store.transcript.append(turn.n, "user", blocks, now);
  blocks.forEach((_block, index) => {
    show(sql, { n: turn.n, type: "tool_result", seq, block: index }, now);
  });
  // The transcript has it now.
  sql.exec("UPDATE tool_call SET state = 'done', result = NULL WHERE n = ? AND step = ?", turn.n, turn.step);
}

/** Ends the open turn without an answer. The conversation stays valid: open tool calls get a result that says so. */
export function abandon(store: TurnStore, state: "failed" | "cancelled", error: Failure, now: number): void {
  fenced(store, () => {
    const turn = openTurn(store.storage.sql);
    if (!turn) return;
    if (turn.phase === "tools") writeResults(store, turn, now);
    finish(store, turn.n, state, error, now);
  });
}

/** The final state of the open turn's message, with everything that depends on it. Call inside a transaction. */
export function finish(
  store: TurnStore,
  n: number,
  state: Extract<MessageState, "completed" | "failed" | "cancelled" | "refused">,
  error: Failure | null,
  now: number,
): void {
  const { sql } = store.storage;
  // What the model never answered would be answered together with the next message, or fail it in the same way.
  if (state === "failed" || state === "refused") store.transcript.omitUnanswered(n);
  if (error) show(sql, { n, type: "notice", text: `${state}: ${error.message}` }, now);
  const { started_at } = sql.exec<{ started_at: number | null }>("SELECT started_at FROM message WHERE n = ?", n).one();
  sql.exec(
    "UPDATE message SET state = ?, finished_at = ?, error = ? WHERE n = ?",
    state,
    now,
    error ? JSON.stringify(error) : null,
    n,
  );
  sql.exec("UPDATE turn SET not_before = NULL, waiting_reason = NULL WHERE n = ?", n);
  const completed = state === "completed";
  const failed = state === "failed" || state === "refused";
  sql.exec(
    `UPDATE self SET open_n = NULL, ended = CASE ended WHEN 0 THEN 0 ELSE 2 END, completed_count = completed_count + ?,
       error_count = error_count + ?, response_ms_total = response_ms_total + ?, error_message = ?, last_activity = ?`,
    completed ? 1 : 0,
    failed ? 1 : 0,
    completed ? now - (started_at ?? now) : 0,
    failed ? (error?.message ?? null) : null,
    now,
  );
  emit(sql, now, `message.${state}`, {
    message_id: messageIdOf(store.spec.instance_id, n),
    ...(error ? { error: error.code } : {}),
  });
}

function refusalOf(reply: Reply): Failure {
  const category = reply.stopDetails?.category ?? null;
  const why = reply.stopDetails?.explanation ?? "The model gave no explanation.";
  return {
    code: "refused",
    message: `The model refused to answer${category ? ` (${category})` : ""}: ${why} The message was left out of the conversation; send another one.`,
    details: { category },
  };
}

/** The raw text stays readable: as much of it as fits beside the error, and whole in the output. */
function schemaMismatch(problem: string, text: string): Failure {
  return {
    code: "schema_mismatch",
    message: `The answer does not follow response_schema, also after one repair: ${problem}. Its text is in the output.`,
    details: { raw: text.slice(0, 20_000).toWellFormed() },
  };
}

function outOfTokens(maxTokens: number): Failure {
  return {
    code: "limit_reached",
    message: `The answer needed more than max_tokens (${maxTokens}) before it said anything. Spawn an instance with a larger max_tokens, or ask for less.`,
    details: { max_tokens: maxTokens },
  };
}

/** The open turn belongs to another drive by now. The one that sees this stops, and writes nothing. */
export class Superseded extends Error {}

/** A transaction that only the drive may make whose generation the open turn carries. */
function fenced<T>(store: TurnStore, work: () => T): T {
  return transaction(store, () => {
    if (openTurn(store.storage.sql)?.generation !== store.generation)
      throw new Superseded("another drive has taken over");
    return work();
  });
}

/** One transaction; the transcript's cache is dropped when it fails, as it may then hold what storage doesn't. */
function transaction<T>(store: TurnStore, work: () => T): T {
  try {
    return store.storage.transactionSync(work);
  } catch (error) {
    store.transcript.forget();
    throw error;
  }
}
