/**
 * The registry: one row an instance, and the tenant's totals beside them. Every change of both is one transaction.
 */
import { settlementOf } from "../../contracts/call-settled.ts";
import type { InstanceEvent, InstanceSpec, Report } from "../../contracts/instance-spec.ts";
import type {
  Birth,
  ListQuery,
  SpawnReceipt,
  SpawnRequest,
  TerminateReceipt,
  TerminateRequest,
} from "../../contracts/orchestrator.ts";
import type { InstancePage } from "../../contracts/records.ts";
import { unknownInstance } from "../../contracts/refusals.ts";
import type { Result } from "../../platform/errors.ts";
import { err, ok } from "../../platform/errors.ts";
import { recall, remember } from "../../platform/idempotency.ts";
import { messageIdOf, newInstanceId } from "../../platform/ids.ts";
import { first, type Row } from "../../platform/sqlite.ts";
import { isSoft } from "../../remote-mcp/web-tools.ts";
import { purseOf } from "../budget/balances.ts";
import { close, openBalance, scopesOf } from "../budget/ledger.ts";
import { recordCall } from "../store/audit-record.ts";
import { figuresAfter, parseFigures } from "../store/counters.ts";
import { logEvent, logEvents } from "../store/event-log.ts";
import { changeLimits, type LimitDefaults } from "../store/limits.ts";
import { callerOf, dequeueAll, enqueue } from "../store/outbox.ts";
import { keepQuestions } from "./questions.ts";
import { freshTokens, type InstanceRow, STATUS_COLUMNS, statusOf } from "./status.ts";
import { openJobsOf, TREE, waitOver } from "./tree.ts";

interface TenantRow extends Row {
  total_instances: number;
  active_instances: number;
  tokens_input: number;
  tokens_output: number;
  tokens_cache_read: number;
  tokens_cache_write: number;
  bound_violations: number;
}

/**
 * Commits one instance, or answers why not: `not_found` for a parent that does not exist, `conflict` for a parent
 * that is terminated, `limit_reached` when the tenant has `maxInstances` active ones.
 */
export function spawn(
  storage: DurableObjectStorage,
  request: SpawnRequest & { sealed?: string | null },
  rules: SpawnRules,
  caps: { tenantNano: number; ownTokens: number },
  now: number,
): Result<SpawnReceipt> {
  const { sql } = storage;
  return storage.transactionSync((): Result<SpawnReceipt> => {
    const known = recall<SpawnReceipt>(sql, request.idempotency);
    if (known) return known;
    let depth = 0;
    let path: string[] = [];
    let workspaceOwner: string | null = null;
    let approvals = request.require_approval ?? [];
    if (request.parent_instance_id !== null) {
      const parent = rowOf(sql, request.parent_instance_id);
      if (!parent) return unknownInstance(request.parent_instance_id, "The parent instance");
      if (!parent.active) {
        return err("conflict", `The parent instance ${parent.instance_id} is terminated and takes no children.`, {
          parent_instance_id: parent.instance_id,
        });
      }
      depth = parent.depth + 1;
      path = [...scopesOf(sql, parent.instance_id).slice(1)];
      const family = specOf(sql, parent.instance_id);
      if (request.workspace === "parent") workspaceOwner = family.workspace_owner ?? parent.instance_id;
      // What a parent may not do without leave, it can't have done by a child.
      approvals = [...new Set([...(family.require_approval ?? []), ...approvals])];
      const tooDeep = familyRefusal(sql, parent, depth, rules);
      if (tooDeep) return tooDeep;
    }
    const active = tenantRow(sql).active_instances;
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
    sql.exec(
      `INSERT INTO instance (instance_id, name, role, model, parent_id, depth, path, unused_until, state, active,
         workspace_owner, soft, simulated, created_at, last_activity) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?)`,
      instanceId,
      spec.name,
      spec.role,
      spec.model,
      spec.parent_instance_id,
      depth,
      JSON.stringify(path),
      now + (request.limits.timeout_minutes ?? rules.timeoutMinutes) * 60_000,
      hasPrompt ? "initializing" : "idle",
      workspaceOwner,
      isSoft(spec.tools) ? 1 : 0,
      rules.simulated ? 1 : 0,
      now,
      now,
    );
    sql.exec(
      "INSERT INTO birth (instance_id, spec, initial_prompt, secrets) VALUES (?, ?, ?, ?)",
      instanceId,
      JSON.stringify(spec),
      request.initial_prompt,
      request.sealed ?? null,
    );
    sql.exec("UPDATE tenant SET total_instances = total_instances + 1, active_instances = active_instances + 1");
    openBalance(sql, instanceId);
    if (Object.values(request.limits).some((limit) => limit !== undefined))
      changeLimits(sql, instanceId, request.limits);
    logEvent(sql, instanceId, 0, now, "instance.spawned", {
      name: spec.name,
      role: spec.role,
      model: spec.model,
      parent_instance_id: spec.parent_instance_id,
    });
    recordCall(sql, request.audit, instanceId, now);
    if (hasPrompt) enqueue(sql, instanceId, "wake", now);
    const receipt: SpawnReceipt = {
      instance_id: instanceId,
      message_id: hasPrompt ? messageIdOf(instanceId, 0) : null,
      ...purseOf(sql, instanceId, rules.defaults, caps),
    };
    return remember(sql, request.idempotency, ok(receipt), now);
  });
}

