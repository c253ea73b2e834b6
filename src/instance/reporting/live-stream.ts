/**
 * Following an instance live: what happened, what it shows, and the text of a running answer, from any point and each
 * once. Nothing of it is stored for readers: a cursor says how far they are, and the rest follows from rows and from the
 * answer that is being written.
 */

import { CALLED } from "../../contracts/audited-call.ts";
import type { Followed, StreamEvent } from "../../contracts/instance.ts";
import { messageIdOf } from "../../platform/ids.ts";
import { first } from "../../platform/sqlite.ts";
import { stepOf } from "../store/model-calls.ts";
import { pageOf } from "../store/output.ts";
import { type Transcript, textOf } from "../store/transcript.ts";

/** The answer that is being written. */
export interface LiveAnswer {
  callId: number;
  n: number;
  step: number;
  text: string;
}

/**
 * `seq`: the last event that was delivered whole. Beyond it: `index`, the last output row, and `offset` UTF-16 units of the
 * text of model call `callId`. As text: `12`, `12.34` or `12_5_678`.
 */
export interface Cursor {
  seq: number;
  index: number | null;
  callId: number | null;
  offset: number;
}

export const START: Cursor = { seq: 0, index: null, callId: null, offset: 0 };

export function cursorText(cursor: Cursor): string {
  if (cursor.callId !== null) return `${cursor.seq}_${cursor.callId}_${cursor.offset}`;
  return cursor.index === null ? String(cursor.seq) : `${cursor.seq}.${cursor.index}`;
}

/** The cursor that a text stands for, or null. */
export function parseCursor(text: string): Cursor | null {
  const match = /^(\d{1,15})(?:\.(\d{1,15})|_(\d{1,15})_(\d{1,15}))?$/.exec(text);
  if (!match) return null;
  const number = (part: string | undefined) => (part === undefined ? null : Number(part));
  return { seq: Number(match[1]), index: number(match[2]), callId: number(match[3]), offset: Number(match[4] ?? 0) };
}

const MAX_EVENTS = 100;
/** A page ends after this much text, in UTF-16 units: each reader holds one. */
const PAGE_UNITS = 250_000;

interface Source {
  sql: SqlStorage;
  transcript: Transcript;
  instanceId: string;
  live: LiveAnswer | null;
}

/** What comes after a cursor, as far as there is anything. Who called is for the tenant's log alone. */
export function follow(source: Source, from: Cursor): Followed {
  const { sql, instanceId } = source;
  const events: StreamEvent[] = [];
  let at: Cursor = { ...from };
  let units = 0;
  const push = (event: StreamEvent["event"], next: Cursor, data: Record<string, unknown>) => {
    at = next;
    events.push({ id: cursorText(next), event, data });
  };
  const pushText = (answer: LiveAnswer) => {
    const known = at.callId === answer.callId;
    const place = { message_id: messageIdOf(instanceId, answer.n), step: answer.step };
    if (!known && at.callId !== null && at.offset > 0) push("restart", { ...at, callId: null, offset: 0 }, place);
    const text = answer.text.slice(known ? at.offset : 0);
    units += text.length;
    if (text)
      push("text", { ...at, index: null, callId: answer.callId, offset: answer.text.length }, { ...place, text });
  };

  const rows = sql
    .exec<{ seq: number; at: number; kind: string; data: string; output_index: number }>(
      `SELECT seq, at, kind, data, output_index FROM event WHERE seq > ? AND kind <> '${CALLED}' ORDER BY seq LIMIT ?`,
      at.seq,
      MAX_EVENTS,
    )
    .toArray();
  let shown =
    first<{ output_index: number }>(sql, "SELECT output_index FROM event WHERE seq = ?", at.seq)?.output_index ?? -1;
  for (const row of rows) {
    if (units > PAGE_UNITS) return { events, cursor: cursorText(at) };
    const data = JSON.parse(row.data) as Record<string, unknown>;
    if (row.kind === "model_call.completed" && typeof data.answer === "number" && at.index === null) {
      pushText(answerOf(source, data));
    }
    for (let after = Math.max(shown, at.index ?? -1); after < row.output_index; ) {
      const page = pageOf(sql, source.transcript, instanceId, { since: null, after, limit: row.output_index - after });
      for (const output of page.rows) {
        units += output.content.length;
        push("output", { seq: at.seq, index: output.message_index, callId: null, offset: 0 }, { ...output });
        after = output.message_index;
      }
      if (page.rows.length === 0) break;
    }
    shown = row.output_index;
    const { answer: _row, attempt: _attempt, ...told } = data;
    const { callId, offset } = at;
    // A reader keeps its place in an answer that is still being written.
    const keeps = row.kind !== "model_call.completed" && callId !== null;
    push(
      "status",
      { seq: row.seq, index: null, callId: keeps ? callId : null, offset: keeps ? offset : 0 },
      {
        kind: row.kind,
        at: new Date(row.at).toISOString(),
        ...told,
      },
    );
  }
  if (rows.length < MAX_EVENTS && source.live) pushText(source.live);
  return { events, cursor: cursorText(at) };
}

/** The text of an answer that has been committed, as it was while it was being written. */
function answerOf(source: Source, data: Record<string, unknown>): LiveAnswer {
  const entry = source.transcript.entry(Number(data.answer));
  const callId = Number(data.attempt);
  const step = stepOf(source.sql, callId);
  return { callId, n: entry?.n ?? 0, step, text: entry ? textOf(entry.blocks) : "" };
}
