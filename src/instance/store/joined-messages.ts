/**
 * Messages that join a turn which is not their own, and share its end.
 */
import type { Failure } from "../../platform/errors.ts";
import { messageIdOf } from "../../platform/ids.ts";
import type { Tx } from "../../platform/transaction.ts";
import { countErrors, emit } from "./instance-row.ts";
import { reshow, show, userRowOf } from "./output.ts";
import { addressed } from "./sender-line.ts";
import type { TurnStore } from "./turn-store.ts";
import { ring } from "./watchers.ts";

/**
 * Takes the queued messages that may join into turn `n`. Notes join wherever there is a turn; what was sent to steer joins
 * behind tool results. One that asks for an answer in a form of its own can't share another's, and has a turn of its own.
 */
export function join(tx: Tx, store: TurnStore, n: number, which: "notes" | "steering", now: number): void {
  const { spec, transcript } = store;
  const waiting = tx
    .exec<{ n: number; content: string; sender_title: string | null; note: number; returned_from: number | null }>(
      // The index names its own condition, or it would not be used: a queue may be long, and few of it join.
      `SELECT n, content, sender_title, note, returned_from FROM message INDEXED BY message_joining
       WHERE state = 'queued' AND (note = 1 OR steer > 0) AND (note = 1 OR steer >= ?) AND response_schema IS NULL
         AND returned_from IS NOT ?
       ORDER BY n`,
      which === "notes" ? 2 : 1,
      n,
    )
    .toArray();
  for (const message of waiting) {
    const text = addressed(message.content, message.sender_title);
    const seq = transcript.append(tx, n, "user", [{ type: "text", text }], now);
    tx.exec(
      // A passive message keeps its text: it may have to go back.
      "UPDATE message SET state = 'running', content = CASE note WHEN 1 THEN content END, started_at = ?, joined_n = ? WHERE n = ?",
      now,
      n,
      message.n,
    );
    tx.exec("UPDATE self SET queued = queued - ?, last_activity = ?", message.note ? 0 : 1, now);
    if (message.returned_from !== null) reshow(tx, message.n, seq);
    else show(tx, { n: message.n, type: "user", seq }, now);
    emit(tx, now, "message.started", {
      message_id: messageIdOf(spec.instance_id, message.n),
      joined: messageIdOf(spec.instance_id, n),
    });
  }
}

/**
 * Passive messages of turn `n` whose rows are no longer in the conversation go back, to be read with the next turn: what made the
 * turn fail need not have been theirs. The second time it was, as far as anybody can tell, and they end as the turn does. Returns
 * those that no longer belong to the turn.
 */
export function returnNotes(
  tx: Tx,
  store: TurnStore,
  n: number,
  omitted: ReadonlySet<number>,
  end: { state: "failed" | "refused"; error: Failure },
  now: number,
): number[] {
  const { instance_id } = store.spec;
  const notes = tx
    .exec<{ n: number; content: string | null; returned_from: number | null }>(
      "SELECT n, content, returned_from FROM message WHERE joined_n = ? AND note = 1 ORDER BY n",
      n,
    )
    .toArray()
    .filter((note) => omitted.has(userRowOf(tx, note.n) ?? -1));
  for (const note of notes) {
    if (note.content !== null && note.returned_from === null) {
      tx.exec(
        "UPDATE message SET state = 'queued', joined_n = NULL, started_at = NULL, returned_from = ? WHERE n = ?",
        n,
        note.n,
      );
      emit(tx, now, "message.returned", { message_id: messageIdOf(instance_id, note.n) });
      continue;
    }
    tx.exec(
      "UPDATE message SET state = ?, joined_n = NULL, content = NULL, finished_at = ?, error = ? WHERE n = ?",
      end.state,
      now,
      JSON.stringify(end.error),
      note.n,
    );
    countErrors(tx, 1);
    ring(tx, note.n, now);
    emit(tx, now, `message.${end.state}`, {
      message_id: messageIdOf(instance_id, note.n),
      duration_ms: 0,
      error: end.error.code,
    });
  }
  return notes.map((note) => note.n);
}

/**
 * The API refused the conversation since passive messages had joined it: they are taken out again, and the turn tries without
 * them. Returns whether there were any. `after`: the row of the newest answer, behind which nothing was accepted yet.
 */
export function withdrawNotes(
  tx: Tx,
  store: TurnStore,
  n: number,
  after: number | null,
  end: { state: "failed" | "refused"; error: Failure },
  now: number,
): boolean {
  const rows = tx
    .exec<{ n: number }>("SELECT n FROM message WHERE joined_n = ? AND note = 1", n)
    .toArray()
    .flatMap((note) => userRowOf(tx, note.n) ?? [])
    .filter((seq) => seq > (after ?? -1));
  if (rows.length === 0) return false;
  store.transcript.omit(tx, rows);
  returnNotes(tx, store, n, new Set(rows), end, now);
  return true;
}
