/**
 * What an instance's rows say of its time: whether it rests, how long it may, and how long a turn may take.
 */

import type { Rest } from "../../contracts/instance.ts";
import { messageIdOf } from "../../platform/ids.ts";
import { type SelfRow, selfOf, standingOf } from "../store/instance-row.ts";
import { deadlineOf, openTurn } from "../store/turn-store.ts";

/** Whether there is nothing to do: no turn is open, and no message will start one. */
export function isResting(self: SelfRow): boolean {
  return self.open_n === null && (self.queued === 0 || self.ended !== 0);
}

export function restOf(sql: SqlStorage, instanceId: string): Rest {
  const self = selfOf(sql);
  return {
    resting: !self || isResting(self),
    ended: self?.ended === 2,
    queue_depth: self?.queued ?? 0,
    working_on: self && self.open_n !== null ? messageIdOf(instanceId, self.open_n) : null,
  };
}

/** When the instance ends for want of work, in ms since the epoch; null while it has some, or has ended. */
export function idleDeadline(sql: SqlStorage): number | null {
  const self = selfOf(sql);
  if (self?.ended !== 0) return null;
  const turn = openTurn(sql);
  const atWork = turn ? turn.paused === null : self.queued > 0;
  return atWork ? null : self.last_activity + standingOf(self).idleTimeoutMs;
}

/** Whether the running turn has taken longer than it may. */
export function isOverdue(sql: SqlStorage, now: number): boolean {
  const self = selfOf(sql);
  const turn = self ? openTurn(sql) : undefined;
  if (!self || !turn || turn.paused !== null) return false;
  const deadline = deadlineOf(sql, self, turn);
  return deadline !== null && deadline <= now;
}
