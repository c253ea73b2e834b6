/**
 * What a whole answer of the model means for its turn, decided from the answer and the turn's row alone, and the commit of it.
 */
import { isResumable } from "../../anthropic/conversation.ts";
import type { Reply } from "../../anthropic/reply.ts";
import type { OutputType } from "../../contracts/instance.ts";
import type { Block } from "../../contracts/transcript.ts";
import type { Failure } from "../../platform/errors.ts";
import type { Tx } from "../../platform/transaction.ts";
import { wellFormed } from "../../platform/well-formed.ts";
import { setSimulated } from "../store/instance-row.ts";
import { messagesJoined } from "../store/messages.ts";
import { show } from "../store/output.ts";
import { insertToolCall } from "../store/tool-calls.ts";
import { textOf } from "../store/transcript.ts";
import { fenced, type TurnStore } from "../store/turn-store.ts";
import { countResume, countStep, setResponse, type TurnRow, takeUnshown } from "../store/turns.ts";
import { announce, endCall } from "./model-call-steps.ts";
import type { TurnPhase } from "./next-action.ts";
import { finish, tryWithoutPassive } from "./turn-transitions.ts";

/** `pause_turn` answers in one turn that are resumed. */
export const MAX_RESUMES = 10;

const CUT_OFF_CALL =
  "This call was cut off by the output limit before it was whole, and was not run. Send it again in smaller pieces.";

export type Verdict =
  | { kind: "completed"; cut: boolean }
  | { kind: "tools" }
  /** The API paused a long answer: call again with nothing added. */
  | { kind: "resume" }
  /** The context is full, and the answer says nothing: make room, then call again. */
  | { kind: "compact" }
  /** The answer's text has to follow a schema: that is checked once the answer is safe. */
  | { kind: "check" }
  | { kind: "failed"; error: Failure }
  | { kind: "refused"; error: Failure };

/** Pure. */
function verdictOf(reply: Reply, turn: Pick<TurnRow, "resumes">, hasSchema: boolean, maxTokens: number): Verdict {
  const blocks = sendable(reply.blocks);
  const text = textOf(blocks);
  if (reply.stopReason === "refusal") return { kind: "refused", error: refusalOf(reply) };
  if (blocks.some((block) => block.type === "tool_use")) return { kind: "tools" };
  // Whatever was said is paid, and may be the answer. Without a word there is room to be made.
  if (reply.stopReason === "model_context_window_exceeded" && text === "") return { kind: "compact" };
  if (reply.stopReason === "pause_turn" && turn.resumes < MAX_RESUMES) return { kind: "resume" };
  const cut = isCut(reply.stopReason);
  if (cut && text === "") return { kind: "failed", error: outOfTokens(maxTokens) };
  return hasSchema ? { kind: "check" } : { kind: "completed", cut };
}

const PHASE_AFTER: Partial<Record<Verdict["kind"], TurnPhase>> = {
  tools: "tools",
  compact: "full",
  check: "checking",
};

/** Whether an answer that ended for this reason was not at its end. */
export function isCut(stopReason: string | null): boolean {
  return ["max_tokens", "model_context_window_exceeded", "pause_turn"].includes(stopReason ?? "");
}

/** A whole answer is in: the assistant's message, its usage and what follows from it, at once. */
export function commitAnswer(
  store: TurnStore,
  callId: number,
  turn: TurnRow,
  reply: Reply,
  answer: { simulated: boolean; hasSchema: boolean },
  now: number,
): void {
  const verdict = verdictOf(reply, turn, answer.hasSchema, store.spec.max_tokens);
  // The model's refusal, and what did not fit its context, are no part of the conversation.
  const kept = verdict.kind !== "refused" && verdict.kind !== "compact";
  const blocks = kept ? sendable(reply.blocks) : [];
  fenced(store, (tx) => {
    const seq =
      blocks.length > 0 ? store.transcript.append(tx, turn.n, "assistant", blocks, now, answer.simulated) : null;
    const ended = endCall(tx, store, { id: callId, n: turn.n, outcome: "completed", reply, answerSeq: seq }, now);
    setSimulated(tx, answer.simulated);
    countStep(tx, turn.n, PHASE_AFTER[verdict.kind] ?? "ready", answer.simulated, now);
    if (verdict.kind === "completed") showResponse(tx, turn.n, seq, verdict.cut, now);
    else if (seq !== null && verdict.kind !== "check") showProgress(tx, turn.n, seq, blocks, now);
    announce(tx, ended, now);
    switch (verdict.kind) {
      case "completed":
        return finish(tx, store, turn.n, "completed", null, now);
      case "failed":
        return finish(tx, store, turn.n, "failed", verdict.error, now);
      case "refused": {
        const { error } = verdict;
        if (tryWithoutPassive(tx, store, turn.n, { state: "refused", error }, now)) return;
        return finish(tx, store, turn.n, "refused", error, now);
      }
      case "compact":
      case "check":
        return;
      case "resume":
        return resume(tx, store, turn.n, blocks, now);
      case "tools":
        return writeIntents(tx, turn, reply, blocks);
    }
  });
}

