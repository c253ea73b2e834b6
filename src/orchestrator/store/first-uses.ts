/**
 * The table `first_use`: what an instance copies on its first use. Nothing else writes it.
 */
import type { InstanceSpec } from "../../contracts/instance-spec.ts";
import type { FirstUse, Grants } from "../../contracts/orchestrator.ts";
import { first } from "../../platform/sqlite.ts";
import type { Tx } from "../../platform/transaction.ts";
import { markUsed } from "./instance-rows.ts";

/** `secrets`: sealed; null: none. */
export function insertFirstUse(tx: Tx, spec: InstanceSpec, initialPrompt: string | null, secrets: string | null): void {
  tx.exec(
    "INSERT INTO first_use (instance_id, spec, initial_prompt, secrets) VALUES (?, ?, ?, ?)",
    spec.instance_id,
    JSON.stringify(spec),
    initialPrompt,
    secrets,
  );
}

/** The spec of an instance that there is. */
export function specOf(sql: SqlStorage, instanceId: string): InstanceSpec {
  const { spec } = sql.exec<{ spec: string }>("SELECT spec FROM first_use WHERE instance_id = ?", instanceId).one();
  return JSON.parse(spec) as InstanceSpec;
}

/** What an instance was given at its spawn, or null when there is none of this id. */
export function grantsOf(sql: SqlStorage, instanceId: string): Grants | null {
  const row = first<{ spec: string }>(sql, "SELECT spec FROM first_use WHERE instance_id = ?", instanceId);
  if (!row) return null;
  const { tools, mcp_servers = [], require_approval = [] } = JSON.parse(row.spec) as InstanceSpec;
  return {
    tools: tools.map(({ name }) => name),
    remote_tools: mcp_servers.flatMap((server) => server.tools),
    require_approval,
  };
}

/** What an instance copies on its first use, or null when there is none of this id. */
export function takeFirstUse(tx: Tx, instanceId: string): Omit<FirstUse, "limits"> | null {
  const row = first<{ spec: string; initial_prompt: string | null; secrets: string | null; active: number }>(
    tx,
    "SELECT spec, initial_prompt, secrets, active FROM first_use JOIN instance USING (instance_id) WHERE instance_id = ?",
    instanceId,
  );
  if (!row) return null;
  markUsed(tx, instanceId);
  const { spec, initial_prompt, secrets, active } = row;
  return { spec: JSON.parse(spec), initial_prompt, secrets, ended: active === 0 };
}

/** The instance has its secrets, or has ended. */
export function forgetSecrets(tx: Tx, instanceId: string): void {
  tx.exec("UPDATE first_use SET secrets = NULL WHERE instance_id = ? AND secrets IS NOT NULL", instanceId);
}

export function deleteFirstUse(tx: Tx, instanceId: string): void {
  tx.exec("DELETE FROM first_use WHERE instance_id = ?", instanceId);
}
