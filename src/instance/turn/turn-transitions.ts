/**
 * A turn from its start to its end. Each function is one step, in one transaction, and leaves rows from which
 * `nextAction` goes on.
 */
import type { Reply } from "../../anthropic/reply.ts";
import type { MessageState } from "../../contracts/instance.ts";
import type { Failure } from "../../platform/errors.ts";
import { messageIdOf } from "../../platform/ids.ts";
import { first } from "../../platform/sqlite.ts";
import type { Tx } from "../../platform/transaction.ts";
import { emit } from "../store/instance-row.ts";
import { join, returnNotes, withdrawNotes } from "../store/joined-messages.ts";
import { announce, closeAttempt, keepCutText, takeUnshown } from "../store/model-calls.ts";
import { show } from "../store/output.ts";
import { closeQuestions } from "../store/questions.ts";
import { addressed } from "../store/sender-line.ts";
import { callsOf, writeResults } from "../store/tool-calls.ts";
import { fenced, openTurn, type TurnRow, type TurnStore, transaction } from "../store/turn-store.ts";
import { ring, ringAtRest } from "../store/watchers.ts";
import { newestAnswer, refusesContent, rollBack } from "./rollback.ts";

/** Starts the turn on message `n`: its text goes into the transcript. */
export function start(store: TurnStore, n: number, now: number): void {
  transaction(store, (tx) => {
    const message = first<{ content: string; sender_title: string | null }>(
      tx,
      "SELECT content, sender_title FROM message WHERE n = ? AND state = 'queued'",
      n,
    );
    if (!message) return;
    const text = addressed(message.content, message.sender_title);
    const seq = store.transcript.append(tx, n, "user", [{ type: "text", text }], now);
    tx.exec("UPDATE message SET state = 'running', content = NULL, started_at = ? WHERE n = ?", now, n);
    tx.exec(
      "INSERT INTO turn (n, phase, generation, last_step_at) VALUES (?, 'ready', ?, ?)",
      n,
      store.generation,
      now,
    );
    tx.exec("UPDATE self SET open_n = ?, queued = queued - 1, last_activity = ?", n, now);
    show(tx, { n, type: "user", seq }, now);
    emit(tx, now, "message.started", { message_id: messageIdOf(store.spec.instance_id, n) });
    join(tx, store, n, "notes", now);
  });
}

/**
 * Takes over a turn whose runner died. Its model call is lost (its tokens stay counted as far as they were reported), a
 * tool that was running is open again where it may be repeated, and otherwise of unknown outcome.
 */
export function recover(store: TurnStore, repeatable: (tool: string) => boolean, now: number): void {
  transaction(store, (tx) => {
    const turn = openTurn(tx);
    if (!turn) return;
    const live = tx.exec<{ id: number }>("SELECT id FROM attempt WHERE n = ? AND outcome = 'live'", turn.n).toArray();
    for (const { id } of live) announce(tx, closeAttempt(tx, store, id, turn.n, "lost", null, now), now);
    const running = (turn.phase === "tools" ? callsOf(tx, turn) : []).filter(({ state }) => state === "running");
    for (const call of running) {
      tx.exec("UPDATE tool_call SET state = ? WHERE id = ?", repeatable(call.name) ? "pending" : "unknown", call.id);
    }
    // Without a lost model call or tool nothing crashed: the turn rested in its rows, and its object had gone meanwhile.
    const crashed = live.length > 0 || running.length > 0;
    tx.exec(
      "UPDATE turn SET generation = ?, phase = CASE phase WHEN 'calling' THEN 'ready' ELSE phase END, crashes = crashes + ?, failures = failures + ? WHERE n = ?",
      store.generation,
      crashed ? 1 : 0,
      live.length > 0 ? 1 : 0,
      turn.n,
    );
    if (!crashed) return;
    emit(tx, now, "turn.recovered", { message_id: messageIdOf(store.spec.instance_id, turn.n), phase: turn.phase });
  });
}

/** A model call failed for good, and the message with it; unless it may have failed for passive messages that had joined it. */
export function giveUp(
  store: TurnStore,
  attempt: number,
  turn: TurnRow,
  reply: Reply | null,
  error: Failure,
  now: number,
): void {
  fenced(store, (tx) => {
    announce(tx, closeAttempt(tx, store, attempt, turn.n, "failed", reply, now, error), now);
    if (tryWithoutNotes(tx, store, turn.n, { state: "failed", error }, now)) return;
    keepCutText(tx, store, turn.n, reply, now);
    finish(tx, store, turn.n, "failed", error, now);
  });
}

/**
 * What the API refused may stand in passive messages that joined the turn since its last answer. Then they are taken out, and the
 * turn calls the model again. Returns whether it does.
 */
