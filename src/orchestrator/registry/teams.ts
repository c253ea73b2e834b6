/**
 * Teams: a supervisor and its members, spawned as one.
 */
import type { TeamReceipt, TeamRequest } from "../../contracts/orchestrator.ts";
import { failureOf, MadroxError, ok, type Result, unwrap } from "../../platform/errors.ts";
import { recall, remember } from "../../platform/idempotency.ts";
import { newInstanceId } from "../../platform/ids.ts";
import { inTransaction } from "../../platform/transaction.ts";
import { briefingOf } from "../../roles/teams/briefing.ts";
import { recordCall } from "../store/audit-record.ts";
import { tenantRow } from "../store/tenant-row.ts";
import { type SpawnRules, spawn } from "./spawning.ts";

/**
 * Commits a whole team or nothing: `limit_reached` when there is no room for all of it, and any refusal of spawning the supervisor
 * or a member.
 */
export function spawnTeam(
  storage: DurableObjectStorage,
  request: TeamRequest,
  rules: SpawnRules,
  caps: { tenantNano: number; ownTokens: number },
  now: number,
): Result<TeamReceipt> {
  try {
    return inTransaction(storage, (tx): Result<TeamReceipt> => {
      const known = recall<TeamReceipt>(tx, request.idempotency);
      if (known) return known;
      const size = 1 + request.members.length;
      const active = tenantRow(tx).active_instances;
      if (active + size > rules.maxInstances) throw noRoom(size, active, rules.maxInstances);
      const place = (seat: Parameters<typeof spawn>[1]) => unwrap(spawn(tx, seat, rules, caps, now));
      const supervisorId = newInstanceId(now);
      const seats = request.members.map((member) => ({
        ...member,
        parent_instance_id: supervisorId,
        instance_id: newInstanceId(now),
      }));
      const supervisor = place({
        ...request.supervisor,
        instance_id: supervisorId,
        initial_prompt: request.task === null ? null : briefingOf(seats, request.coordination_type, request.task),
      });
      recordCall(tx, request.audit, supervisorId, now);
      return remember(tx, request.idempotency, ok({ supervisor, members: seats.map(place) }), now);
    });
  } catch (error) {
    if (error instanceof MadroxError) return { ok: false, error: failureOf(error) };
    throw error;
  }
}

function noRoom(size: number, active: number, maximum: number): MadroxError {
  const free = Math.max(0, maximum - active);
  return new MadroxError(
    "limit_reached",
    `The team has ${size} instances, and there is room for ${free}: ${active} are active and MAX_INSTANCES is ${maximum}. Leave members out (overrides.leave_out), terminate instances that are no longer needed, or raise MAX_INSTANCES. Nothing was spawned.`,
    { team_size: size, active_instances: active, max_instances: maximum },
  );
}
