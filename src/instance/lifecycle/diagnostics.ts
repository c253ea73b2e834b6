/**
 * What an instance says of itself when it is asked how it is.
 */
import type { Checkup } from "../../contracts/instance.ts";
import { LAST_CALLS } from "../reporting/health.ts";
import { countUnreported } from "../store/events.ts";
import { healthOf, instanceRow } from "../store/instance-row.ts";
import { startedAt } from "../store/messages.ts";
import { lastCalls } from "../store/model-calls.ts";
import { openTurn } from "../store/turns.ts";

const iso = (ms: number | null | undefined) => (ms ? new Date(ms).toISOString() : null);

/** `initialized`: whether the object has rows to look at. `nextAlarm` in ms since the epoch. */
export function checkupOf(sql: SqlStorage, initialized: boolean, nextAlarm: number | null): Checkup {
  const instance = initialized ? instanceRow(sql) : undefined;
  const turn = instance ? openTurn(sql) : undefined;
  return {
    reachable: true,
    working: turn !== undefined,
    turn_started_at: iso(turn && startedAt(sql, turn.n)),
    last_step_at: iso(turn?.last_step_at),
    queue_depth: instance?.queued ?? 0,
    unreported_events: instance ? countUnreported(sql) : 0,
    last_calls: instance ? lastCalls(sql, LAST_CALLS) : { calls: 0, failed: 0 },
    unhealthy: instance ? healthOf(sql) : null,
    next_alarm_at: iso(nextAlarm),
  };
}
