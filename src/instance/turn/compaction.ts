/**
 * Compaction: when a conversation no longer fits the model's context, the API summarizes what came before the open turn
 * into a signed block, which from then on is sent in its place. Nothing is deleted: the rows stay readable.
 */
import type { MessageCreateParamsStreaming } from "@anthropic-ai/sdk/resources/messages";
import type { Reply } from "../../anthropic/reply.ts";
import { requestOf } from "../../anthropic/request.ts";
import type { TranscriptEntry } from "../../contracts/transcript.ts";
import type { Failure } from "../../platform/errors.ts";
import { announce, closeAttempt } from "../store/model-calls.ts";
import { show } from "../store/output.ts";
import { fenced, type TurnRow, type TurnStore } from "../store/turn-store.ts";

/** The beta feature that compaction requests, and requests that carry a compaction block, are made under. */
export const COMPACTION_BETA = "compact-2026-09-04";

/** The rows before the open turn: what can be summarized. */
export function compactable(store: TurnStore, turn: TurnRow): readonly TranscriptEntry[] {
  return store.transcript.entries().filter((entry) => entry.n !== turn.n);
}

export function compactionRequest(
  store: TurnStore,
  before: readonly TranscriptEntry[],
  simulated: boolean,
): MessageCreateParamsStreaming {
  const body = requestOf(store.spec, before, { responseSchema: null, simulated });
  return { ...body, compaction: { type: "summarize" } } as MessageCreateParamsStreaming;
}

export function betasOf(entries: readonly TranscriptEntry[]): string[] {
  return entries.some((entry) => entry.blocks.some((block) => block.type === "compaction")) ? [COMPACTION_BETA] : [];
}

/**
 * Puts the summary in the place of what it summarizes. The open turn's rows are appended again behind it, as the order of
 * rows is the order of the conversation. Returns false when the answer holds no summary.
 */
export function commitCompaction(store: TurnStore, attempt: number, turn: TurnRow, reply: Reply, now: number): boolean {
  const summary = reply.blocks.find((block) => block?.type === "compaction" && typeof block.content === "string");
  if (!summary) return false;
  fenced(store, (tx) => {
    const used = closeAttempt(tx, store, attempt, turn.n, "completed", reply, now);
    const own = store.transcript.entries().filter((entry) => entry.n === turn.n);
    store.transcript.omitAll(tx);
    store.transcript.append(tx, turn.n, "assistant", [summary], now);
    for (const entry of own) store.transcript.append(tx, turn.n, entry.role, entry.blocks, now, entry.simulated);
    tx.exec("UPDATE turn SET phase = 'ready', compactions = compactions + 1, failures = 0 WHERE n = ?", turn.n);
    show(
      tx,
      {
        n: turn.n,
        type: "notice",
        text: "The conversation before this message was summarized: it no longer fitted the model's context.",
      },
      now,
    );
    announce(tx, used, now);
  });
  return true;
}

export function contextFull(why: string): Failure {
  return {
    code: "too_large",
    message: `The conversation no longer fits the model's context, and could not be summarized: ${why} Spawn a fresh instance and give it what it needs.`,
  };
}
