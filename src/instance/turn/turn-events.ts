/**
 * The events of the turn runner, for one listener.
 */
import type { CallOutcome } from "../../contracts/model-call.ts";

export type TurnEvent =
  /** Admission to a model call is about to be requested; that request carries what is committed so far to the Orchestrator. */
  | { kind: "admitting" }
  /** There is more of the running model answer. */
  | { kind: "streamed" }
  /** Something is committed that others wait for: a turn's end, a pause, or the end of a model call (`call`: how it went). */
  | { kind: "committed"; call?: CallOutcome }
  /** The runner stops with a turn open, until a time or until something from outside changes it. */
  | { kind: "waiting" }
  /** The runner stops: nothing is left to do, or nothing that it may do. */
  | { kind: "rested" }
  /** The turn on message `n` is closed. */
  | { kind: "turn_ended"; n: number };

/** The runner does not go on before the promise resolves. It must not reject. */
export type TurnListener = (event: TurnEvent) => Promise<void> | void;
