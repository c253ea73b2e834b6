/**
 * What every write of a turn goes through: the open turn's row, and a transaction that only its own runner may make. The
 * runner's generation is its fencing token.
 */

import type { InstanceSpec } from "../../contracts/instance-spec.ts";
import { first, type Row } from "../../platform/sqlite.ts";
import { inTransaction, type Tx } from "../../platform/transaction.ts";
import type { TurnPhase } from "../turn/next-action.ts";
import { type SelfRow, standingOf } from "./instance-row.ts";
import type { Transcript } from "./transcript.ts";

export interface TurnStore {
  storage: DurableObjectStorage;
  transcript: Transcript;
  spec: InstanceSpec;
  generation: string;
  /** Model calls in one turn, at most. */
  maxSteps: number;
  /** Tokens of a call from which on the conversation is summarized before the next one. */
  compactAt: number;
}

export interface TurnRow extends Row {
  n: number;
  phase: TurnPhase;
  generation: string;
  step: number;
  resumes: number;
  failures: number;
  crashes: number;
  compactions: number;
  summary_tries: number;
  repairs: number;
  not_before: number | null;
  waiting_reason: string | null;
  cancel_reason: string | null;
  paused: string | null;
  held_ms: number;
  last_step_at: number;
}

const TURN_COLUMNS =
  "n, phase, generation, step, resumes, failures, crashes, compactions, summary_tries, repairs, not_before, waiting_reason, cancel_reason, paused, held_ms, last_step_at";

export function openTurn(sql: SqlStorage): TurnRow | undefined {
  return first<TurnRow>(sql, `SELECT ${TURN_COLUMNS} FROM turn WHERE n = (SELECT open_n FROM self)`);
}

/** When a turn has to be over, in ms since the epoch, or null. The time that a cap held it up does not count. */
export function deadlineOf(sql: SqlStorage, self: SelfRow, turn: TurnRow): number | null {
  const { maxTurnMs } = standingOf(self);
  if (maxTurnMs === null) return null;
  const started = first<{ started_at: number | null }>(
    sql,
    "SELECT started_at FROM message WHERE n = ?",
    turn.n,
  )?.started_at;
  return started == null ? null : started + turn.held_ms + maxTurnMs;
}

/** The open turn belongs to another runner by now. The one that sees this stops, and writes nothing. */
export class Superseded extends Error {}

/** A transaction that only the runner may make whose generation the open turn carries. */
export function fenced<T>(store: TurnStore, work: (tx: Tx) => T): T {
  return transaction(store, (tx) => {
    if (openTurn(tx)?.generation !== store.generation) throw new Superseded("another runner has taken over");
    return work(tx);
  });
}

/** One transaction; the transcript's cache is dropped when it fails, as it may then hold what storage doesn't. */
export function transaction<T>(store: TurnStore, work: (tx: Tx) => T): T {
  try {
    return inTransaction(store.storage, work);
  } catch (error) {
    store.transcript.forget();
    throw error;
  }
}
