import { DurableObject } from "cloudflare:workers";
import type { AuditedCall } from "../audit.ts";
import { type Config, configOf } from "../config.ts";
import type { ErasedJob, JobSpec } from "../coordination/api.ts";
import type { JobReport } from "../coordination/record.ts";
import { type Answer, failureOf, ok } from "../errors.ts";
import { recall, remember } from "../idempotency.ts";
import { isJobId } from "../ids.ts";
import type { Erased } from "../instance/api.ts";
import { unknownInstance } from "../instance/refusals.ts";
import type { Report } from "../instance/spec.ts";
import { createLog, describe, type Log } from "../log.ts";
import { instanceOf, jobOf } from "../objects.ts";
import type { Idempotency, Origin } from "../origin.ts";
import type { TeamTemplate } from "../roles/teams/template.ts";
import { migrate } from "../sqlite.ts";
import { NANO_PER_USD } from "../units.ts";
import { Waiters, within } from "../waiters.ts";
import type {
  Admission,
  AuditLines,
  Birth,
  CallOutcome,
  CoordinateRequest,
  EventQuery,
  JobQuery,
  Kin,
  LedgerLines,
  LimitsAnswer,
  ListQuery,
  OrchestratorApi,
  PastQuery,
  QuestionQuery,
  Segment,
  SpawnReceipt,
  SpawnRequest,
  Standing,
  StoredTask,
  TeamReceipt,
  TeamRequest,
  TerminateReceipt,
  TerminateRequest,
  TreeQuery,
  WebhookRequest,
} from "./api.ts";
import { recordCall } from "./audit.ts";
import type { Link } from "./chain.ts";
import { Courier } from "./courier.ts";
import { EventLines } from "./event-lines.ts";
import { chainOlder, eventsAfter, eventsBefore, headOf, linesAfter } from "./events.ts";
import { childrenOf, idleDeadline, kinOf, pausedWithin, treeOf, waitFor } from "./family.ts";
import { Gate } from "./gate.ts";
import {
  applyJob,
  coordinate,
  eraseJobRefusal,
  jobBirth,
  jobRecord,
  listJobs,
  nextOutlivedJob,
  outliveJobs,
  removeJob,
} from "./jobs.ts";
import { type CallAsk, releaseAll, reserve } from "./ledger.ts";
import { ledgerEnd, ledgerLines, ledgerSegmentAfter, moveLedger } from "./ledger-segments.ts";
import { changeLimits, type LimitChange, limitsOf, TENANT, tenantLimits } from "./limits.ts";
import { metricsOf } from "./metrics.ts";
import { deliver, forgive, nextDue, owe } from "./outbox.ts";
import { fundsOf, purseOf } from "./purse.ts";
import { questionsOf } from "./questions.ts";
import type {
  EventPage,
  InstancePage,
  JobPage,
  JobReceipt,
  JobRecord,
  Metrics,
  QuestionRecord,
  SpendAnswer,
  StatusRecord,
  TreeAnswer,
  WebhookRecord,
} from "./records.ts";
import * as registry from "./registry.ts";
import { ORCHESTRATOR_SCHEMA } from "./schema.ts";
import { moveSegment, nextSegmentDue, retentionStart, segmentAfter } from "./segments.ts";
import { type SpendQuery, spendOf } from "./spend.ts";
import { statusOf } from "./status.ts";
import { cancelTask, saveTask, taskOf } from "./tasks.ts";
import { deleteTemplate, spawnTeam, storedTemplates, storeTemplate } from "./teams.ts";
import { sealed, tenantKey } from "./vault.ts";
import { Viewers } from "./viewers.ts";
import { addWebhook, listWebhooks, nextWebhookDue, removeWebhook } from "./webhooks.ts";

/** A call that waits for money asks again after this time, if no settlement woke it before. */
const BUDGET_RETRY_MS = 5_000;
/** The reason in the record of an instance that nobody used for too long. */
const IDLE_TIMEOUT = "idle timeout";
/** A deletion that its caller's request did not finish goes on after this time. */
const ERASE_RETRY_MS = 60_000;
/** Old events that R2 did not take are tried again after this time. */
const MOVE_RETRY_MS = 10 * 60_000;
/** Characters of an export in one answer, about. */
const EXPORT_CHARACTERS = 512 * 1024;
/** How long a call waits for instances to take the word of its change; the outbox goes on by alarm after it. */
const DELIVERY_PATIENCE_MS = 2_000;