function resume(tx: Tx, store: TurnStore, n: number, blocks: readonly Block[], now: number): void {
  if (!isResumable(blocks)) {
    // An answer that ends in text would have to be continued, which models refuse.
    store.transcript.append(tx, n, "user", [{ type: "text", text: "[Your answer was paused. Go on.]" }], now);
  }
  countResume(tx, n);
}

/** One row per tool call. A call that was cut off, or is in a cut-off answer, is answered at once and never run. */
function writeIntents(tx: Tx, turn: TurnRow, reply: Reply, blocks: readonly Block[]): void {
  for (const use of blocks) {
    if (use.type !== "tool_use") continue;
    const cutOff =
      reply.stopReason === "max_tokens" ||
      reply.stopReason === "model_context_window_exceeded" ||
      reply.brokenInputs.has(String(use.id));
    insertToolCall(tx, {
      n: turn.n,
      step: turn.step + 1,
      toolUseId: String(use.id),
      name: String(use.name),
      input: JSON.stringify(use.input ?? {}),
      refusal: cutOff ? CUT_OFF_CALL : null,
    });
  }
}

/**
 * The response in the output, with what the turn has used; each message that joined the turn gets the same under its own id.
 * `seq`: its row in the transcript; null: it is empty.
 */
export function showResponse(tx: Tx, n: number, seq: number | null, truncated: boolean, now: number): void {
  const where = seq === null ? { text: "" } : { seq };
  const outputIndex = show(tx, { n, type: "response", ...where, ...takeUnshown(tx, n) }, now);
  for (const joined of messagesJoined(tx, n)) show(tx, { n: joined, type: "response", ...where }, now);
  setResponse(tx, n, { outputIndex, truncated });
}

/** What an answer says on the way, in the output. */
export function showProgress(tx: Tx, n: number, seq: number, blocks: readonly Block[], now: number): void {
  const visible = blocks.flatMap((block, index): { type: OutputType; index: number }[] => {
    if (block.type === "text") return [{ type: "progress", index }];
    return block.type === "tool_use" || block.type === "server_tool_use" ? [{ type: "tool_call", index }] : [];
  });
  visible.forEach(({ type, index }, i) => {
    // The call's tokens and cost are on its last row, so that the sum over rows is the sum over calls.
    const last = i === visible.length - 1;
    const spent = last ? takeUnshown(tx, n) : {};
    show(tx, { n, type, seq, block: index, ...spent }, now);
  });
}

/** Blocks that the API takes back: it refuses empty text, and half a character anywhere. */
function sendable(blocks: readonly (Block | undefined)[]): Block[] {
  const said = blocks.filter(
    (block): block is Block => block !== undefined && !(block.type === "text" && String(block.text).trim() === ""),
  );
  return wellFormed(said);
}

function refusalOf(reply: Reply): Failure {
  const category = reply.stopDetails?.category ?? null;
  const why = reply.stopDetails?.explanation ?? "The model gave no explanation.";
  return {
    code: "refused",
    message: `The model refused to answer${category ? ` (${category})` : ""}: ${why}`,
    details: { category },
  };
}

function outOfTokens(maxTokens: number): Failure {
  return {
    code: "limit_reached",
    message: `The answer needed more than max_tokens (${maxTokens}) before it said anything. Spawn an instance with a larger max_tokens, or ask for less.`,
    details: { max_tokens: maxTokens },
  };
}
