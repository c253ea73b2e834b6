/**
 * What `nextAction` decides on, read from the rows.
 */
import { turnDeadline } from "../lifecycle/idle-deadline.ts";
import { instanceRow } from "../store/instance-row.ts";
import { nextQueued } from "../store/messages.ts";
import { hasOpenQuestion } from "../store/questions.ts";
import { callsOf } from "../store/tool-calls.ts";
import type { TurnStore } from "../store/turn-store.ts";
import { openTurn } from "../store/turns.ts";
import type { TurnRows, TurnView } from "./next-action.ts";

export function turnRows(store: TurnStore, now: number): TurnRows {
  const { sql } = store.storage;
  const instance = instanceRow(sql);
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
        deadline: instance ? turnDeadline(sql, instance, row) : null,
      }
    : null;
  return {
    generation: store.generation,
    lifecycle: instance?.lifecycle ?? "terminated",
    turn,
    nextQueued: turn ? null : nextQueued(sql),
    calls:
      row?.phase === "tools"
        ? callsOf(sql, row).map((call) => ({
            id: call.id,
            name: call.name,
            state: call.state,
            wakeAt: call.wake_at,
            waitReason: call.wait_reason,
          }))
        : [],
    asking: row?.phase === "tools" && hasOpenQuestion(sql),
    maxSteps: store.maxSteps,
    now,
  };
}