/**
 * One tenant's Orchestrator. The object's name is the tenant. A plain Durable Object: it needs one alarm, for its
 * outbox, whose time is derived from rows.
 */
export class Orchestrator extends DurableObject<Env> implements OrchestratorApi {
  readonly #tenant: string;
  readonly #config: Config;
  readonly #log: Log;
  readonly #gate: Gate;
  /** Whoever follows the event log: by calls that wait, and by sockets. */
  readonly #watchers = new Waiters();
  readonly #viewers: Viewers;
  readonly #courier: Courier;
  readonly #lines: EventLines;
  /** Not before this time are old events moved, after R2 did not take them. In ms since the epoch. */
  #moveAgainAt = 0;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#tenant = ctx.id.name ?? "default";
    this.#config = configOf(env);
    this.#log = createLog(this.#config.logLevel, { tenant: this.#tenant });
    migrate(ctx.storage, ORCHESTRATOR_SCHEMA);
    chainOlder(ctx.storage);
    this.#lines = new EventLines(ctx.storage.sql, this.#log);
    this.#courier = new Courier({
      storage: ctx.storage,
      tenant: this.#tenant,
      log: this.#log,
      logged: () => this.#tellWatchers(),
    });
    this.#gate = new Gate(ctx.storage.sql);
    this.#viewers = new Viewers(ctx, () => this.#caps);
  }

  /** A socket that follows the event log; the front door has looked at who asks. */
  override async fetch(): Promise<Response> {
    return this.#viewers.accept();
  }

  override async webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): Promise<void> {
    this.#viewers.heard(socket, message);
  }

  async spawn(request: SpawnRequest): Promise<Answer<SpawnReceipt>> {
    const secrets = await sealed(this.ctx.storage.sql, request.secrets, this.#config, this.#tenant);
    const answer = registry.spawn(
      this.ctx.storage,
      { ...request, sealed: secrets },
      this.#spawnRules,
      this.#caps,
      Date.now(),
    );
    if (answer.ok) await this.#spawned([answer.value]);
    return answer;
  }

  async spawnTeam(request: TeamRequest): Promise<Answer<TeamReceipt>> {
    const answer = spawnTeam(this.ctx.storage, request, this.#spawnRules, this.#caps, Date.now());
    if (answer.ok) await this.#spawned([answer.value.supervisor, ...answer.value.members]);
    return answer;
  }

  async #spawned(spawned: SpawnReceipt[]): Promise<void> {
    // Their idle time, in case they are never used.
    await this.#arm();
    this.#tellWatchers();
    if (spawned.some(({ message_id }) => message_id !== null)) this.ctx.waitUntil(this.#deliver());
  }

  get #spawnRules(): registry.SpawnRules {
    return {
      maxInstances: tenantLimits(this.ctx.storage.sql, this.#config).maxInstances,
      maxDepth: this.#config.maxDepth,
      maxChildren: this.#config.maxChildren,
      timeoutMinutes: this.#config.instanceTimeoutMinutes,
      simulated: this.#config.anthropicApiKey === null,
      defaults: this.#config,
    };
  }

  async templates(): Promise<TeamTemplate[]> {
    return storedTemplates(this.ctx.storage.sql);
  }

  async storeTemplate(template: TeamTemplate, audit?: AuditedCall): Promise<Answer<{ created: boolean }>> {
    const answer = storeTemplate(this.ctx.storage, template, Date.now(), audit);
    this.#tellWatchers();
    return answer;
  }

  async deleteTemplate(name: string, audit?: AuditedCall): Promise<boolean> {
    const deleted = deleteTemplate(this.ctx.storage, name, Date.now(), audit);
    this.#tellWatchers();
    return deleted;
  }

  async birthOf(instanceId: string): Promise<Birth | null> {
    const birth = registry.birthOf(this.ctx.storage.sql, instanceId);
    return birth ? { ...birth, standing: this.#standing(instanceId) } : null;
  }

  async tenantKey(): Promise<string> {
    return tenantKey(this.ctx.storage.sql);
  }

  async status(instanceId: string): Promise<StatusRecord | null> {
    const row = registry.rowOf(this.ctx.storage.sql, instanceId);
    if (!row) return null;
    const { limits, remaining } = this.#purse(instanceId);
    const record = { ...statusOf(row, this.#prefix, Date.now()), limits, remaining };
    if (row.open_questions === 0) return record;
    return { ...record, questions: questionsOf(this.ctx.storage.sql, { instance_id: instanceId, limit: 100 }) };
  }

  async list(query: ListQuery): Promise<InstancePage> {
    return registry.list(this.ctx.storage.sql, query, this.#prefix, Date.now());
  }

  async terminate(request: TerminateRequest): Promise<Answer<TerminateReceipt>> {
    const answer = registry.terminate(this.ctx.storage, request, this.#config.retentionDays, Date.now());
    if (answer.ok) this.#tellWatchers();
    if (answer.ok && answer.value.terminated.length > 0) {
      for (const id of answer.value.terminated) this.#gate.forget(id);
      // The rows are committed. Waiting a moment for the objects spares the caller a send that is accepted and cancelled.
      await this.#arm();
      await within(this.#deliver(), DELIVERY_PATIENCE_MS);
    }
    return answer;
  }

  async erase(instanceId: string, audit?: AuditedCall): Promise<Answer<Erased>> {
    const { storage } = this.ctx;
    const refusal = registry.eraseRefusal(storage.sql, instanceId);
    if (refusal) return refusal;
    // Owed before it is tried: what this call leaves undone, the alarm does.
    owe(storage.sql, instanceId, "erase", Date.now() + ERASE_RETRY_MS, audit);
    await this.#arm();
    const erased = await instanceOf(this.env, this.#tenant, instanceId).erase();
    if (!erased.ok) {
      forgive(storage.sql, instanceId, "erase");
      return erased;
    }
    this.#removed(instanceId);
    return erased;
  }

  async admit(instanceId: string, report: Report | null, ask: CallAsk): Promise<Admission> {
    if (report) this.#take(report);
    const { sql } = this.ctx.storage;
    let held = false;
    const admission = await this.#gate.enter(instanceId, Date.now(), () => {
      held = true;
      registry.showWaiting(sql, instanceId, "gate");
      this.#viewers.changed(instanceId);
    });
    if (!admission.granted) return admission;
    const leave = reserve(this.ctx.storage, instanceId, ask, this.#caps);
    if (leave.kind === "granted") {
      if (held) registry.showWaiting(sql, instanceId, null);
      if (held) this.#viewers.changed(instanceId);
      return { granted: true, maxTokens: leave.maxTokens };
    }
    this.#gate.forget(instanceId);
    if (leave.kind === "refused") return { granted: false, until: null, error: leave.error };
    registry.showWaiting(sql, instanceId, "budget");
    this.#viewers.changed(instanceId);
    return { granted: false, until: Date.now() + BUDGET_RETRY_MS, reason: "budget" };
  }

  async withdraw(instanceId: string): Promise<void> {
    this.#gate.forget(instanceId);
    releaseAll(this.ctx.storage, instanceId, Date.now());
    await this.#wakeBudgetWaiters();
  }

  async report(report: Report, call?: CallOutcome): Promise<Standing | null> {
    const freed = this.#take(report);
    if (call) this.#gate.leave(report.instance_id, call, Date.now());
    else if (isAtRest(report.snapshot.state)) this.#gate.forget(report.instance_id);
    if (freed) await this.#wakeBudgetWaiters();
    return registry.rowOf(this.ctx.storage.sql, report.instance_id) ? this.#standing(report.instance_id) : null;
  }

  async leave(instanceId: string, call: CallOutcome): Promise<void> {
    this.#gate.leave(instanceId, call, Date.now());
  }

  async standing(instanceId: string): Promise<Standing | null> {
    return registry.rowOf(this.ctx.storage.sql, instanceId) ? this.#standing(instanceId) : null;
  }

  async expire(instanceId: string): Promise<{ expired: true } | { expired: false; again: number }> {
    const now = Date.now();
    const due = idleDeadline(this.ctx.storage.sql, instanceId, this.#idleTimeoutMs(instanceId), now);
    if (due === null) return { expired: true };
    if (due > now) return { expired: false, again: due };
    await this.terminate({ instance_id: instanceId, force: false, reason: IDLE_TIMEOUT });
    return { expired: true };
  }

  async setLimits(
    instanceId: string | null,
    change: LimitChange,
    { idempotency, audit }: Origin = {},
  ): Promise<Answer<LimitsAnswer>> {
    const { storage } = this.ctx;
    const { sql } = storage;
    const now = Date.now();
    const answer = storage.transactionSync((): Answer<LimitsAnswer> => {
      const known = recall<LimitsAnswer>(sql, idempotency);
      if (known) return known;
      if (instanceId !== null && !registry.rowOf(sql, instanceId)) return unknownInstance(instanceId);
      changeLimits(sql, instanceId ?? TENANT, change);
      const resumed = pausedWithin(sql, instanceId);
      // Everyone whose limits changed has to hear of it; who is paused goes on.
      const heard = instanceId === null ? resumed : [...new Set([instanceId, ...resumed])];
      for (const id of heard) owe(sql, id, "wake", now);
      recordCall(sql, audit, instanceId, now);
      const { limits, remaining } = this.#purse(instanceId);
      return remember(sql, idempotency, ok({ limits, remaining, resumed }), now);
    });
    if (answer.ok) {
      this.#tellWatchers(...(instanceId === null ? [] : [instanceId]));
      await this.#arm();
      await within(this.#deliver(), DELIVERY_PATIENCE_MS);
    }
    return answer;
  }

  async coordinate(request: CoordinateRequest): Promise<Answer<JobReceipt>> {
    const answer = coordinate(this.ctx.storage, request, Date.now());
    if (answer.ok) {
      await this.#arm();
      this.#tellWatchers();
      this.ctx.waitUntil(this.#deliver());
    }
    return answer;
  }

  async eraseJob(jobId: string, audit?: AuditedCall): Promise<Answer<ErasedJob>> {
    const { storage } = this.ctx;
    const refusal = eraseJobRefusal(storage.sql, jobId);
    if (refusal) return refusal;
    owe(storage.sql, jobId, "erase", Date.now() + ERASE_RETRY_MS, audit);
    await this.#arm();
    const erased = await jobOf(this.env, this.#tenant, jobId).erase();
    if (erased.ok) this.#removed(jobId);
    else forgive(storage.sql, jobId, "erase");
    return erased;
  }

  /** An object has deleted everything of its own. */
  #removed(id: string): void {
    const remove = isJobId(id) ? removeJob : registry.remove;
    remove(this.ctx.storage, id, Date.now());
    this.#tellWatchers();
  }

  async jobBirth(jobId: string): Promise<JobSpec | null> {
    return jobBirth(this.ctx.storage.sql, jobId);
  }

  async job(jobId: string): Promise<JobRecord | null> {
    return jobRecord(this.ctx.storage.sql, jobId);
  }

  async jobs(query: JobQuery): Promise<JobPage> {
    return listJobs(this.ctx.storage.sql, query);
  }

  async reportJob(report: JobReport): Promise<void> {
    applyJob(this.ctx.storage, report, this.#config.retentionDays);
    if (report.finished_at !== null) await this.#arm();
    this.#tellWatchers();
  }

  async metrics(): Promise<Metrics> {
    return metricsOf(this.ctx.storage.sql, this.#gate.view);
  }

  async kin(instanceId: string, others: readonly string[]): Promise<Answer<Kin>> {
    return kinOf(this.ctx.storage.sql, instanceId, others);
  }

  async tree(query: TreeQuery): Promise<Answer<TreeAnswer>> {
    return treeOf(this.ctx.storage.sql, query, this.#caps);
  }

  async children(instanceId: string, idempotency?: Idempotency): Promise<Answer<string[]>> {
    const { sql } = this.ctx.storage;
    return this.ctx.storage.transactionSync((): Answer<string[]> => {
      const known = recall<string[]>(sql, idempotency);
      if (known) return known;
      if (!registry.rowOf(sql, instanceId)) return unknownInstance(instanceId);
      return remember(sql, idempotency, ok(childrenOf(sql, instanceId)), Date.now());
    });
  }

  async questions(query: QuestionQuery): Promise<QuestionRecord[]> {
    return questionsOf(this.ctx.storage.sql, query);
  }

  async spend(query: SpendQuery): Promise<Answer<SpendAnswer>> {
    const { sql } = this.ctx.storage;
    try {
      const spent = registry.tenantSpent(sql) / NANO_PER_USD;
      return ok({ ...spendOf(sql, query, Date.now()), ...this.#purse(null), spent });
    } catch (error) {
      return { ok: false, error: failureOf(error) };
    }
  }

  async eventsBefore(query: PastQuery): Promise<EventPage> {
    return eventsBefore(this.ctx.storage.sql, query);
  }

  async waitFor(waiter: string, targets: readonly string[], seq: number): Promise<Answer<null>> {
    return waitFor(this.ctx.storage, waiter, targets, seq);
  }

  async events(query: EventQuery): Promise<EventPage> {
    const deadline = Date.now() + query.waitMs;
    for (;;) {
      const page = eventsAfter(this.ctx.storage.sql, query);
      const left = deadline - Date.now();
      if (page.events.length > 0 || left <= 0) return page;
      await this.#watchers.next(left);
    }
  }

  async saveTask(task: StoredTask): Promise<void> {
    saveTask(this.ctx.storage.sql, task);
  }

  async taskOf(taskId: string): Promise<StoredTask | null> {
    return taskOf(this.ctx.storage.sql, taskId);
  }

  async cancelTask(taskId: string): Promise<void> {
    cancelTask(this.ctx.storage.sql, taskId);
  }

  async record(call: AuditedCall, subject: string | null, outcome: string): Promise<void> {
    recordCall(this.ctx.storage.sql, call, subject, Date.now(), outcome);
    this.#tellWatchers();
  }

  async auditHead(): Promise<Link> {
    return headOf(this.ctx.storage.sql);
  }

  async audit(after: number, upTo: number): Promise<Segment | AuditLines> {
    const { sql } = this.ctx.storage;
    return segmentAfter(sql, after) ?? linesAfter(sql, after, upTo, EXPORT_CHARACTERS);
  }

  async ledgerEnd(): Promise<number> {
    return ledgerEnd(this.ctx.storage.sql);
  }

  async ledger(after: number, upTo: number): Promise<Segment | LedgerLines> {
    const { sql } = this.ctx.storage;
    return ledgerSegmentAfter(sql, after) ?? ledgerLines(sql, after, upTo, EXPORT_CHARACTERS);
  }

  async addWebhook(
    request: WebhookRequest,
    audit?: AuditedCall,
  ): Promise<Answer<{ webhook: WebhookRecord; secret: string }>> {
    const { allowPrivateWebhooks } = this.#config;
    const added = addWebhook(this.ctx.storage, request, allowPrivateWebhooks, Date.now(), audit);
    this.#courier.reload();
    this.#tellWatchers();
    return added;
  }

  async webhooks(): Promise<WebhookRecord[]> {
    return listWebhooks(this.ctx.storage.sql);
  }

  async removeWebhook(webhookId: string, audit?: AuditedCall): Promise<boolean> {
    const removed = removeWebhook(this.ctx.storage, webhookId, Date.now(), audit);
    this.#courier.reload();
    this.#tellWatchers();
    return removed;
  }

  #take(report: Report): boolean {
    const freed = registry.apply(this.ctx.storage, report);
    this.#tellWatchers(report.instance_id);
    return freed;
  }

  /** Something was logged, or these instances look different: whoever follows reads again. */
  #tellWatchers(...instanceIds: string[]): void {
    this.#watchers.wake();
    this.#viewers.changed(...instanceIds);
    this.#lines.write();
    // Not awaited: a write of the alarm and the rows beside it are one commit.
    if (this.#courier.notice(Date.now())) void this.ctx.storage.setAlarm(Date.now());
  }

  /** Money came free: whoever waits for some asks again. */
  async #wakeBudgetWaiters(): Promise<void> {
    const { sql } = this.ctx.storage;
    const waiting = registry.waitingForBudget(sql);
    if (waiting.length === 0) return;
    for (const id of waiting) owe(sql, id, "wake", Date.now());
    await this.#arm();
    this.ctx.waitUntil(this.#deliver());
  }

  get #caps(): { tenantNano: number; ownTokens: number } {
    return {
      tenantNano: tenantLimits(this.ctx.storage.sql, this.#config).maxCostNano,
      ownTokens: this.#config.maxTokensPerInstance,
    };
  }

  #idleTimeoutMs(instanceId: string): number {
    const minutes = limitsOf(this.ctx.storage.sql, instanceId).timeout_minutes ?? this.#config.instanceTimeoutMinutes;
    return minutes * 60_000;
  }

  #standing(instanceId: string): Standing {
    const { sql } = this.ctx.storage;
    const turn = limitsOf(sql, instanceId).max_turn_minutes;
    return {
      funds: fundsOf(sql, instanceId, this.#caps),
      idleTimeoutMs: this.#idleTimeoutMs(instanceId),
      maxTurnMs: turn === null ? null : turn * 60_000,
    };
  }

  #purse(instanceId: string | null): Pick<LimitsAnswer, "limits" | "remaining"> {
    return purseOf(this.ctx.storage.sql, instanceId, this.#config, this.#caps);
  }

  override async alarm(): Promise<void> {
    const now = Date.now();
    const { sql } = this.ctx.storage;
    for (const id of registry.unusedSince(sql, now)) {
      const due = idleDeadline(sql, id, this.#idleTimeoutMs(id), now);
      if (due !== null && due > now) registry.putOff(sql, id, due);
      else {
        const request = { instance_id: id, force: false, reason: IDLE_TIMEOUT };
        registry.terminate(this.ctx.storage, request, this.#config.retentionDays, now);
      }
    }
    for (const id of registry.outlived(this.ctx.storage.sql, now)) registry.forget(this.ctx.storage.sql, id, now);
    outliveJobs(this.ctx.storage, now);
    this.#tellWatchers();
    // Nobody waits for receivers of webhooks, not the next alarm either.
    this.ctx.waitUntil(this.#courier.deliver().then(() => this.#rearm()));
    await this.#moveOld(now);
    await this.#deliver();
  }

  /** Moves a piece of the event log, and of the ledger with it, to R2, when it is due. */
  async #moveOld(now: number): Promise<void> {
    const due = this.#moveDue;
    const { FILES: bucket } = this.env;
    if (due === null || due > now || !bucket) return;
    const cutoff = retentionStart(this.#config.eventRetentionDays, now);
    try {
      await moveSegment(this.ctx.storage, bucket, `${this.#prefix}/_events/`, cutoff, now);
      await moveLedger(this.ctx.storage, bucket, `${this.#prefix}/_ledger/`, cutoff, now);
    } catch (error) {
      this.#log.warning("events.move_failed", { error: describe(error) });
      this.#moveAgainAt = now + MOVE_RETRY_MS;
    }
  }

  get #prefix(): string {
    return `${this.#config.workspacePrefix}/${this.#tenant}`;
  }

  /** Delivers what the outbox owes. The alarm is armed before it, so what this object leaves undone is done later. */
  async #deliver(): Promise<void> {
    await deliver(
      this.ctx.storage.sql,
      {
        instance: (id) => instanceOf(this.env, this.#tenant, id),
        job: (id) => jobOf(this.env, this.#tenant, id),
      },
      () => Date.now(),
      (id) => this.#removed(id),
    );
    await this.#arm();
  }

  async #arm(): Promise<void> {
    const due = this.#due;
    if (due === null) return;
    const armed = await this.ctx.storage.getAlarm();
    if (armed === null || armed > due) await this.ctx.storage.setAlarm(due);
  }

  /** The same once something is done for which the alarm was armed: it is not left to wake this object for nothing. */
  async #rearm(): Promise<void> {
    const due = this.#due;
    await (due === null ? this.ctx.storage.deleteAlarm() : this.ctx.storage.setAlarm(due));
  }

  /** When this object has something to do by itself, in ms since the epoch, or null. */
  get #due(): number | null {
    const { sql } = this.ctx.storage;
    const times = [
      nextDue(sql),
      nextWebhookDue(sql),
      registry.nextUnused(sql),
      registry.nextOutlived(sql),
      nextOutlivedJob(sql),
      this.#moveDue,
    ];
    const known = times.filter((time) => time !== null);
    return known.length === 0 ? null : Math.min(...known);
  }

  get #moveDue(): number | null {
    const due = nextSegmentDue(this.ctx.storage.sql, this.#config.eventRetentionDays, this.env.FILES);
    return due === null ? null : Math.max(due, this.#moveAgainAt);
  }
}

/** An instance at rest has no call under way, and no place at the gate. */
function isAtRest(state: Report["snapshot"]["state"]): boolean {
  return state === "idle" || state === "error" || state === "paused";
}
