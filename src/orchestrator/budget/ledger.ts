/**
 * The ledger: what every model call may cost and did cost. Entries are only appended; every balance is their sum, kept beside
 * them so that nothing is ever added up. A call changes the balances of its instance, the ancestors, the tenant and the coordinated
 * tasks that it is made for in one transaction.
 */
import { costOf, priceOf } from "../../anthropic/prices.ts";
import type { CallEnding } from "../../contracts/call-settled.ts";
import type { ReservationRequest } from "../../contracts/model-call.ts";
import { type Failure, MadroxError } from "../../platform/errors.ts";
import { isJobId } from "../../platform/ids.ts";
import { first, type Row } from "../../platform/sqlite.ts";
import type { Tx } from "../../platform/transaction.ts";
import { NANO_PER_USD } from "../../platform/units.ts";
import { addCost } from "../store/instance-rows.ts";
import { TENANT } from "../store/limits.ts";
import { countViolation } from "../store/tenant-row.ts";
import { type CallBound, checkReservation, type SpendingCap, type Verdict } from "./reservation-check.ts";
import { countSpending } from "./spend.ts";

export type ReservationResult =
  | { kind: "granted"; maxTokens: number }
  | { kind: "wait" }
  /** Only a higher cap helps. The error says what was asked and what is left. */
  | { kind: "refused"; error: Failure };

/** The caps that apply where none was set: the tenant's cost in nano-USD, and each instance's own fresh tokens. */
export interface DefaultCaps {
  tenantNano: number;
  ownTokens: number;
}

export interface BalanceRow extends Row {
  scope: string;
  settled_nano: number;
  unsettled_nano: number;
  reserved_nano: number;
  fresh: number;
  fresh_reserved: number;
  /** The scope's own limits, if it has any. */
  max_cost_nano: number | null;
  max_total_tokens: number | null;
}

/** The scopes that an instance's spending counts in: the tenant, its ancestors, itself. Throws `not_found`. */
export function scopesOf(sql: SqlStorage, instanceId: string): string[] {
  const row = first<{ path: string }>(sql, "SELECT path FROM instance WHERE instance_id = ?", instanceId);
  if (!row) throw new MadroxError("not_found", `There is no instance ${instanceId}.`);
  return [TENANT, ...(JSON.parse(row.path) as string[]), instanceId];
}

/** The scopes that a call counts in: its instance's, the job that it is made for, and the jobs that this one was started for. */
function scopesOfCall(sql: SqlStorage, instanceId: string, job: string | null): string[] {
  const scopes = scopesOf(sql, instanceId);
  if (job === null) return scopes;
  const jobs = sql
    .exec<{ id: string }>(
      `WITH RECURSIVE outer_job(id) AS (
         SELECT ? UNION SELECT within_job FROM job JOIN outer_job ON job_id = outer_job.id WHERE within_job IS NOT NULL)
       SELECT id FROM outer_job`,
      job,
    )
    .toArray();
  return [...scopes, ...jobs.map(({ id }) => id)];
}

/** What the whole tenant has spent, in nano-USD. */
export function tenantSpent(sql: SqlStorage): number {
  return sql
    .exec<{ nano: number }>("SELECT settled_nano + unsettled_nano AS nano FROM balance WHERE scope = 'tenant'")
    .one().nano;
}

export function openBalance(tx: Tx, scope: string): void {
  tx.exec("INSERT OR IGNORE INTO balance (scope) VALUES (?)", scope);
}

/** The balance of a job that is deleted. */
export function deleteBalance(tx: Tx, scope: string): void {
  tx.exec("DELETE FROM balance WHERE scope = ?", scope);
}

export function balances(sql: SqlStorage, scopes: readonly string[]): Map<string, BalanceRow> {
  const marks = scopes.map(() => "?").join(", ");
  const rows = sql
    .exec<BalanceRow>(
      `SELECT balance.*, max_cost_nano, max_total_tokens FROM balance LEFT JOIN limits USING (scope) WHERE scope IN (${marks})`,
      ...scopes,
    )
    .toArray();
  return new Map(rows.map((row) => [row.scope, row]));
}

/** The caps that bind an instance, each with its balance. `ownTokens`: the cap of each instance alone. */
export function spendingCapsOf(
  sql: SqlStorage,
  instanceId: string,
  scopes: readonly string[],
  caps: DefaultCaps,
): SpendingCap[] {
  const rows = balances(sql, scopes);
  const found: SpendingCap[] = [];
  for (const scope of scopes) {
    const row = rows.get(scope);
    if (!row) continue;
    const cost = scope === TENANT ? caps.tenantNano : row.max_cost_nano;
    if (cost !== null) {
      found.push({
        scope,
        what: "cost",
        limit: cost,
        spent: row.settled_nano + row.unsettled_nano,
        reserved: row.reserved_nano,
      });
    }
    if (row.max_total_tokens !== null) {
      found.push({
        scope,
        what: "tokens",
        limit: row.max_total_tokens,
        spent: row.fresh,
        reserved: row.fresh_reserved,
      });
    }
  }
  // An explicit limit replaces the default, which binds the instance alone. An instance makes one call at a time.
  if (rows.get(instanceId)?.max_total_tokens == null) {
    found.push({
      scope: instanceId,
      what: "tokens",
      limit: caps.ownTokens,
      spent: ownFresh(sql, instanceId),
      reserved: 0,
    });
  }
  return found;
}

