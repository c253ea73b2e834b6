/**
 * Queries about the tree of instances.
 */

import type { InstanceState } from "../../contracts/instance-spec.ts";
import type { Relation, Relations, TreeQuery } from "../../contracts/orchestrator.ts";
import type { TreeAnswer, TreeNode, TreeRow } from "../../contracts/records.ts";
import { unknownInstance } from "../../contracts/refusals.ts";
import { ok, type Result } from "../../platform/errors.ts";
import { isJobId } from "../../platform/ids.ts";
import { first, type Row } from "../../platform/sqlite.ts";
import { NANO_PER_USD } from "../../platform/units.ts";
import type { DefaultCaps } from "../budget/ledger.ts";

/**
 * An instance and everything below it that has not ended; bind the id. Queries on it read `tree CROSS JOIN instance`, here and
 * elsewhere: CROSS JOIN fixes the order of SQLite's loops. Otherwise a condition with an index of its own would make it read every
 * instance of the tenant.
 */
export const TREE = `WITH RECURSIVE tree(id) AS (
  SELECT ? UNION ALL SELECT instance_id FROM tree CROSS JOIN instance ON parent_id = tree.id AND active = 1)`;

/** When to check an instance again whose subtree is at work. */
const LOOK_AGAIN_MS = 60_000;

/**
 * An instance's idle deadline, in ms since the epoch: counted from the last activity in its subtree, and put off while anything in
 * it is at work or belongs to an open job. Null when it is terminated.
 */
export function idleDeadline(sql: SqlStorage, instanceId: string, timeoutMs: number, now: number): number | null {
  const row = first<{ active: number }>(sql, "SELECT active FROM instance WHERE instance_id = ?", instanceId);
  if (!row?.active) return null;
  const { busy, last } = sql
    .exec<{ busy: number; last: number }>(
      `${TREE} SELECT SUM(state IN ('busy', 'waiting', 'initializing')) AS busy, MAX(last_activity) AS last
       FROM tree CROSS JOIN instance ON instance_id = tree.id WHERE active = 1`,
      instanceId,
    )
    .one();
  return busy > 0 || isInOpenJob(sql, instanceId) ? now + LOOK_AGAIN_MS : last + timeoutMs;
}

/** Whether anything in the subtree of an instance belongs to an open job. */
function isInOpenJob(sql: SqlStorage, instanceId: string): boolean {
  const found = first(
    sql,
    `${TREE} SELECT 1 AS one FROM job WHERE state IN ('queued', 'running') AND (coordinator_id IN (SELECT id FROM tree)
       OR EXISTS (SELECT 1 FROM json_each(participants) WHERE value IN (SELECT id FROM tree))) LIMIT 1`,
    instanceId,
  );
  return found !== undefined;
}

/** Paused instances in the subtree of an instance, or (null) of the tenant. */
export function pausedWithin(sql: SqlStorage, instanceId: string | null): string[] {
  const rows =
    instanceId === null
      ? sql.exec<{ instance_id: string }>("SELECT instance_id FROM instance WHERE state = 'paused'")
      : sql.exec<{ instance_id: string }>(
          `${TREE} SELECT instance_id FROM tree CROSS JOIN instance ON instance_id = tree.id WHERE state = 'paused'`,
          instanceId,
        );
  return rows.toArray().map((row) => row.instance_id);
}

/** The active children of an instance, oldest first. */
export function childrenOf(sql: SqlStorage, instanceId: string): string[] {
  return sql
    .exec<{ instance_id: string }>(
      "SELECT instance_id FROM instance WHERE parent_id = ? AND active = 1 ORDER BY instance_id",
      instanceId,
    )
    .toArray()
    .map((row) => row.instance_id);
}

interface RelatedRow extends Row {
  instance_id: string;
  name: string;
  parent_id: string | null;
  path: string;
}

/**
 * What others are to an instance. A job is what its creator is. An unknown id, or one of another tree, is a `stranger`.
 */
export function relationsOf(sql: SqlStorage, instanceId: string, others: readonly string[]): Result<Relations> {
  const wanted = [...new Set([instanceId, ...others])];
  const creators = creatorsOf(sql, wanted);
  const rows = sql
    .exec<RelatedRow>(
      "SELECT instance_id, name, parent_id, path FROM instance WHERE instance_id IN (SELECT value FROM json_each(?))",
      JSON.stringify([...wanted, ...creators.values()]),
    )
    .toArray();
  const self = rows.find((row) => row.instance_id === instanceId);
  if (!self) return unknownInstance(instanceId);
  const known = new Map(rows.map((row) => [row.instance_id, row]));
  const related = wanted.map((id): [string, Relation] => [id, relationOf(self, known.get(creators.get(id) ?? id))]);
  return ok({ name: self.name, parent_id: self.parent_id, to: Object.fromEntries(related) });
}

/** The instances that started the jobs among these ids, by job. */
function creatorsOf(sql: SqlStorage, ids: readonly string[]): ReadonlyMap<string, string> {
  const jobs = ids.filter((id) => isJobId(id));
  if (jobs.length === 0) return new Map();
  const rows = sql
    .exec<{ job_id: string; creator: string }>(
      "SELECT job_id, creator FROM job WHERE creator IS NOT NULL AND job_id IN (SELECT value FROM json_each(?))",
      JSON.stringify(jobs),
    )
    .toArray();
  return new Map(rows.map((row) => [row.job_id, row.creator]));
}

