/**
 * What an instance says of itself when it is asked how it is.
 */
import type { Checkup } from "../../contracts/instance.ts";
import { callFigures, healthOf } from "../reporting/health.ts";
import { selfOf } from "../store/instance-row.ts";
import { openTurn } from "../store/turn-store.ts";

const iso = (ms: number | null | undefined) => (ms ? new Date(ms).toISOString() : null);

/** `initialized`: whether the object has rows to look at. `nextAlarm` in ms since the epoch. */
export function checkupOf(sql: SqlStorage, initialized: boolean, nextAlarm: number | null): Checkup {
  const self = initialized ? selfOf(sql) : undefined;
  const turn = self ? openTurn(sql) : undefined;
  const started = turn
    ? sql.exec<{ started_at: number | null }>("SELECT started_at FROM message WHERE n = ?", turn.n).one().started_at
    : null;
  return {
    reachable: true,
    working: turn !== undefined,
    turn_started_at: iso(started),
    last_step_at: iso(turn?.last_step_at),
    queue_depth: self?.queued ?? 0,
    unreported_events: self
      ? sql.exec<{ n: number }>("SELECT COUNT(*) AS n FROM event WHERE seq > (SELECT reported_seq FROM self)").one().n
      : 0,
    last_calls: self ? callFigures(sql) : { calls: 0, failed: 0 },
    unhealthy: self ? healthOf(sql) : null,
    next_alarm_at: iso(nextAlarm),
  };
}
