/**
 * What a whole answer of the model means for its turn, decided from the answer and the turn's row alone, and the commit of it.
 */
import { isResumable } from "../../anthropic/conversation.ts";
import type { Reply } from "../../anthropic/reply.ts";
import type { OutputType } from "../../contracts/instance.ts";
import type { Block } from "../../contracts/transcript.ts";
import type { Failure } from "../../platform/errors.ts";
import type { Tx } from "../../platform/transaction.ts";
import { announce, closeAttempt, takeUnshown } from "../store/model-calls.ts";
import { show } from "../store/output.ts";
import { CUT_OFF_CALL } from "../store/tool-calls.ts";
import { textOf } from "../store/transcript.ts";
import { fenced, type TurnRow, type TurnStore } from "../store/turn-store.ts";
import { finish, tryWithoutNotes } from "./turn-transitions.ts";

/** `pause_turn` answers in one turn that are resumed. */
export const MAX_RESUMES = 10;

/** Whether an answer's text follows the schema that was asked for. */
export type StructuredCheck = { ok: true; value: unknown } | { ok: false; problem: string };

export type Verdict =
  | { kind: "completed"; cut: boolean }
  | { kind: "tools" }
  /** The API paused a long answer: call again with nothing added. */
  | { kind: "resume" }
  /** The context is full, and the answer says nothing: make room, then call again. */
  | { kind: "compact" }
  /** Ask once more for an answer that follows the schema. */
  | { kind: "repair"; problem: string }
  | { kind: "failed"; error: Failure }
  | { kind: "refused"; error: Failure };

/** Pure. `structured` is the check of the answer's text when a schema was asked for. */
function verdictOf(
  reply: Reply,
  turn: Pick<TurnRow, "resumes" | "repairs">,
  structured: StructuredCheck | null,
  maxTokens: number,
): Verdict {
  const blocks = sendable(reply.blocks);
  const text = textOf(blocks);
  if (reply.stopReason === "refusal") return { kind: "refused", error: refusalOf(reply) };
  if (blocks.some((block) => block.type === "tool_use")) return { kind: "tools" };
  // Whatever was said is paid, and may be the answer. Without a word there is room to be made.
  if (reply.stopReason === "model_context_window_exceeded" && text === "") return { kind: "compact" };
  if (reply.stopReason === "pause_turn" && turn.resumes < MAX_RESUMES) return { kind: "resume" };
  const cut = ["max_tokens", "model_context_window_exceeded", "pause_turn"].includes(reply.stopReason ?? "");
  if (cut && text === "") return { kind: "failed", error: outOfTokens(maxTokens) };
  if (!structured || structured.ok) return { kind: "completed", cut };
  if (turn.repairs === 0) return { kind: "repair", problem: structured.problem };
  return { kind: "failed", error: schemaMismatch(structured.problem, text) };
}