function specOf(sql: SqlStorage, instanceId: string): InstanceSpec {
  const { spec } = sql.exec<{ spec: string }>("SELECT spec FROM birth WHERE instance_id = ?", instanceId).one();
  return JSON.parse(spec) as InstanceSpec;
}

function forgetSecrets(sql: SqlStorage, instanceId: string): void {
  sql.exec("UPDATE birth SET secrets = NULL WHERE instance_id = ? AND secrets IS NOT NULL", instanceId);
}

/** What an instance copies on its first use; from then on it watches its idle time itself. */
export function birthOf(sql: SqlStorage, instanceId: string): Omit<Birth, "standing"> | null {
  const row = first<{ spec: string; initial_prompt: string | null; secrets: string | null; active: number }>(
    sql,
    "SELECT spec, initial_prompt, secrets, active FROM birth JOIN instance USING (instance_id) WHERE instance_id = ?",
    instanceId,
  );
  if (row)
    sql.exec("UPDATE instance SET unused_until = NULL WHERE instance_id = ? AND unused_until IS NOT NULL", instanceId);
  if (!row) return null;
  const { spec, initial_prompt, secrets, active } = row;
  return { spec: JSON.parse(spec), initial_prompt, secrets, ended: active === 0 };
}

/** What binds a spawn beside its request. */
export interface SpawnRules {
  maxInstances: number;
  maxDepth: number;
  maxChildren: number | null;
  timeoutMinutes: number;
  /** The simulator will answer for it. */
  simulated: boolean;
  defaults: LimitDefaults;
}

