/**
 * What the check of a structured answer means for its turn. The answer was committed before: it is paid, and stays whatever
 * becomes of the check.
 */
import type { Block } from "../../contracts/transcript.ts";
import type { Failure } from "../../platform/errors.ts";
import type { Tx } from "../../platform/transaction.ts";
import { newestAnswerOf } from "../store/model-calls.ts";
import { show } from "../store/output.ts";
import { textOf } from "../store/transcript.ts";
import { fenced, type TurnStore } from "../store/turn-store.ts";
import { countRepair, setStructured, type TurnRow } from "../store/turns.ts";
import { isCut, showProgress, showResponse } from "./model-answers.ts";
import type { StructuredCheck } from "./structured-output.ts";
import { finish } from "./turn-transitions.ts";

/** The turn's newest answer. */
export interface Answer {
  /** Its row in the transcript; null: it was empty. */
  seq: number | null;
  blocks: readonly Block[];
  text: string;
  cut: boolean;
}

export function answerOf(store: TurnStore, n: number): Answer {
  const { seq, stopReason } = newestAnswerOf(store.storage.sql, n);
  const blocks = (seq === null ? undefined : store.transcript.entry(seq)?.blocks) ?? [];
  return { seq, blocks, text: textOf(blocks), cut: isCut(stopReason) };
}

/** An answer that follows the schema ends the turn, and so does one that can't be checked. Another one is repaired once. */
export function commitCheck(
  store: TurnStore,
  turn: TurnRow,
  answer: Answer,
  check: StructuredCheck,
  now: number,
): void {
  fenced(store, (tx) => {
    if (check.kind !== "differs") {
      showResponse(tx, turn.n, answer.seq, answer.cut, now);
      setStructured(tx, turn.n, check.kind === "fits" ? check.value : undefined, check.unchecked);
      return finish(tx, store, turn.n, "completed", null, now);
    }
    if (answer.seq !== null) showProgress(tx, turn.n, answer.seq, answer.blocks, now);
    if (turn.repairs === 0) return askForRepair(tx, store, turn.n, check.problem, now);
    finish(tx, store, turn.n, "failed", schemaMismatch(check.problem, answer.text), now);
  });
}

function askForRepair(tx: Tx, store: TurnStore, n: number, problem: string, now: number): void {
  const request = `Your answer does not follow the required schema: ${problem}. Answer again with nothing but valid JSON.`;
  store.transcript.append(tx, n, "user", [{ type: "text", text: request }], now);
  show(tx, { n, type: "notice", text: request }, now);
  countRepair(tx, n);
}

/** The raw text stays readable: as much of it as fits beside the error, and whole in the output. */
function schemaMismatch(problem: string, text: string): Failure {
  return {
    code: "schema_mismatch",
    message: `The answer does not follow response_schema, also after one repair: ${problem}. Its text is in the output.`,
    details: { raw: text.slice(0, 20_000).toWellFormed() },
  };
}