/** A whole answer is in: the assistant's message, its usage and what follows from it, at once. */
export function commitAnswer(
  store: TurnStore,
  attempt: number,
  turn: TurnRow,
  reply: Reply,
  answer: { simulated: boolean; structured: StructuredCheck | null },
  now: number,
): void {
  const verdict = verdictOf(reply, turn, answer.structured, store.spec.max_tokens);
  fenced(store, (tx) => {
    const used = closeAttempt(tx, store, attempt, turn.n, "completed", reply, now);
    const simulated = answer.simulated ? 1 : 0;
    tx.exec("UPDATE self SET simulated = ?", simulated);
    tx.exec(
      `UPDATE turn SET step = step + 1, failures = 0, crashes = 0, not_before = NULL, waiting_reason = NULL, last_step_at = ?, simulated = ?,
         phase = ? WHERE n = ?`,
      now,
      simulated,
      verdict.kind === "tools" ? "tools" : verdict.kind === "compact" ? "full" : "ready",
      turn.n,
    );
    if (verdict.kind === "refused" || verdict.kind === "compact") {
      announce(tx, used, now);
      if (
        verdict.kind === "refused" &&
        !tryWithoutNotes(tx, store, turn.n, { state: "refused", error: verdict.error }, now)
      )
        finish(tx, store, turn.n, "refused", verdict.error, now);
      return;
    }

    const blocks = sendable(reply.blocks);
    const seq =
      blocks.length > 0 ? store.transcript.append(tx, turn.n, "assistant", blocks, now, answer.simulated) : null;
    if (verdict.kind === "completed") {
      const where = seq === null ? { text: "" } : { seq };
      const spent = takeUnshown(tx, turn.n);
      const index = show(tx, { n: turn.n, type: "response", ...where, ...spent }, now);
      // Whoever steered the turn gets the same answer, under the id of their own message.
      for (const { n } of tx.exec<{ n: number }>("SELECT n FROM message WHERE joined_n = ?", turn.n).toArray()) {
        show(tx, { n, type: "response", ...where }, now);
      }
      tx.exec(
        "UPDATE turn SET response_index = ?, truncated = ?, structured = ? WHERE n = ?",
        index,
        verdict.cut ? 1 : 0,
        answer.structured?.ok ? JSON.stringify(answer.structured.value) : null,
        turn.n,
      );
      announce(tx, used, now, seq);
      keepAnswer(tx, attempt, seq);
      return finish(tx, store, turn.n, "completed", null, now);
    }

    showProgress(tx, turn.n, seq, blocks, now);
    announce(tx, used, now, seq);
    keepAnswer(tx, attempt, seq);
    switch (verdict.kind) {
      case "failed":
        return finish(tx, store, turn.n, "failed", verdict.error, now);
      case "resume":
        // An answer that ends in text would have to be continued, which models refuse.
        if (!isResumable(blocks))
          store.transcript.append(
            tx,
            turn.n,
            "user",
            [{ type: "text", text: "[Your answer was paused. Go on.]" }],
            now,
          );
        tx.exec("UPDATE turn SET resumes = resumes + 1 WHERE n = ?", turn.n);
        return;
      case "repair": {
        const request = `Your answer does not follow the required schema: ${verdict.problem}. Answer again with nothing but valid JSON.`;
        store.transcript.append(tx, turn.n, "user", [{ type: "text", text: request }], now);
        show(tx, { n: turn.n, type: "notice", text: request }, now);
        tx.exec("UPDATE turn SET repairs = repairs + 1 WHERE n = ?", turn.n);
        return;
      }
      case "tools":
        return writeIntents(tx, turn, reply, blocks);
    }
  });
}

/** The attempt's answer: what was reported for it is a known part of the next prompt. */
function keepAnswer(tx: Tx, attempt: number, seq: number | null): void {
  tx.exec("UPDATE attempt SET answer_seq = ? WHERE id = ?", seq, attempt);
}

/** One row a tool call. A call that was cut off, or stands in a cut-off answer, is answered at once and never run. */
function writeIntents(tx: Tx, turn: TurnRow, reply: Reply, blocks: readonly Block[]): void {
  for (const use of blocks) {
    if (use.type !== "tool_use") continue;
    const cutOff =
      reply.stopReason === "max_tokens" ||
      reply.stopReason === "model_context_window_exceeded" ||
      reply.brokenInputs.has(String(use.id));
    tx.exec(
      "INSERT INTO tool_call (n, step, tool_use_id, name, input, state, result, is_error) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
      turn.n,
      turn.step + 1,
      String(use.id),
      String(use.name),
      JSON.stringify(use.input ?? {}),
      cutOff ? "done" : "pending",
      cutOff ? CUT_OFF_CALL : null,
      cutOff ? 1 : 0,
    );
  }
}

function showProgress(tx: Tx, n: number, seq: number | null, blocks: readonly Block[], now: number): void {
  if (seq === null) return;
  const visible = blocks.flatMap((block, index): { type: OutputType; index: number }[] => {
    if (block.type === "text") return [{ type: "progress", index }];
    return block.type === "tool_use" || block.type === "server_tool_use" ? [{ type: "tool_call", index }] : [];
  });
  visible.forEach(({ type, index }, i) => {
    // The call's tokens and cost stand on its last row, so that a sum over rows is the sum over calls.
    const last = i === visible.length - 1;
    const spent = last ? takeUnshown(tx, n) : {};
    show(tx, { n, type, seq, block: index, ...spent }, now);
  });
}

/** Blocks that the API takes back: it refuses empty text. */
function sendable(blocks: readonly (Block | undefined)[]): Block[] {
  return blocks.filter(
    (block): block is Block => block !== undefined && !(block.type === "text" && String(block.text).trim() === ""),
  );
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

/** The raw text stays readable: as much of it as fits beside the error, and whole in the output. */
function schemaMismatch(problem: string, text: string): Failure {
  return {
    code: "schema_mismatch",
    message: `The answer does not follow response_schema, also after one repair: ${problem}. Its text is in the output.`,
    details: { raw: text.slice(0, 20_000).toWellFormed() },
  };
}

function outOfTokens(maxTokens: number): Failure {
  return {
    code: "limit_reached",
    message: `The answer needed more than max_tokens (${maxTokens}) before it said anything. Spawn an instance with a larger max_tokens, or ask for less.`,
    details: { max_tokens: maxTokens },
  };
}
