/**
 * What `nextAction` decides on, read from the rows.
 */
import { nextQueued } from "../store/inbox.ts";
import { selfOf } from "../store/instance-row.ts";
import { callsOf } from "../store/tool-calls.ts";
import { deadlineOf, openTurn, type TurnStore } from "../store/turn-store.ts";
import type { TurnRows, TurnView } from "./next-action.ts";

export function turnRows(store: TurnStore, now: number): TurnRows {
  const { sql } = store.storage;
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
        paused: row.paused !== null,
        deadline: self ? deadlineOf(sql, self, row) : null,
      }
    : null;
  return {
    generation: store.generation,
    ended: self?.ended ?? 2,
    turn,
    nextQueued: turn ? null : nextQueued(sql),
    calls:
      row?.phase === "tools"
        ? callsOf(sql, row).map((call) => ({
            id: call.id,
            name: call.name,
            state: call.state,
            wakeAt: call.wake_at,
            parkReason: call.park_reason,
          }))
        : [],
    maxSteps: store.maxSteps,
    now,
  };
}
