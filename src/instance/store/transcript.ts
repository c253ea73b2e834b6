/**
 * The conversation as the model gets it: append-only, verbatim, replayed in the same shape for ever.
 */

import type { Block, TranscriptEntry } from "../../contracts/transcript.ts";
import type { Row } from "../../platform/sqlite.ts";
import type { Tx } from "../../platform/transaction.ts";
import { wellFormed } from "../../platform/well-formed.ts";

/**
 * SQLite in a Durable Object takes 2 MB a value, and a UTF-16 unit makes up to 3 bytes of UTF-8: parts of this many
 * units stay below it.
 */
const PART_UNITS = 500_000;

/** Cuts text into parts without splitting a surrogate pair: half of one would not survive storage. */
export function partsOf(text: string): string[] {
  if (text.length <= PART_UNITS) return [text];
  const parts: string[] = [];
  for (let start = 0; start < text.length; ) {
    let end = Math.min(start + PART_UNITS, text.length);
    const last = text.charCodeAt(end - 1);
    if (end < text.length && last >= 0xd800 && last <= 0xdbff) end -= 1;
    parts.push(text.slice(start, end));
    start = end;
  }
  return parts;
}

/** The transcript of one instance. Reads through a cache that lives as long as the object does. */
export class Transcript {
  readonly #sql: SqlStorage;
  #entries: TranscriptEntry[] | null = null;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** Everything that is sent to the model, oldest first. The array is the cache itself: don't change it. */
  entries(): readonly TranscriptEntry[] {
    this.#entries ??= read(this.#sql, "t.omitted = 0");
    return this.#entries;
  }

  /** One row, omitted or not; undefined when there is none. */
  entry(seq: number): TranscriptEntry | undefined {
    return read(this.#sql, "t.seq = ?", seq)[0];
  }

  /** Appends one row, in the transaction of the change that it belongs to, and returns its seq. Its strings become well-formed. */
  append(tx: Tx, n: number, role: TranscriptEntry["role"], given: Block[], now: number, simulated = false): number {
    const blocks = wellFormed(given);
    const { seq } = tx
      .exec<{ seq: number }>(
        "INSERT INTO transcript (n, role, simulated, created_at) VALUES (?, ?, ?, ?) RETURNING seq",
        n,
        role,
        simulated ? 1 : 0,
        now,
      )
      .one();
    partsOf(JSON.stringify(blocks)).forEach((text, part) => {
      tx.exec("INSERT INTO transcript_part (seq, part, text) VALUES (?, ?, ?)", seq, part, text);
    });
    this.#entries?.push({ seq, n, role, simulated, blocks });
    return seq;
  }

  /** Leaves these rows out of what is sent. */
  omit(tx: Tx, seqs: readonly number[]): void {
    for (const seq of seqs) tx.exec("UPDATE transcript SET omitted = 1 WHERE seq = ?", seq);
    const omitted = new Set(seqs);
    this.#entries = this.#entries?.filter(({ seq }) => !omitted.has(seq)) ?? null;
  }

  /** Leaves everything so far out of what is sent, in the transaction that appends what takes its place. */
  omitAll(tx: Tx): void {
    tx.exec("UPDATE transcript SET omitted = 1 WHERE omitted = 0");
    this.#entries = [];
  }

  /** Forgets the cache: after a transaction that failed it may hold what storage doesn't. */
  forget(): void {
    this.#entries = null;
  }
}

interface PartRow extends Row {
  seq: number;
  n: number;
  role: TranscriptEntry["role"];
  simulated: number;
  text: string;
}

function read(sql: SqlStorage, where: string, ...values: SqlStorageValue[]): TranscriptEntry[] {
  const entries: (Omit<TranscriptEntry, "blocks"> & { text: string })[] = [];
  const rows = sql.exec<PartRow>(
    `SELECT t.seq, t.n, t.role, t.simulated, p.text FROM transcript t JOIN transcript_part p ON p.seq = t.seq
     WHERE ${where} ORDER BY t.seq, p.part`,
    ...values,
  );
  for (const row of rows) {
    const last = entries.at(-1);
    if (last?.seq === row.seq) last.text += row.text;
    else entries.push({ seq: row.seq, n: row.n, role: row.role, simulated: row.simulated === 1, text: row.text });
  }
  return entries.map(({ text, ...entry }) => ({ ...entry, blocks: JSON.parse(text) as Block[] }));
}

/** The text of a message's text blocks, joined. */
export function textOf(blocks: readonly Block[]): string {
  return blocks.map((block) => (block.type === "text" && typeof block.text === "string" ? block.text : "")).join("");
}
