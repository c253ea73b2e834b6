/**
 * The table `team_template`: the team templates that a tenant has stored.
 */
import type { AuditedCall } from "../../contracts/audited-call.ts";
import { MAX_TEMPLATE_BYTES, MAX_TEMPLATES, type TeamTemplate } from "../../contracts/team-template.ts";
import { err, ok, type Result } from "../../platform/errors.ts";
import { first } from "../../platform/sqlite.ts";
import type { Tx } from "../../platform/transaction.ts";
import { recordCall } from "../store/audit-record.ts";

/** The tenant's own templates, by name. */
export function storedTemplates(sql: SqlStorage): TeamTemplate[] {
  return sql
    .exec<{ template: string }>("SELECT template FROM team_template ORDER BY name")
    .toArray()
    .map((row) => JSON.parse(row.template) as TeamTemplate);
}

/**
 * Stores a template. Storing the same one again changes nothing. `conflict` for another one of that name, `too_large`,
 * `limit_reached`.
 */
export function storeTemplate(
  tx: Tx,
  template: TeamTemplate,
  now: number,
  audit?: AuditedCall,
): Result<{ created: boolean }> {
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
  const known = first<{ template: string }>(tx, "SELECT template FROM team_template WHERE name = ?", template.name);
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
  const { stored } = tx.exec<{ stored: number }>("SELECT COUNT(*) AS stored FROM team_template").one();
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
  tx.exec("INSERT INTO team_template (name, v, template, created_at) VALUES (?, 1, ?, ?)", template.name, json, now);
  recordCall(tx, audit, template.name, now);
  return ok({ created: true });
}

/** Returns whether there was one. */
export function deleteTemplate(tx: Tx, name: string, now: number, audit?: AuditedCall): boolean {
  const deleted = tx.exec("DELETE FROM team_template WHERE name = ?", name).rowsWritten > 0;
  if (deleted) recordCall(tx, audit, name, now);
  return deleted;
}
