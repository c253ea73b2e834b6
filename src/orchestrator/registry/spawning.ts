/**
 * Spawning: an instance is its row, what it copies on its first use, and a balance, committed together or not at all.
 */
import type { InstanceSpec } from "../../contracts/instance-spec.ts";
import type { SpawnReceipt, SpawnRequest } from "../../contracts/orchestrator.ts";
import { unknownInstance } from "../../contracts/refusals.ts";
import { err, ok, type Result } from "../../platform/errors.ts";
import { recall, remember } from "../../platform/idempotency.ts";
import { messageIdOf, newInstanceId } from "../../platform/ids.ts";
import type { Tx } from "../../platform/transaction.ts";
import { isSoft } from "../../remote-mcp/web-tools.ts";
import { limitsAndRemaining } from "../budget/balances.ts";
import { openBalance, scopesOf } from "../budget/ledger.ts";
import { recordCall } from "../store/audit-record.ts";
import { logEvent } from "../store/event-log.ts";
import { insertFirstUse, specOf } from "../store/first-uses.ts";
import { type InstanceRow, insertInstance, rowOf } from "../store/instance-rows.ts";
import { changeLimits, type LimitDefaults } from "../store/limits.ts";
import { enqueue } from "../store/outbox.ts";
import { countSpawned, tenantRow } from "../store/tenant-row.ts";
import { spawnLimits } from "./spawn-limits.ts";

/** The rules for spawning that do not come with the request. */
export interface SpawnRules {
  maxInstances: number;
  maxDepth: number;
  maxChildren: number | null;
  timeoutMinutes: number;
  /** The simulator will answer for the instance. */
  simulated: boolean;
  defaults: LimitDefaults;
}

/**
 * Commits an instance, or returns why not: `not_found` for a parent that does not exist, `conflict` for a parent
 * that is terminated, `forbidden` for limits beyond those of the instance that spawns it, `limit_reached` when the tenant has
 * `maxInstances` active ones.
 */
export function spawn(
  tx: Tx,
  request: SpawnRequest & { sealed?: string | null },
  rules: SpawnRules,
  caps: { tenantNano: number; ownTokens: number },
  now: number,
): Result<SpawnReceipt> {
  const known = recall<SpawnReceipt>(tx, request.idempotency);
  if (known) return known;
  let depth = 0;
  let path: string[] = [];
  let workspaceOwner: string | null = null;
  let approvals = request.require_approval ?? [];
  if (request.parent_instance_id !== null) {
    const parent = rowOf(tx, request.parent_instance_id);
    if (!parent) return unknownInstance(request.parent_instance_id, "The parent instance");
    if (!parent.active) {
      return err("conflict", `The parent instance ${parent.instance_id} is terminated and takes no children.`, {
        parent_instance_id: parent.instance_id,
      });
    }
    depth = parent.depth + 1;
    path = [...scopesOf(tx, parent.instance_id).slice(1)];
    const inherited = specOf(tx, parent.instance_id);
    if (request.workspace === "parent") workspaceOwner = inherited.workspace_owner ?? parent.instance_id;
    // What needs approval for the parent needs it for its children: they can't be a way around it.
    approvals = [...new Set([...(inherited.require_approval ?? []), ...approvals])];
    const tooDeep = treeRefusal(tx, parent, depth, rules);
    if (tooDeep) return tooDeep;
  }
  const limits = spawnLimits(tx, request, rules.defaults);
  if (!limits.ok) return limits;
  const active = tenantRow(tx).active_instances;
  if (active >= rules.maxInstances) {
    return err(
      "limit_reached",
      `${active} instances are active and MAX_INSTANCES is ${rules.maxInstances}. Terminate one that is no longer needed, or raise MAX_INSTANCES.`,
      { active_instances: active, max_instances: rules.maxInstances },
    );
  }
  const instanceId = request.instance_id ?? newInstanceId(now);
  const hasPrompt = request.initial_prompt !== null;
  const spec: InstanceSpec = {
    v: 1,
    tenant: request.tenant,
    instance_id: instanceId,
    name: request.name,
    role: request.role,
    model: request.model,
    effort: request.effort,
    max_tokens: request.max_tokens,
    ...(request.compact_at_tokens === undefined ? {} : { compact_at_tokens: request.compact_at_tokens }),
    system: request.system,
    tools: request.tools,
    workspace_owner: workspaceOwner,
    parent_instance_id: request.parent_instance_id,
    ...(request.mcp_servers?.length ? { mcp_servers: request.mcp_servers } : {}),
    ...(approvals.length > 0 ? { require_approval: approvals } : {}),
    ...(request.trace ? { trace: request.trace } : {}),
    has_initial_prompt: hasPrompt,
    depth,
    created_at: now,
  };
  insertInstance(
    tx,
    {
      instanceId,
      name: spec.name,
      role: spec.role,
      model: spec.model,
      parentId: spec.parent_instance_id,
      depth,
      path,
      unusedUntil: now + (limits.value.timeout_minutes ?? rules.timeoutMinutes) * 60_000,
      state: hasPrompt ? "initializing" : "idle",
      workspaceOwner,
      soft: isSoft(spec.tools),
      simulated: rules.simulated,
    },
    now,
  );
  insertFirstUse(tx, spec, request.initial_prompt, request.sealed ?? null);
  countSpawned(tx);
  openBalance(tx, instanceId);
  if (Object.values(limits.value).some((limit) => limit !== undefined)) changeLimits(tx, instanceId, limits.value);
  logEvent(tx, instanceId, 0, now, "instance.spawned", {
    name: spec.name,
    role: spec.role,
    model: spec.model,
    parent_instance_id: spec.parent_instance_id,
  });
  recordCall(tx, request.audit, instanceId, now);
  if (hasPrompt) enqueue(tx, instanceId, "wake", now);
  const receipt: SpawnReceipt = {
    instance_id: instanceId,
    message_id: hasPrompt ? messageIdOf(instanceId, 0) : null,
    ...limitsAndRemaining(tx, instanceId, rules.defaults, caps),
  };
  return remember(tx, request.idempotency, ok(receipt), now);
}

function treeRefusal(sql: SqlStorage, parent: InstanceRow, depth: number, rules: SpawnRules): Result<never> | null {
  if (depth > rules.maxDepth) {
    return err(
      "limit_reached",
      `Instances go ${rules.maxDepth} levels deep (MAX_DEPTH), and this one would be at ${depth}.`,
      {
        depth,
        max_depth: rules.maxDepth,
      },
    );
  }
  if (rules.maxChildren === null) return null;
  const { children } = sql
    .exec<{ children: number }>(
      "SELECT COUNT(*) AS children FROM instance WHERE parent_id = ? AND active = 1",
      parent.instance_id,
    )
    .one();
  if (children < rules.maxChildren) return null;
  return err(
    "limit_reached",
    `${parent.instance_id} has ${children} active children, and MAX_CHILDREN is ${rules.maxChildren}.`,
    {
      children,
      max_children: rules.maxChildren,
    },
  );
}
