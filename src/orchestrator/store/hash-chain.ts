/**
 * The hash chain over the event log. A line of the audit export is one event with the hash of the line before it and its own.
 * Changing, removing, adding or moving a line breaks the chain there, unless all later hashes are computed anew.
 *
 * A line's hash is the SHA-256, in hex, of the line's text without its last member, the hash, so that a verifier does not have to
 * know how the JSON is written. Node runs this file too.
 */
import { createHash } from "node:crypto";
import type { ChainLink } from "../../contracts/orchestrator.ts";

/** The hash before the first line. */
export const GENESIS = "0".repeat(64);

/** An event as it is stored. `at` in ms since the epoch, `data` the text of a JSON object. */
export interface StoredEvent {
  seq: number;
  at: number;
  instance_id: string;
  kind: string;
  data: string;
}

/** The hash of an event's line after the one with the hash `prev`. */
export function hashOf(event: StoredEvent, prev: string): string {
  return sha256(bodyOf(event, prev));
}

/** The event's line, without the line break. */
export function lineOf(event: StoredEvent, prev: string, hash: string): string {
  return `${bodyOf(event, prev).slice(0, -1)},"hash":"${hash}"}`;
}

function bodyOf(event: StoredEvent, prev: string): string {
  const { seq, at, instance_id, kind, data } = event;
  const head = JSON.stringify({ seq, at: new Date(at).toISOString(), instance_id, kind });
  return `${head.slice(0, -1)},"data":${data},"prev":"${prev}"}`;
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** A line whose text matches its hash, or what is wrong with it, as the end of a sentence. */
export type Checked =
  | { ok: true; link: ChainLink; prev: string }
  | { ok: false; problem: string; claims: ChainLink | null };

const TAIL = /,"prev":"([0-9a-f]{64})","hash":"([0-9a-f]{64})"\}$/;
const HASH_MEMBER = `,"hash":"${GENESIS}"}`.length;

/** Checks one line alone: whether it is one, and whether its text matches its hash. */
function checkLine(text: string): Checked {
  const [, prev, hash] = TAIL.exec(text) ?? [];
  const seq = Number(/^\{"seq":(\d{1,15}),/.exec(text)?.[1]);
  if (prev === undefined || hash === undefined || !(seq > 0))
    return { ok: false, problem: "is no line of an audit export", claims: null };
  if (sha256(`${text.slice(0, -HASH_MEMBER)}}`) === hash) return { ok: true, link: { seq, hash }, prev };
  return { ok: false, problem: "was changed: its text does not have its hash", claims: { seq, hash } };
}

/** What is wrong with `line` following the link `before` (null: it is the first one read), or null. */
function breakBetween(before: ChainLink | null, line: ChainLink & { prev: string }): string | null {
  if (before === null)
    return line.seq === 1 && line.prev !== GENESIS ? "claims to be the first and has one before it" : null;
  if (line.seq <= before.seq)
    return `has the number ${line.seq} and comes after ${before.seq}: lines were moved, repeated or added`;
  if (line.seq > before.seq + 1)
    return `has the number ${line.seq} and comes after ${before.seq}: lines between them were removed`;
  return line.prev === before.hash
    ? null
    : `does not follow line ${before.seq}: one of the two was replaced, or lines were added`;
}

/** Verifies an export line by line and collects the problems. After a break it continues from the line that it found there. */
export class ChainVerifier {
  readonly problems: string[] = [];
  count = 0;
  first: (ChainLink & { prev: string }) | null = null;
  last: ChainLink | null = null;

  /** The next line, without its line break. */
  add(text: string): void {
    this.count += 1;
    const line = checkLine(text);
    if (!line.ok) {
      const where = this.last ? `the line after ${this.last.seq}` : "the first line";
      this.problems.push(`${where} ${line.problem}`);
      this.last = line.claims ?? this.last;
      return;
    }
    const { link, prev } = line;
    const problem = breakBetween(this.last, { ...link, prev });
    if (problem) this.problems.push(this.last ? `the line ${problem}` : `the first line ${problem}`);
    this.first ??= { ...link, prev };
    this.last = link;
  }

  /** Compares the end with a head that was kept elsewhere. */
  endsAt(head: ChainLink): void {
    const seq = this.last?.seq ?? 0;
    if (seq < head.seq) this.problems.push(`the end is cut off: the lines ${seq + 1} to ${head.seq} are missing`);
    else if (seq === head.seq && (this.last?.hash ?? GENESIS) !== head.hash)
      this.problems.push(`line ${seq} is not the one that the head names: the log was made anew`);
  }
}
