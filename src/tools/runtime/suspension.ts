/**
 * Waiting by an instance: no call is held. A tool that would wait throws the signal, the turn runner keeps the waitpoint in rows,
 * and the tool runs again when what it waits for has happened.
 */
import type { Waitpoint } from "../../contracts/instance-tool.ts";

/** The state of a tool call that an instance makes and that may suspend. */
export interface Suspension {
  /** When the call first ran, in ms since the epoch. */
  startedAt: number;
  /** A message has come in that should not wait: answer with what there is. */
  wokenEarly: boolean;
  /** The instance's newest event when the call began. */
  eventSeq: number;
}

/** Not an error: the call goes on later. */
export class SuspendSignal extends Error {
  readonly waitpoint: Waitpoint;

  constructor(waitpoint: Waitpoint) {
    super("The call is suspended.");
    this.waitpoint = waitpoint;
  }
}