export function tryWithoutNotes(
  tx: Tx,
  store: TurnStore,
  n: number,
  end: { state: "failed" | "refused"; error: Failure },
  now: number,
): boolean {
  if (!refusesContent(end.error) || !withdrawNotes(tx, store, n, newestAnswer(tx), end, now)) return false;
  tx.exec("UPDATE turn SET phase = 'ready' WHERE n = ?", n);
  return true;
}

/** The conversation does not fit: the turn goes on once it is compacted. A summary that does not fit either is asked for with less. */
export function fillUp(
  store: TurnStore,
  attempt: number,
  turn: TurnRow,
  reply: Reply | null,
  error: Failure,
  now: number,
): void {
  fenced(store, (tx) => {
    announce(tx, closeAttempt(tx, store, attempt, turn.n, "failed", reply, now, error), now);
    const asked = turn.phase === "full" ? 1 : 0;
    tx.exec("UPDATE turn SET phase = 'full', summary_tries = summary_tries + ? WHERE n = ?", asked, turn.n);
  });
}

/** The conversation has grown to where a summary is cheaper than to read all of it again. */
export function beginCompaction(store: TurnStore, turn: TurnRow): void {
  fenced(store, (tx) => tx.exec("UPDATE turn SET phase = 'full' WHERE n = ?", turn.n));
}

/** The API answered without a summary: it is not asked again, `tries` being the most that are made. */
export function noSummary(
  store: TurnStore,
  attempt: number,
  turn: TurnRow,
  reply: Reply,
  tries: number,
  now: number,
): void {
  fenced(store, (tx) => {
    announce(tx, closeAttempt(tx, store, attempt, turn.n, "completed", reply, now), now);
    tx.exec("UPDATE turn SET phase = 'full', summary_tries = ? WHERE n = ?", tries, turn.n);
  });
}

/** Ends the open turn without an answer. The conversation stays valid: open tool calls get a result that says so. */
export function abandon(store: TurnStore, state: "failed" | "cancelled", error: Failure, now: number): void {
  fenced(store, (tx) => {
    const turn = openTurn(tx);
    if (!turn) return;
    if (turn.phase === "tools") writeResults(tx, store, turn, now);
    if (state === "cancelled") {
      // The text stays in the conversation, unanswered: without this the next answer would answer it too.
      const note = "[This was stopped before it was answered. Do not go on with it unless you are asked to.]";
      store.transcript.append(tx, turn.n, "user", [{ type: "text", text: note }], now);
    }
    finish(tx, store, turn.n, state, error, now);
  });
}

/** The final state of the open turn's message, with everything that depends on it. */
export function finish(
  tx: Tx,
  store: TurnStore,
  n: number,
  state: Extract<MessageState, "completed" | "failed" | "cancelled" | "refused">,
  error: Failure | null,
  now: number,
): void {
  const failed = state === "failed" || state === "refused";
  if (failed && error) {
    const { rollback, sentence } = rollBack(tx, store, n, error, now);
    error = { ...error, message: `${error.message} ${sentence}` };
    returnNotes(tx, store, n, new Set(rollback.omitted), { state, error }, now);
  }
  if (error) show(tx, { n, type: "notice", text: `${state}: ${error.message}`, ...takeUnshown(tx, n) }, now);
  const { started_at } = tx.exec<{ started_at: number | null }>("SELECT started_at FROM message WHERE n = ?", n).one();
  const joined = tx.exec<{ n: number }>("SELECT n FROM message WHERE joined_n = ? ORDER BY n", n).toArray();
  tx.exec(
    "UPDATE message SET state = ?, finished_at = ?, error = ?, content = NULL WHERE n = ? OR joined_n = ?",
    state,
    now,
    error ? JSON.stringify(error) : null,
    n,
    n,
  );
  tx.exec("UPDATE turn SET not_before = NULL, waiting_reason = NULL, paused = NULL WHERE n = ?", n);
  const completed = state === "completed";
  const count = 1 + joined.length;
  tx.exec(
    `UPDATE self SET open_n = NULL, ended = CASE ended WHEN 0 THEN 0 ELSE 2 END, completed_count = completed_count + ?,
       error_count = error_count + ?, response_ms_total = response_ms_total + ?, error_message = ?, last_activity = ?`,
    completed ? count : 0,
    failed ? count : 0,
    completed ? count * (now - (started_at ?? now)) : 0,
    failed ? (error?.message ?? null) : null,
    now,
  );
  closeQuestions(tx, store.spec.instance_id, now);
  ringAtRest(tx, now);
  for (const message of [{ n }, ...joined]) {
    ring(tx, message.n, now);
    emit(tx, now, `message.${state}`, {
      message_id: messageIdOf(store.spec.instance_id, message.n),
      duration_ms: now - (started_at ?? now),
      ...(error ? { error: error.code } : {}),
    });
  }
}
