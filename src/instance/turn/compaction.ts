/**
 * Compaction: when a conversation no longer fits the model's context, or has become dear to read again with every call, the API
 * summarizes its older part into a signed block, which from then on is sent in its place. Nothing is deleted: the rows stay
 * readable. It happens between two steps, as often as it takes.
 */
import type { MessageCreateParamsStreaming } from "@anthropic-ai/sdk/resources/messages";
import type { Reply } from "../../anthropic/reply.ts";
import { requestOf } from "../../anthropic/request.ts";
import type { Block, TranscriptEntry } from "../../contracts/transcript.ts";
import type { Failure } from "../../platform/errors.ts";
import type { Tx } from "../../platform/transaction.ts";
import { newestCompleted } from "../store/model-calls.ts";
import { show } from "../store/output.ts";
import { fenced, type TurnStore } from "../store/turn-store.ts";
import { countCompaction, setPhase, type TurnRow } from "../store/turns.ts";
import { announce, endCall } from "./model-call-steps.ts";

/** The beta feature that compaction requests, and requests that carry a compaction block, are made under. */
export const COMPACTION_BETA = "compact-2026-09-04";

/** Requests for one summary, each with more left out, before the older part is left out without one. */
export const MAX_SUMMARY_TRIES = 4;

/** Characters of a tool's result that is not worth shortening. */
const SHORT_RESULT = 2_000;
/** Characters that stay of one that is. */
const KEPT_OF_RESULT = 1_000;
/** A summary of less than this share of what may be sent would hardly make room. */
const WORTHWHILE_SHARE = 0.2;
/** Bytes of a token, roughly: for deciding when to compact, never for what is paid. */
const BYTES_PER_TOKEN = 4;

export interface CompactionPlan {
  /** What the summary is made of: a conversation by itself. */
  older: readonly TranscriptEntry[];
  /** What is sent behind the summary: the turn's message, and its last step. */
  kept: readonly TranscriptEntry[];
  /** Characters of JSON that the summary takes the place of; 0: there is nothing to summarize. */
  gain: number;
}

/** Pure. `entries`: what is sent now; `n`: the open turn. */
export function compactionPlan(entries: readonly TranscriptEntry[], n: number): CompactionPlan {
  const begun = entries.findIndex((entry) => entry.n === n && entry.role === "assistant" && !isSummary(entry));
  const message = entries.filter(
    (entry, i) => entry.n === n && entry.role === "user" && !hasResults(entry) && (begun < 0 || i < begun),
  );
  const step = begun < 0 ? entries.length : lastStep(entries);
  const older = entries.slice(0, step);
  const replaced = older.filter((entry) => !message.includes(entry) && !isSummary(entry));
  return {
    older,
    kept: [...message, ...entries.slice(step)],
    gain: replaced.reduce((sum, entry) => sum + JSON.stringify(entry.blocks).length, 0),
  };
}

/** Where the newest answer begins, with the results behind it. */
function lastStep(entries: readonly TranscriptEntry[]): number {
  const end = entries.findLastIndex(({ role }) => role === "assistant");
  const before = entries.findLastIndex(
    ({ role, blocks }, i) => i < end && (role === "user" || blocks.some(isSummaryBlock)),
  );
  return before + 1;
}

/**
 * Whether the next call should be preceded by a summary though it would still fit. `compactAt` in tokens. What the newest call
 * counted is known; a call that made a summary is none to go by.
 */
export function isCompactionDue(sql: SqlStorage, plan: CompactionPlan, compactAt: number): boolean {
  if (plan.gain < compactAt * BYTES_PER_TOKEN * WORTHWHILE_SHARE) return false;
  const newest = newestCompleted(sql);
  return newest !== undefined && newest.answer_seq !== null && newest.tokens >= compactAt;
}

/** `tries`: requests for this summary that were too long themselves: with each, more of the results of tools is left out. */
export function compactionRequest(
  store: TurnStore,
  older: readonly TranscriptEntry[],
  tries: number,
  simulated: boolean,
): MessageCreateParamsStreaming {
  const body = requestOf(store.spec, shortened(older, tries), { responseSchema: null, simulated });
  return { ...body, compaction: { type: "summarize" } } as MessageCreateParamsStreaming;
}

/** Pure. The same with the oldest results shortened: the older half at first, then all of them, then long text too. */
export function shortened(entries: readonly TranscriptEntry[], tries: number): TranscriptEntry[] {
  if (tries === 0) return [...entries];
  const long = entries.flatMap((entry) => entry.blocks.filter(isLongResult));
  const chosen = new Set(tries === 1 ? long.slice(0, Math.ceil(long.length / 2)) : long);
  return entries.map((entry) => {
    const blocks = entry.blocks.map((block) => {
      if (chosen.has(block)) return shortResult(block);
      const text = tries > 2 && block.type === "text" ? String(block.text) : "";
      return text.length > SHORT_RESULT ? { ...block, text: cut(text) } : block;
    });
    // Of thinking that is bound to what was changed nothing can be sent.
    return { ...entry, blocks: blocks.filter(isNoThinking) };
  });
}

