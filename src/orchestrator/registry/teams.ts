/**
 * Teams: a supervisor and its members as one act, and the templates that a tenant has stored.
 */
import type { AuditedCall } from "../../contracts/audited-call.ts";
import type { TeamReceipt, TeamRequest } from "../../contracts/orchestrator.ts";
import { MAX_TEMPLATE_BYTES, MAX_TEMPLATES, type TeamTemplate } from "../../contracts/team-template.ts";
import { err, failureOf, MadroxError, ok, type Result, unwrap } from "../../platform/errors.ts";
import { recall, remember } from "../../platform/idempotency.ts";
import { newInstanceId } from "../../platform/ids.ts";
import { first } from "../../platform/sqlite.ts";
import { briefingOf } from "../../roles/teams/briefing.ts";
import { recordCall } from "../store/audit-record.ts";
import { type SpawnRules, spawn, tenantRow } from "./registry.ts";

/**
 * Commits a whole team or nothing: `limit_reached` when there is no room for all of it, and whatever a spawn of the supervisor
 * or of a member is refused for.
 */
export function spawnTeam(
  storage: DurableObjectStorage,
  request: TeamRequest,
  rules: SpawnRules,
  caps: { tenantNano: number; ownTokens: number },
  now: number,
): Result<TeamReceipt> {
  const { sql } = storage;
  try {
    return storage.transactionSync((): Result<TeamReceipt> => {
      const known = recall<TeamReceipt>(sql, request.idempotency);
      if (known) return known;
      const size = 1 + request.members.length;
      const active = tenantRow(sql).active_instances;
      if (active + size > rules.maxInstances) throw noRoom(size, active, rules.maxInstances);
      const place = (seat: Parameters<typeof spawn>[1]) => unwrap(spawn(storage, seat, rules, caps, now));
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
      recordCall(sql, request.audit, supervisorId, now);
      return remember(sql, request.idempotency, ok({ supervisor, members: seats.map(place) }), now);
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

/** The tenant's own templates, by name. */
export function storedTemplates(sql: SqlStorage): TeamTemplate[] {
  return sql
    .exec<{ template: string }>("SELECT template FROM team_template ORDER BY name")
    .toArray()
    .map((row) => JSON.parse(row.template) as TeamTemplate);
}

/**
 * Stores a template. The same one again changes nothing; `conflict` for another one of that name, `too_large`, and
 * `limit_reached` when there are as many as there may be.
 */
export function storeTemplate(
  storage: DurableObjectStorage,
  template: TeamTemplate,
  now: number,
  audit?: AuditedCall,
): Result<{ created: boolean }> {
  const { sql } = storage;
  const json = JSON.stringify(template);
  const bytes = new TextEncoder().encode(json).length;
  if (bytes > MAX_TEMPLATE_BYTES) {
    return err(
      "too_large",
      `The template has ${bytes} bytes, and at most ${MAX_TEMPLATE_BYTES} are taken. Shorten its prompts.`,
      {
        bytes,
        limit_bytes: MAX_TEMPLATE_BYTES,
      },
    );
  }
  return storage.transactionSync((): Result<{ created: boolean }> => {
    const known = first<{ template: string }>(sql, "SELECT template FROM team_template WHERE name = ?", template.name);
    if (known?.template === json) return ok({ created: false });
    if (known) {
      return err(
        "conflict",
        `There is another template named ${template.name}. Delete it first, or choose another name.`,
        {
          name: template.name,
        },
      );
    }
    const { stored } = sql.exec<{ stored: number }>("SELECT COUNT(*) AS stored FROM team_template").one();
    if (stored >= MAX_TEMPLATES) {
      return err(
        "limit_reached",
        `${stored} templates are stored, and there may be ${MAX_TEMPLATES}. Delete one first.`,
        {
          stored,
          max_templates: MAX_TEMPLATES,
        },
      );
    }
    sql.exec("INSERT INTO team_template (name, v, template, created_at) VALUES (?, 1, ?, ?)", template.name, json, now);
    recordCall(sql, audit, template.name, now);
    return ok({ created: true });
  });
}

/** Returns whether there was one. */
export function deleteTemplate(storage: DurableObjectStorage, name: string, now: number, audit?: AuditedCall): boolean {
  const { sql } = storage;
  return storage.transactionSync(() => {
    const deleted = sql.exec("DELETE FROM team_template WHERE name = ?", name).rowsWritten > 0;
    if (deleted) recordCall(sql, audit, name, now);
    return deleted;
  });
}