function relationOf(self: RelatedRow, other: RelatedRow | undefined): Relation {
  if (!other) return "stranger";
  if (other.instance_id === self.instance_id) return "self";
  if (other.parent_id === self.instance_id) return "child";
  if ((JSON.parse(other.path) as string[]).includes(self.instance_id)) return "descendant";
  if (self.parent_id === other.instance_id) return "parent";
  if ((JSON.parse(self.path) as string[]).includes(other.instance_id)) return "ancestor";
  return self.parent_id !== null && self.parent_id === other.parent_id ? "sibling" : "stranger";
}

interface NodeRow extends Row {
  instance_id: string;
  name: string;
  role: string;
  model: string;
  state: InstanceState;
  parent_id: string | null;
  depth: number;
  cost: number;
  subtree_cost: number;
  queue_depth: number;
  open_questions: number;
  waiting_reason: string | null;
  max_cost_nano: number | null;
  max_total_tokens: number | null;
  own_fresh: number;
  fresh: number;
  simulated: number;
}

const NODE = `instance.instance_id, name, role, model, state, parent_id, depth, cost_nano + instance.unsettled_nano AS cost,
  balance.settled_nano + balance.unsettled_nano AS subtree_cost, queue_depth, open_questions, waiting_reason, max_cost_nano,
  max_total_tokens, tokens_input + tokens_output + tokens_cache_write AS own_fresh, balance.fresh, simulated`;
const NODE_TABLES = `instance CROSS JOIN balance ON balance.scope = instance.instance_id
  LEFT JOIN limits ON limits.scope = instance.instance_id`;

function treeRow(row: NodeRow, caps: DefaultCaps): TreeRow {
  return {
    instance_id: row.instance_id,
    parent_instance_id: row.parent_id,
    name: row.name,
    role: row.role,
    model: row.model,
    state: row.state,
    depth: row.depth,
    cost: row.cost / NANO_PER_USD,
    subtree_cost: row.subtree_cost / NANO_PER_USD,
    max_cost: row.max_cost_nano === null ? null : row.max_cost_nano / NANO_PER_USD,
    // A limit of its own binds the subtree, the default only the instance.
    tokens: row.max_total_tokens === null ? row.own_fresh : row.fresh,
    max_total_tokens: row.max_total_tokens ?? caps.ownTokens,
    queue_depth: row.queue_depth,
    ...(row.waiting_reason && row.state === "waiting" ? { waiting_for: row.waiting_reason } : {}),
    ...(row.open_questions > 0 ? { open_questions: row.open_questions } : {}),
    ...(row.simulated ? { simulated: true as const } : {}),
  };
}

/** The tree rows of instances and of their ancestors, whose balances change with theirs. Unknown ids are left out. */
export function nodesOf(sql: SqlStorage, ids: readonly string[], caps: DefaultCaps): TreeRow[] {
  if (ids.length === 0) return [];
  return sql
    .exec<NodeRow>(
      `WITH RECURSIVE up(id) AS (
         SELECT value FROM json_each(?) UNION SELECT parent_id FROM instance JOIN up ON instance_id = up.id WHERE parent_id IS NOT NULL)
       SELECT ${NODE} FROM up CROSS JOIN ${NODE_TABLES} WHERE instance.instance_id = up.id ORDER BY depth, instance.instance_id`,
      JSON.stringify(ids),
    )
    .toArray()
    .map((row) => treeRow(row, caps));
}

/**
 * The tree below an instance, or (null) all trees, down to `depth` levels below the top, and at most the `limit` uppermost
 * instances. `not_found`.
 */
export function treeOf(sql: SqlStorage, query: TreeQuery, caps: DefaultCaps): Result<TreeAnswer> {
  const { root_id, depth, limit, terminated } = query;
  if (root_id !== null && !first(sql, "SELECT 1 AS one FROM instance WHERE instance_id = ?", root_id))
    return unknownInstance(root_id);
  const only = terminated ? "" : "AND active = 1";
  // SQLite reads all of the first SELECT before it applies the LIMIT of the whole.
  const top =
    root_id === null
      ? `SELECT * FROM (SELECT instance_id, 0 FROM instance WHERE parent_id IS NULL ${only} ORDER BY instance_id LIMIT ?)`
      : "SELECT instance_id, 0 FROM instance WHERE instance_id = ?";
  const rows = sql
    .exec<NodeRow>(
      `WITH RECURSIVE tree(id, level) AS (
         ${top}
         UNION ALL
         SELECT instance_id, level + 1 FROM tree CROSS JOIN instance ON parent_id = tree.id WHERE level < ? ${only}
         ORDER BY 2 LIMIT ?)
       SELECT ${NODE} FROM tree CROSS JOIN ${NODE_TABLES} WHERE instance.instance_id = tree.id
       ORDER BY level, instance.instance_id`,
      root_id ?? limit + 1,
      depth,
      limit + 1,
    )
    .toArray();
  const shown = rows.slice(0, limit);
  const nodes = new Map<string, TreeNode>();
  const roots: TreeNode[] = [];
  for (const row of shown) {
    const node: TreeNode = { ...treeRow(row, caps), children: [] };
    nodes.set(row.instance_id, node);
    const parent = row.parent_id === null ? undefined : nodes.get(row.parent_id);
    (parent?.children ?? roots).push(node);
  }
  return ok({ roots, count: shown.length, truncated: rows.length > limit });
}