export function betasOf(entries: readonly TranscriptEntry[]): string[] {
  return entries.some(isSummary) ? [COMPACTION_BETA] : [];
}

/** Puts the summary in the place of what it summarizes. Returns false when the answer holds none. */
export function commitCompaction(
  store: TurnStore,
  callId: number,
  turn: TurnRow,
  reply: Reply,
  plan: CompactionPlan,
  now: number,
): boolean {
  const summary = reply.blocks.find((block) => block?.type === "compaction" && typeof block.content === "string");
  if (!summary) return false;
  fenced(store, (tx) => {
    const ended = endCall(tx, store, { id: callId, n: turn.n, outcome: "completed", reply }, now);
    store.transcript.omitAll(tx);
    store.transcript.append(tx, turn.n, "assistant", [summary], now);
    keep(tx, store, plan, now);
    countCompaction(tx, turn.n);
    const text = "The older part of the conversation was summarized to make room in the model's context.";
    show(tx, { n: turn.n, type: "notice", text }, now);
    announce(tx, ended, now);
  });
  return true;
}

/** There is no way to a summary: what it would have been made of is left out, and the model is told so. */
export function leaveOut(store: TurnStore, turn: TurnRow, plan: CompactionPlan, now: number): void {
  fenced(store, (tx) => {
    store.transcript.omitAll(tx);
    const note = "[The older part of this conversation was too long to be summarized, and is left out.]";
    store.transcript.append(tx, turn.n, "user", [{ type: "text", text: note }], now);
    keep(tx, store, plan, now);
    countCompaction(tx, turn.n);
    const text = "The older part of the conversation was left out: it could not be summarized.";
    show(tx, { n: turn.n, type: "notice", text }, now);
  });
}

/**
 * Makes room within the last step alone: the longest half of its results is shortened. Returns whether there was any that is worth
 * it; if not, the message itself is too long.
 */
export function shortenResults(store: TurnStore, turn: TurnRow, now: number): boolean {
  const last = store.transcript.entries().findLast((entry) => entry.n === turn.n && hasResults(entry));
  const long = (last?.blocks ?? []).filter(isLongResult).sort((a, b) => lengthOf(b) - lengthOf(a));
  if (!last || long.length === 0) return false;
  const chosen = new Set(long.slice(0, Math.ceil(long.length / 2)));
  fenced(store, (tx) => {
    const behind = store.transcript.entries().filter((entry) => entry.seq > last.seq);
    store.transcript.omit(tx, [last.seq, ...behind.map(({ seq }) => seq)]);
    const blocks = last.blocks.map((block) => (chosen.has(block) ? shortResult(block) : block));
    store.transcript.append(tx, turn.n, "user", blocks, now);
    for (const entry of behind) store.transcript.append(tx, entry.n, entry.role, entry.blocks, now, entry.simulated);
    setPhase(tx, turn.n, "ready");
    const text = `${chosen.size} long results were shortened to make room in the model's context.`;
    show(tx, { n: turn.n, type: "notice", text }, now);
  });
  return true;
}

export function contextFull(): Failure {
  return {
    code: "too_large",
    message:
      "The message alone does not fit the model's context. Send it in parts, put what is long into a file of the instance's workspace, or spawn an instance with a model that has a larger context.",
  };
}

/** Appends what stays: the order of rows is the order of the conversation. Thinking is bound to what was replaced. */
function keep(tx: Tx, store: TurnStore, plan: CompactionPlan, now: number): void {
  for (const { n, role, blocks, simulated } of plan.kept) {
    store.transcript.append(tx, n, role, blocks.filter(isNoThinking), now, simulated);
  }
}

function shortResult(block: Block): Block {
  const content = typeof block.content === "string" ? block.content : JSON.stringify(block.content);
  return { ...block, content: cut(content) };
}

function cut(text: string): string {
  const left = text.length - KEPT_OF_RESULT;
  return `${text.slice(0, KEPT_OF_RESULT).toWellFormed()}\n[${left} more characters were left out to make room. Ask for them in smaller parts.]`;
}

function lengthOf(block: Block): number {
  return typeof block.content === "string" ? block.content.length : JSON.stringify(block.content ?? "").length;
}

function isLongResult(block: Block): boolean {
  return block.type === "tool_result" && lengthOf(block) > SHORT_RESULT;
}

function isNoThinking({ type }: Block): boolean {
  return type !== "thinking" && type !== "redacted_thinking";
}

function isSummaryBlock({ type }: Block): boolean {
  return type === "compaction";
}

function isSummary({ blocks }: TranscriptEntry): boolean {
  return blocks.some(isSummaryBlock);
}

function hasResults({ blocks }: TranscriptEntry): boolean {
  return blocks.some(({ type }) => type === "tool_result");
}
