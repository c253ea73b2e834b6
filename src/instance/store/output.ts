/**
 * What an instance received, said and did, in order, for readers outside. The rows point into the
 * transcript: nothing is stored twice.
 */

import type { OutputPage, OutputQuery, OutputType } from "../../contracts/instance.ts";
import type { Block, TranscriptEntry } from "../../contracts/transcript.ts";
import { messageIdOf } from "../../platform/ids.ts";
import { first, type Row } from "../../platform/sqlite.ts";
import type { Tx } from "../../platform/transaction.ts";
import { NANO_PER_USD } from "../../platform/units.ts";
import { type Transcript, textOf } from "./transcript.ts";

/** A page ends after this much content, in UTF-16 units, so that one answer between objects stays below their 32 MiB. */
const PAGE_UNITS = 4_000_000;

export interface OutputEntry {
  n: number;
  type: OutputType;
  /** The transcript row, and the block in it; no block: all its text. */
  seq?: number;
  block?: number;
  /** For what is not in the transcript. */
  text?: string;
  /** It broke off: the end of what it shows never came. */
  cut?: boolean;
  tokens?: number;
  costNano?: number;
}

/** Appends one row, in the transaction of what it shows, and returns its message_index. */
export function show(tx: Tx, entry: OutputEntry, now: number): number {
  return tx
    .exec<{ message_index: number }>(
      `INSERT INTO output (message_index, n, type, seq, block, text, at, tokens, cost_nano, cut)
       VALUES (COALESCE((SELECT MAX(message_index) + 1 FROM output), 0), ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING message_index`,
      entry.n,
      entry.type,
      entry.seq ?? null,
      entry.block ?? null,
      entry.text ?? null,
      now,
      entry.tokens ?? 0,
      entry.costNano ?? 0,
      entry.cut ? 1 : 0,
    )
    .one().message_index;
}

/** The transcript row of message `n`; null before it was read. */
export function userRowOf(sql: SqlStorage, n: number): number | null {
  return first<{ seq: number | null }>(sql, "SELECT seq FROM output WHERE n = ? AND type = 'user'", n)?.seq ?? null;
}

/** Message `n` was shown before, and is now read in another row. */
export function reshow(tx: Tx, n: number, seq: number): void {
  tx.exec("UPDATE output SET seq = ? WHERE n = ? AND type = 'user'", seq, n);
}

interface StoredOutput extends Row {
  message_index: number;
  n: number;
  type: OutputType;
  seq: number | null;
  block: number | null;
  text: string | null;
  at: number;
  tokens: number;
  cost_nano: number;
  cut: number;
}

/** One page of the output, oldest first. Always at least one row, however long, when there is one. */
export function pageOf(sql: SqlStorage, transcript: Transcript, instanceId: string, query: OutputQuery): OutputPage {
  const stored = sql
    .exec<StoredOutput>(
      "SELECT * FROM output WHERE message_index > ? AND at >= ? ORDER BY message_index LIMIT ?",
      query.after ?? -1,
      query.since ?? 0,
      query.limit + 1,
    )
    .toArray();
  const entries = new Map<number, TranscriptEntry | undefined>();
  const entryOf = (seq: number) => {
    const known = entries.has(seq) ? entries.get(seq) : transcript.entry(seq);
    entries.set(seq, known);
    return known;
  };
  const page: OutputPage = { rows: [], next: null };
  let units = 0;
  for (const row of stored) {
    const entry = row.seq === null ? undefined : entryOf(row.seq);
    const content = row.text ?? contentOf(entry?.blocks ?? [], row.block);
    if (page.rows.length === query.limit || (page.rows.length > 0 && units + content.length > PAGE_UNITS)) {
      page.next = page.rows.at(-1)?.message_index ?? null;
      break;
    }
    units += content.length;
    page.rows.push({
      message_index: row.message_index,
      message_id: messageIdOf(instanceId, row.n),
      type: row.type,
      content,
      timestamp: new Date(row.at).toISOString(),
      tokens_used: row.tokens,
      cost: row.cost_nano / NANO_PER_USD,
      ...(row.cut === 1 ? { cut: true as const } : {}),
      ...(entry?.simulated ? { simulated: true as const } : {}),
    });
  }
  return page;
}

function contentOf(blocks: readonly Block[], index: number | null): string {
  if (index === null) return textOf(blocks);
  const block = blocks[index];
  switch (block?.type) {
    case undefined:
      return "";
    case "text":
      return String(block.text);
    case "tool_use":
      return JSON.stringify({ id: block.id, name: block.name, input: block.input });
    case "tool_result":
      return JSON.stringify({
        id: block.tool_use_id,
        content: block.content,
        is_error: block.is_error === true,
      });
    default:
      return JSON.stringify(block);
  }
}
