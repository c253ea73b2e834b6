/**
 * Waiting by an instance: it holds no call, it parks. A tool that would wait throws the signal, the engine keeps what it waits
 * for in rows, and the tool runs again when that has happened.
 */
import type { Park } from "../../contracts/instance-tool.ts";

/** How a tool call stands that an instance makes, and that may park. */
export interface Parking {
  /** When the call first ran, in ms since the epoch. */
  startedAt: number;
  /** A message has come in that should not wait: answer with what there is. */
  nudged: boolean;
  /** The instance's newest event when the call began. */
  eventSeq: number;
}

/** Not an error: the call goes on later. */
export class ParkSignal extends Error {
  readonly park: Park;

  constructor(park: Park) {
    super("The call is parked.");
    this.park = park;
  }
}