/** The fresh tokens that an instance has taken itself. */
export function ownFresh(sql: SqlStorage, instanceId: string): number {
  const row = first<{ fresh: number }>(
    sql,
    "SELECT tokens_input + tokens_output + tokens_cache_write AS fresh FROM instance WHERE instance_id = ?",
    instanceId,
  );
  return row?.fresh ?? 0;
}

/** Whether a call's upper bound fits into every scope's cap. `verdict` null: the model has no price. */
function judgeCall(
  sql: SqlStorage,
  instanceId: string,
  scopes: readonly string[],
  ask: ReservationRequest,
  caps: DefaultCaps,
) {
  const price = priceOf(ask.model, ask.at, ask.promptTokens);
  if (!price) return { price, verdict: null };
  const bound: CallBound = {
    promptTokens: ask.promptTokens,
    maxTokens: ask.maxTokens,
    // Prompts are cached for 5 minutes: they are never written at the 1 h rate.
    promptRate: Math.max(price.input, price.cacheWrite5m, price.cacheRead),
    outputRate: price.output,
  };
  return { price, verdict: checkReservation(bound, spendingCapsOf(sql, instanceId, scopes, caps)) };
}

/** Whether a call that was refused would still be. */
export function isStillRefused(
  sql: SqlStorage,
  instanceId: string,
  ask: ReservationRequest,
  caps: DefaultCaps,
): boolean {
  const { verdict } = judgeCall(sql, instanceId, scopesOfCall(sql, instanceId, ask.job ?? null), ask, caps);
  return verdict === null || verdict.kind === "refuse";
}

/** Reserves a call's upper bound in every scope, or says why not. */
export function reserve(tx: Tx, instanceId: string, ask: ReservationRequest, caps: DefaultCaps): ReservationResult {
  const job = ask.job ?? null;
  const scopes = scopesOfCall(tx, instanceId, job);
  // An earlier call whose end was never reported: its process died. It stays counted.
  for (const open of openReservations(tx, instanceId)) {
    if (open.attempt === ask.attempt) return { kind: "granted", maxTokens: open.max_tokens };
    endReservation(tx, instanceId, open.attempt, { kind: "unsettled" }, ask.at);
  }
  const { price, verdict } = judgeCall(tx, instanceId, scopes, ask, caps);
  if (!price || verdict === null) return { kind: "refused", error: noPrice(ask.model) };
  if (verdict.kind === "wait") return { kind: "wait" };
  if (verdict.kind === "refuse") return { kind: "refused", error: overBudget(verdict) };
  tx.exec(
    `INSERT INTO ledger (at, instance_id, attempt, kind, model, price_from, price_band, reserved_nano, reserved_tokens, job)
       VALUES (?, ?, ?, 'reserve', ?, ?, ?, ?, ?, ?)`,
    ask.at,
    instanceId,
    ask.attempt,
    ask.model,
    price.from,
    price.upToPromptTokens,
    verdict.costNano,
    verdict.tokens,
    job,
  );
  tx.exec(
    "INSERT INTO reservation (instance_id, attempt, model, at, max_tokens, nano, tokens, job) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    instanceId,
    ask.attempt,
    ask.model,
    ask.at,
    verdict.maxTokens,
    verdict.costNano,
    verdict.tokens,
    job,
  );
  addToBalances(tx, scopes, { reserved: verdict.costNano, freshReserved: verdict.tokens });
  return { kind: "granted", maxTokens: verdict.maxTokens };
}

interface ReservationRow extends Row {
  attempt: number;
  model: string;
  at: number;
  max_tokens: number;
  nano: number;
  tokens: number;
  job: string | null;
}

function openReservations(sql: SqlStorage, instanceId: string): ReservationRow[] {
  return sql
    .exec<ReservationRow>(
      "SELECT attempt, model, at, max_tokens, nano, tokens, job FROM reservation WHERE instance_id = ?",
      instanceId,
    )
    .toArray();
}

/**
 * Ends a reservation. Repeating it, or ending one that was never made, changes nothing. Returns whether anything came free.
 */
