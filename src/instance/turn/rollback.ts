/**
 * What a failed turn leaves of itself in the conversation. The conversation goes back to a state that the Messages API has
 * accepted, so that whatever made it refuse (a message, a tool's result, an answer of its own) is not sent again with the next
 * message.
 */
import type { TranscriptEntry } from "../../contracts/transcript.ts";
import type { Failure } from "../../platform/errors.ts";
import type { Tx } from "../../platform/transaction.ts";
import { newestAnswerRow } from "../store/model-calls.ts";
import type { TurnStore } from "../store/turn-store.ts";

export interface Rollback {
  /** Rows that are no longer sent. */
  omitted: readonly number[];
  /** The row of an earlier answer that is sent as its text alone from here on, or null. */
  plainText: number | null;
  /** What was left out: nothing, the turn's message with all that came of it, or its last step. */
  leftOut: "nothing" | "message" | "step";
  /** Names of the tools that were called in the step that was left out. */
  tools: readonly string[];
}

/** Whether the API refused the conversation for what it holds, rather than failed to answer it. */
export function refusesContent(error: Failure): boolean {
  if (error.code === "refused" || error.code === "too_large") return true;
  const status = error.details?.status;
  return error.code === "upstream_error" && (status === 400 || status === 413 || status === 422);
}

/**
 * Pure. `entries`: what is sent now; `n`: the turn that failed; `lastAnswer`: the row of the newest answer that the API gave, or
 * null. All rows before it were part of a request that the API took; it and the rows after it were not yet.
 */
export function rollbackOf(
  entries: readonly TranscriptEntry[],
  n: number,
  lastAnswer: number | null,
  error: Failure,
): Rollback {
  const own = entries.filter((entry) => entry.n === n && !isSummary(entry));
  const last = entries.find((entry) => entry.seq === lastAnswer);
  if (!refusesContent(error)) {
    const said = own.findLastIndex((entry) => entry.role === "assistant" && saysSomething(entry));
    const tail = own.slice(said + 1);
    // Results of tools have to stay behind their calls; an unanswered message would be answered with the next one.
    if (tail.length === 0 || tail.some(hasResults)) return { ...NOTHING, omitted: [] };
    return { ...NOTHING, omitted: tail.map(({ seq }) => seq), leftOut: "message" };
  }
  if (last && last.n === n && !isSummary(last)) {
    const omitted = entries.filter((entry) => entry.seq >= last.seq).map(({ seq }) => seq);
    const tools = last.blocks.flatMap((block) => (block.type === "tool_use" ? [String(block.name)] : []));
    return { omitted, plainText: null, leftOut: "step", tools: [...new Set(tools)] };
  }
  const suspect = error.code === "upstream_error" && last && !isPlain(last) ? last.seq : null;
  return { omitted: own.map(({ seq }) => seq), plainText: suspect, leftOut: "message", tools: [] };
}

const NOTHING: Omit<Rollback, "omitted"> = { plainText: null, leftOut: "nothing", tools: [] };

/** Takes the failed turn `n` back. Returns what was done, and a sentence on it for the error's readers. */
export function rollBack(
  tx: Tx,
  { transcript }: TurnStore,
  n: number,
  error: Failure,
  now: number,
): { rollback: Rollback; sentence: string } {
  const rollback = rollbackOf(transcript.entries(), n, newestAnswerRow(tx), error);
  const suspect = rollback.plainText === null ? undefined : transcript.entry(rollback.plainText);
  transcript.omit(tx, suspect ? [suspect.seq, ...rollback.omitted] : rollback.omitted);
  if (suspect) {
    const text = suspect.blocks.filter((block) => block.type === "text");
    // Of its thinking nothing can be kept: it is bound to what is left out here.
    const blocks = text.map(({ text: said }) => ({ type: "text", text: said }));
    if (blocks.length > 0) transcript.append(tx, suspect.n, "assistant", blocks, now, suspect.simulated);
  }
  const stays = transcript.entries().at(-1);
  if (stays?.n === n && stays.role === "user") {
    const note = `[This was not answered: ${error.code}.${leftOutNote(rollback)} Do not go on with it unless you are asked to.]`;
    transcript.append(tx, n, "user", [{ type: "text", text: note }], now);
  }
  return { rollback, sentence: sentenceOf(rollback) };
}

function leftOutNote({ leftOut, tools }: Rollback): string {
  if (leftOut !== "step" || tools.length === 0) return "";
  return ` Your last calls (${tools.join(", ")}) were run, and are left out here with their results.`;
}

function sentenceOf({ leftOut, tools, plainText }: Rollback): string {
  const kept = plainText === null ? "" : " The answer before it is kept as plain text.";
  switch (leftOut) {
    case "nothing":
      return "What it had done so far stays in the conversation.";
    case "message":
      return `The message was left out of the conversation; send another one.${kept}`;
    case "step":
      return tools.length === 0
        ? "The last step was left out of the conversation; send another message to go on."
        : `The last tool calls (${tools.join(", ")}) and their results were left out of the conversation; what they did stands. Send another message to go on.`;
  }
}

function isSummary({ blocks }: TranscriptEntry): boolean {
  return blocks.some(({ type }) => type === "compaction");
}

function hasResults({ blocks }: TranscriptEntry): boolean {
  return blocks.some(({ type }) => type === "tool_result");
}

function saysSomething({ blocks }: TranscriptEntry): boolean {
  return blocks.some(
    (block) => !/thinking$/.test(block.type) && !(block.type === "text" && String(block.text ?? "").trim() === ""),
  );
}

function isPlain({ blocks }: TranscriptEntry): boolean {
  return blocks.every((block) => block.type === "text" && block.citations == null);
}
