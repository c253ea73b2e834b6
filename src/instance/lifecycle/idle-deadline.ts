/**
 * What an instance's rows say of its time: whether it rests, how long it may, and how long a turn may take.
 */

import type { Rest } from "../../contracts/instance.ts";
import type { Failure } from "../../platform/errors.ts";
import { messageIdOf } from "../../platform/ids.ts";
import { effectiveLimits, type InstanceRow, instanceRow } from "../store/instance-row.ts";
import { startedAt } from "../store/messages.ts";
import { openTurn, type TurnRow } from "../store/turns.ts";

/** Whether there is nothing to do: no turn is open, and no message will start one. */
export function isResting(instance: InstanceRow): boolean {
  return instance.open_n === null && (instance.queued === 0 || instance.lifecycle !== "active");
}

export function restOf(sql: SqlStorage, instanceId: string): Rest {
  const instance = instanceRow(sql);
  const paused = (instance && openTurn(sql)?.paused) ?? null;
  return {
    resting: !instance || isResting(instance),
    ended: instance?.lifecycle === "terminated",
    queue_depth: instance?.queued ?? 0,
    working_on: instance && instance.open_n !== null ? messageIdOf(instanceId, instance.open_n) : null,
    paused: paused === null ? null : (JSON.parse(paused) as Failure),
  };
}

/** When the instance ends for want of work, in ms since the epoch; null while it has some, or has ended. */
export function idleDeadline(sql: SqlStorage, instance = instanceRow(sql)): number | null {
  if (instance?.lifecycle !== "active") return null;
  const turn = openTurn(sql);
  const atWork = turn ? turn.paused === null : instance.queued > 0;
  return atWork ? null : instance.last_activity + effectiveLimits(instance).idleTimeoutMs;
}

/** Whether the running turn has taken longer than it may. */
export function isOverdue(sql: SqlStorage, now: number): boolean {
  const instance = instanceRow(sql);
  const turn = instance ? openTurn(sql) : undefined;
  if (!instance || !turn || turn.paused !== null) return false;
  const deadline = turnDeadline(sql, instance, turn);
  return deadline !== null && deadline <= now;
}

/** When a turn has to be over, in ms since the epoch, or null. The time that a cap held it up does not count. */
export function turnDeadline(sql: SqlStorage, instance: InstanceRow, turn: TurnRow): number | null {
  const { maxTurnMs } = effectiveLimits(instance);
  if (maxTurnMs === null) return null;
  const started = startedAt(sql, turn.n);
  return started === null ? null : started + turn.held_ms + maxTurnMs;
}