export function endReservation(tx: Tx, instanceId: string, attempt: number, ending: CallEnding, now: number): boolean {
  const open = openReservations(tx, instanceId).find((row) => row.attempt === attempt);
  if (!open) return false;
  const usage = ending.kind === "release" ? undefined : ending.usage;
  const prompt = usage ? usage.input + usage.cacheRead + usage.cacheWrite5m + usage.cacheWrite1h : 0;
  const price = priceOf(open.model, open.at, prompt);
  const settled = ending.kind === "settled" && price ? costOf(price, ending.usage) : 0;
  const unsettled = ending.kind === "unsettled" ? open.nano : 0;
  const fresh = usage ? usage.input + usage.cacheWrite5m + usage.cacheWrite1h + usage.output : 0;
  tx.exec("DELETE FROM reservation WHERE instance_id = ? AND attempt = ?", instanceId, attempt);
  tx.exec(
    `INSERT INTO ledger (at, instance_id, attempt, kind, model, price_from, price_band, reserved_nano, reserved_tokens,
       settled_nano, input, output, cache_read, cache_write_5m, cache_write_1h, web_searches, request_id, job)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    now,
    instanceId,
    attempt,
    ending.kind,
    open.model,
    price?.from ?? null,
    price?.upToPromptTokens ?? null,
    open.nano,
    open.tokens,
    settled,
    usage?.input ?? 0,
    usage?.output ?? 0,
    usage?.cacheRead ?? 0,
    usage?.cacheWrite5m ?? 0,
    usage?.cacheWrite1h ?? 0,
    usage?.webSearches ?? 0,
    ending.kind === "release" ? null : (ending.requestId ?? null),
    open.job,
  );
  addToBalances(tx, scopesOfCall(tx, instanceId, open.job), {
    settled,
    unsettled,
    reserved: -open.nano,
    fresh,
    freshReserved: -open.tokens,
  });
  if (ending.kind !== "release") countSpending(tx, instanceId, open.model, now, { settled, unsettled, fresh });
  addCost(tx, instanceId, settled, unsettled);
  const soft = first(tx, "SELECT 1 FROM instance WHERE instance_id = ? AND soft = 1", instanceId) !== undefined;
  // The results of web tools have no upper bound, and count as they are.
  if (soft) return true;
  if (settled > open.nano || (ending.kind === "settled" && fresh > open.tokens)) countViolation(tx);
  return true;
}

/** Releases what an instance has reserved for calls that it will not make. */
export function releaseReservations(tx: Tx, instanceId: string, now: number): void {
  for (const open of openReservations(tx, instanceId)) {
    endReservation(tx, instanceId, open.attempt, { kind: "release" }, now);
  }
}

/** Deletes the entries up to an id, once they are in the archive. */
export function deleteEntries(tx: Tx, upTo: number): void {
  tx.exec("DELETE FROM ledger WHERE id <= ?", upTo);
}

function addToBalances(
  tx: Tx,
  scopes: readonly string[],
  by: { settled?: number; unsettled?: number; reserved?: number; fresh?: number; freshReserved?: number },
): void {
  tx.exec(
    `UPDATE balance SET settled_nano = settled_nano + ?, unsettled_nano = unsettled_nano + ?, reserved_nano = reserved_nano + ?,
       fresh = fresh + ?, fresh_reserved = fresh_reserved + ? WHERE scope IN (${scopes.map(() => "?").join(", ")})`,
    by.settled ?? 0,
    by.unsettled ?? 0,
    by.reserved ?? 0,
    by.fresh ?? 0,
    by.freshReserved ?? 0,
    ...scopes,
  );
}

function overBudget({ cap, asked, remaining }: Extract<Verdict, { kind: "refuse" }>): Failure {
  const show = (value: number) => (cap.what === "cost" ? `$${(value / NANO_PER_USD).toFixed(6)}` : `${value} tokens`);
  const isJob = isJobId(cap.scope);
  const whose = cap.scope === TENANT ? "the tenant" : `${isJob ? "job" : "instance"} ${cap.scope}`;
  const limit = cap.what === "cost" ? "max_cost" : "max_total_tokens";
  const next = isJob
    ? "The step fails; start another job with a higher max_cost."
    : `The instance is paused; raise ${limit} with set_limits and it goes on where it stopped.`;
  return {
    code: "budget_exceeded",
    message: `The next model call may take ${show(asked)}, and ${show(remaining)} of ${show(cap.limit)} are left for ${whose}. ${next}`,
    details: {
      scope: cap.scope,
      limit,
      cap: cap.what === "cost" ? cap.limit / NANO_PER_USD : cap.limit,
      asked: cap.what === "cost" ? asked / NANO_PER_USD : asked,
      remaining: cap.what === "cost" ? remaining / NANO_PER_USD : remaining,
    },
  };
}

function noPrice(model: string): Failure {
  return {
    code: "budget_exceeded",
    message: `The price of ${model} is not known, so no cap on cost can hold for it. Spawn an instance with another model.`,
    details: { model },
  };
}
