/**
 * What every write of a turn goes through: a transaction that only its own runner may make. The runner's generation is its
 * fencing token.
 */
import type { InstanceSpec } from "../../contracts/instance-spec.ts";
import { inTransaction, type Tx } from "../../platform/transaction.ts";
import type { Transcript } from "./transcript.ts";
import { openTurn } from "./turns.ts";

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
