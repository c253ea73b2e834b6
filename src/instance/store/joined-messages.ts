/**
 * Messages that join a turn which is not their own, and share its end.
 */
import { messageIdOf } from "../../platform/ids.ts";
import type { Tx } from "../../platform/transaction.ts";
import { emit } from "./instance-row.ts";
import { show } from "./output.ts";
import { addressed } from "./sender-line.ts";
import type { TurnStore } from "./turn-store.ts";

/**
 * Takes the queued messages that may join into turn `n`. Notes join wherever there is a turn; what was sent to steer joins
 * behind tool results. One that asks for an answer in a form of its own can't share another's, and has a turn of its own.
 */
export function join(tx: Tx, store: TurnStore, n: number, which: "notes" | "steering", now: number): void {
  const { spec, transcript } = store;
  const waiting = tx
    .exec<{ n: number; content: string; sender_title: string | null; note: number }>(
      // The index names its own condition, or it would not be used: a queue may be long, and few of it join.
      `SELECT n, content, sender_title, note FROM message INDEXED BY message_joining
       WHERE state = 'queued' AND (note = 1 OR steer > 0) AND (note = 1 OR steer >= ?) AND response_schema IS NULL
       ORDER BY n`,
      which === "notes" ? 2 : 1,
    )
    .toArray();
  for (const message of waiting) {
    const text = addressed(message.content, message.sender_title);
    const seq = transcript.append(tx, n, "user", [{ type: "text", text }], now);
    tx.exec(
      "UPDATE message SET state = 'running', content = NULL, started_at = ?, joined_n = ? WHERE n = ?",
      now,
      n,
      message.n,
    );
    tx.exec("UPDATE self SET queued = queued - ?, last_activity = ?", message.note ? 0 : 1, now);
    show(tx, { n: message.n, type: "user", seq }, now);
    emit(tx, now, "message.started", {
      message_id: messageIdOf(spec.instance_id, message.n),
      joined: messageIdOf(spec.instance_id, n),
    });
  }
}