function familyRefusal(sql: SqlStorage, parent: InstanceRow, depth: number, rules: SpawnRules): Result<never> | null {
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

/**
 * Takes over what an instance reports of itself: its row, the ledger, the tenant's totals and the event log, all or nothing.
 * Returns whether a reservation came free.
 */
export function apply(storage: DurableObjectStorage, report: Report): boolean {
  const { sql } = storage;
  return storage.transactionSync(() => {
    const row = rowOf(sql, report.instance_id);
    if (!row) return false;
    let freed = false;
    const known = parseFigures(row.figures);
    let figures = known;
    const news = report.events.filter((event) => event.seq > row.event_seq);
    logEvents(sql, row.instance_id, news);
    for (const event of news) {
      figures = figuresAfter(figures, event);
      const settled = settlementOf(event);
      if (settled) freed = close(sql, row.instance_id, settled.attempt, settled.ending, event.at) || freed;
    }
    if (figures !== known) {
      countForTenant(sql, news);
      sql.exec("UPDATE instance SET figures = ? WHERE instance_id = ?", JSON.stringify(figures), row.instance_id);
    }
    const eventSeq = Math.max(row.event_seq, report.events.at(-1)?.seq ?? 0);
    if (report.seq <= row.report_seq) {
      if (eventSeq > row.event_seq)
        sql.exec("UPDATE instance SET event_seq = ? WHERE instance_id = ?", eventSeq, row.instance_id);
      return freed;
    }
    const { snapshot } = report;
    if (row.active) keepQuestions(sql, row.instance_id, row.open_questions, report.questions);
    if (snapshot.state !== "waiting") waitOver(sql, row.instance_id, report.seq);
    sql.exec(
      `UPDATE instance SET report_seq = ?, event_seq = ?, state = CASE active WHEN 1 THEN ? ELSE state END,
         waiting_reason = ?, waiting_until = ?, last_activity = ?, queue_depth = ?, request_count = ?, completed_count = ?,
         error_count = ?, response_ms_total = ?, tokens_input = ?, tokens_output = ?, tokens_cache_read = ?,
         tokens_cache_write = ?, error_message = ?, simulated = ?, unhealthy = ?
       WHERE instance_id = ?`,
      report.seq,
      eventSeq,
      snapshot.state,
      snapshot.waiting_for?.reason ?? null,
      snapshot.waiting_for?.until ?? null,
      snapshot.last_activity,
      snapshot.queue_depth,
      snapshot.request_count,
      snapshot.completed_count,
      snapshot.error_count,
      snapshot.response_ms_total,
      snapshot.tokens.input,
      snapshot.tokens.output,
      snapshot.tokens.cache_read,
      snapshot.tokens.cache_write,
      snapshot.error_message,
      snapshot.simulated ? 1 : 0,
      snapshot.unhealthy ? JSON.stringify(snapshot.unhealthy) : null,
      row.instance_id,
    );
    // It has reported, so it was born: it has its secrets.
    if (row.report_seq === 0) forgetSecrets(sql, row.instance_id);
    const fresh = freshTokens(snapshot.tokens) + snapshot.tokens.cache_read;
    const before = row.tokens_input + row.tokens_output + row.tokens_cache_read + row.tokens_cache_write;
    if (fresh === before) return freed;
    sql.exec(
      `UPDATE tenant SET tokens_input = tokens_input + ?, tokens_output = tokens_output + ?,
         tokens_cache_read = tokens_cache_read + ?, tokens_cache_write = tokens_cache_write + ?`,
      snapshot.tokens.input - row.tokens_input,
      snapshot.tokens.output - row.tokens_output,
      snapshot.tokens.cache_read - row.tokens_cache_read,
      snapshot.tokens.cache_write - row.tokens_cache_write,
    );
    return freed;
  });
}

export function rowOf(sql: SqlStorage, instanceId: string): InstanceRow | undefined {
  return first<InstanceRow>(sql, `SELECT ${STATUS_COLUMNS} FROM instance WHERE instance_id = ?`, instanceId);
}

/** Shows that an instance is held at the gate, or (null) no longer. Its next report says more. */
export function showWaiting(sql: SqlStorage, instanceId: string, reason: string | null): void {
  sql.exec(
    "UPDATE instance SET state = ?, waiting_reason = ?, waiting_until = NULL WHERE instance_id = ? AND active = 1",
    reason === null ? "busy" : "waiting",
    reason,
    instanceId,
  );
}

/** Instances that wait for a budget: enough of them to use what came free. Waking all would make each ask again. */
export function waitingForBudget(sql: SqlStorage): string[] {
  // Left to itself SQLite reads everyone who waits for anything.
  return ids(
    sql,
    `SELECT instance_id FROM instance INDEXED BY instance_without_budget
     WHERE state = 'waiting' AND waiting_reason = 'budget' LIMIT 8`,
  );
}

/** Instances that nobody has used up to their idle deadline. */
export function unusedSince(sql: SqlStorage, now: number): string[] {
  return ids(sql, "SELECT instance_id FROM instance WHERE unused_until <= ? AND active = 1 LIMIT 100", now);
}

/** Somebody below an instance that nobody has used is at work, or a job will ask it: its idle deadline is later. */
export function putOff(sql: SqlStorage, instanceId: string, until: number): void {
  sql.exec("UPDATE instance SET unused_until = ? WHERE instance_id = ?", until, instanceId);
}

/** The next idle deadline of an instance that nobody has used, in ms since the epoch, or null. */
export function nextUnused(sql: SqlStorage): number | null {
  return (
    first<{ at: number }>(
      sql,
      "SELECT unused_until AS at FROM instance WHERE unused_until IS NOT NULL ORDER BY unused_until LIMIT 1",
    )?.at ?? null
  );
}

/** Terminated instances whose retention is over. */
export function outlived(sql: SqlStorage, now: number): string[] {
  return ids(sql, "SELECT instance_id FROM instance WHERE kept_until <= ? LIMIT 100", now);
}

/** The end of the next retention, in ms since the epoch, or null. */
export function nextOutlived(sql: SqlStorage): number | null {
  return (
    first<{ at: number }>(
      sql,
      "SELECT kept_until AS at FROM instance WHERE kept_until IS NOT NULL ORDER BY kept_until LIMIT 1",
    )?.at ?? null
  );
}

/** The instance's conversation is about to be deleted; its record stays. */
export function forget(sql: SqlStorage, instanceId: string, now: number): void {
  sql.exec("UPDATE instance SET kept_until = NULL WHERE instance_id = ?", instanceId);
  enqueue(sql, instanceId, "forget", now);
  logEvent(sql, instanceId, 0, now, "instance.forgotten", {});
}

const DAY_MS = 24 * 60 * 60 * 1000;

function ids(sql: SqlStorage, query: string, ...values: SqlStorageValue[]): string[] {
  return sql
    .exec<{ instance_id: string }>(query, ...values)
    .toArray()
    .map((row) => row.instance_id);
}

/** One page of instances in the order of their spawning, with the tenant's totals. `prefix` as in `statusOf`. */
export function list(sql: SqlStorage, query: ListQuery, prefix: string, now: number): InstancePage {
  const where: string[] = [];
  const values: SqlStorageValue[] = [];
  const match = (condition: string, value: string | undefined) => {
    if (value === undefined) return;
    where.push(condition);
    values.push(value);
  };
  match("parent_id = ?", query.parent_id);
  // Children are the fewest: with a parent, the indexes of the others are out of the question.
  const other = query.parent_id === undefined ? "" : "+";
  match(`${other}state = ?`, query.state);
  match(`${other}role = ?`, query.role);
  match(query.newest ? "instance_id < ?" : "instance_id > ?", query.cursor);
  if (query.newest) where.push("active = 1");
  const rows = sql
    .exec<InstanceRow>(
      `SELECT ${STATUS_COLUMNS} FROM instance ${where.length ? `WHERE ${where.join(" AND ")}` : ""}
       ORDER BY instance_id ${query.newest ? "DESC" : ""} LIMIT ?`,
      ...values,
      query.limit + 1,
    )
    .toArray();
  const page = rows.slice(0, query.limit);
  const totals = tenantRow(sql);
  return {
    instances: page.map((row) => statusOf(row, prefix, now)),
    total_instances: totals.total_instances,
    active_instances: totals.active_instances,
    total_tokens_used: totals.tokens_input + totals.tokens_cache_write + totals.tokens_output,
    total_cost_nano: tenantSpent(sql),
    next_cursor: rows.length > page.length ? (page.at(-1)?.instance_id ?? null) : null,
  };
}

/**
 * Ends an instance and everything below it in one transaction: the rows are terminated, and the outbox stops
 * each object and cancels the jobs that they started. Repeating it changes nothing.
 */
export function terminate(
  storage: DurableObjectStorage,
  request: TerminateRequest,
  retentionDays: number,
  now: number,
): Result<TerminateReceipt> {
  const { sql } = storage;
  return storage.transactionSync((): Result<TerminateReceipt> => {
    const known = recall<TerminateReceipt>(sql, request.idempotency);
    if (known) return known;
    if (!rowOf(sql, request.instance_id)) return unknownInstance(request.instance_id);
    const ended = ids(
      sql,
      `${TREE} SELECT instance_id FROM tree CROSS JOIN instance ON instance_id = tree.id WHERE active = 1
       ORDER BY depth DESC, instance_id`,
      request.instance_id,
    );
    for (const id of ended) {
      const reason = id === request.instance_id ? request.reason : `parent ${request.instance_id} terminated`;
      sql.exec(
        `UPDATE instance SET state = 'terminated', active = 0, unused_until = NULL, kept_until = ?, terminated_at = ?, termination_reason = ?, last_activity = ?,
           queue_depth = 0, open_questions = 0 WHERE instance_id = ?`,
        now + retentionDays * DAY_MS,
        now,
        reason,
        now,
        id,
      );
      forgetSecrets(sql, id);
      sql.exec("DELETE FROM question WHERE instance_id = ?", id);
      sql.exec("DELETE FROM wait_edge WHERE waiter = ?", id);
      enqueue(sql, id, request.force ? "stop_now" : "stop", now);
      logEvent(sql, id, 0, now, "instance.terminated", { reason, force: request.force });
    }
    // Due before the stops: what a job asked for is cancelled with it, and does not make it fail first.
    for (const job of openJobsOf(sql, ended)) enqueue(sql, job, "cancel", now - 1);
    if (ended.length > 0) sql.exec("UPDATE tenant SET active_instances = active_instances - ?", ended.length);
    recordCall(sql, request.audit, request.instance_id, now);
    return remember(sql, request.idempotency, ok({ terminated: ended }), now);
  });
}

function countForTenant(sql: SqlStorage, events: readonly InstanceEvent[]): void {
  const known = parseFigures(first<{ figures: string | null }>(sql, "SELECT figures FROM tenant")?.figures ?? null);
  sql.exec("UPDATE tenant SET figures = ?", JSON.stringify(events.reduce(figuresAfter, known)));
}

/** Why an instance can't be deleted, or null. */
export function eraseRefusal(sql: SqlStorage, instanceId: string): Result<never> | null {
  const row = rowOf(sql, instanceId);
  if (!row) return unknownInstance(instanceId);
  if (row.active) {
    return err(
      "conflict",
      `The instance ${instanceId} is not terminated. Terminate it first: deleting can't be undone.`,
      {
        instance_id: instanceId,
        state: row.state,
      },
    );
  }
  const sharing = first<{ instance_id: string }>(
    sql,
    "SELECT instance_id FROM instance WHERE workspace_owner = ? LIMIT 1",
    instanceId,
  );
  if (!sharing) return null;
  return err(
    "conflict",
    `The instance ${instanceId} holds the files that ${sharing.instance_id} works in. Delete the instances that share them first.`,
    { instance_id: instanceId, shared_with: sharing.instance_id },
  );
}

/** Takes an instance whose object is empty out of the registry. What it spent stays in the ledger and in the totals. */
export function remove(storage: DurableObjectStorage, instanceId: string, now: number): void {
  const { sql } = storage;
  storage.transactionSync(() => {
    if (!rowOf(sql, instanceId)) return;
    const asked = callerOf(sql, instanceId, "erase");
    sql.exec("DELETE FROM instance WHERE instance_id = ? AND active = 0", instanceId);
    sql.exec("DELETE FROM birth WHERE instance_id = ?", instanceId);
    dequeueAll(sql, instanceId);
    sql.exec("DELETE FROM limits WHERE scope = ?", instanceId);
    sql.exec("UPDATE tenant SET total_instances = total_instances - 1");
    logEvent(sql, instanceId, 0, now, "instance.deleted", {});
    recordCall(sql, asked, instanceId, now);
  });
}

/** What the whole tenant has spent, in nano-USD. */
export function tenantSpent(sql: SqlStorage): number {
  return sql
    .exec<{ nano: number }>("SELECT settled_nano + unsettled_nano AS nano FROM balance WHERE scope = 'tenant'")
    .one().nano;
}

export function tenantRow(sql: SqlStorage): TenantRow {
  return sql.exec<TenantRow>("SELECT * FROM tenant").one();
}
