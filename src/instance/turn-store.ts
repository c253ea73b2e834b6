/**
 * What every write of a turn goes through: the open turn's row, and a transaction that only its own drive may make.
 */
import { first, type Row } from "../sqlite.ts";
import { nextQueued } from "./inbox.ts";
import { selfOf } from "./self.ts";
import type { InstanceSpec } from "./spec.ts";
import { callsOf } from "./tool-calls.ts";
import type { Transcript } from "./transcript.ts";
import type { TurnPhase, TurnRows, TurnView } from "./turn.ts";

/** Model calls in one turn, at most: far above what honest work takes, and an end to a loop. */
export const MAX_STEPS = 200;

export interface TurnStore {
  storage: DurableObjectStorage;
  transcript: Transcript;
  spec: InstanceSpec;
  generation: string;
}

export interface TurnRow extends Row {
  n: number;
  phase: TurnPhase;
  generation: string;
  step: number;
  resumes: number;
  failures: number;
  compactions: number;
  repairs: number;
  not_before: number | null;
  waiting_reason: string | null;
  cancel_reason: string | null;
  last_step_at: number;
}

const TURN_COLUMNS =
  "n, phase, generation, step, resumes, failures, compactions, repairs, not_before, waiting_reason, cancel_reason, last_step_at";

export function openTurn(sql: SqlStorage): TurnRow | undefined {
  return first<TurnRow>(sql, `SELECT ${TURN_COLUMNS} FROM turn WHERE n = (SELECT open_n FROM self)`);
}

/** The rows that `nextAction` decides on. */
export function turnRows(sql: SqlStorage, generation: string, now: number): TurnRows {
  const self = selfOf(sql);
  const row = openTurn(sql);
  const turn: TurnView | null = row
    ? {
        n: row.n,
        phase: row.phase,
        generation: row.generation,
        step: row.step,
        failures: row.failures,
        notBefore: row.not_before,
        waitingReason: row.waiting_reason,
        cancelReason: row.cancel_reason,
      }
    : null;
  return {
    generation,
    ended: self?.ended ?? 2,
    turn,
    nextQueued: turn ? null : nextQueued(sql),
    calls: row?.phase === "tools" ? callsOf(sql, row) : [],
    maxSteps: MAX_STEPS,
    now,
  };
}

/** The open turn belongs to another drive by now. The one that sees this stops, and writes nothing. */
export class Superseded extends Error {}

/** A transaction that only the drive may make whose generation the open turn carries. */
export function fenced<T>(store: TurnStore, work: () => T): T {
  return transaction(store, () => {
    if (openTurn(store.storage.sql)?.generation !== store.generation)
      throw new Superseded("another drive has taken over");
    return work();
  });
}

/** One transaction; the transcript's cache is dropped when it fails, as it may then hold what storage doesn't. */
export function transaction<T>(store: TurnStore, work: () => T): T {
  try {
    return store.storage.transactionSync(work);
  } catch (error) {
    store.transcript.forget();
    throw error;
  }
}
