import { DurableObject } from "cloudflare:workers";
import { configOf } from "../config/config.ts";
import type { AuditedCall } from "../contracts/audited-call.ts";
import type { Config } from "../contracts/config.ts";
import type { Erased } from "../contracts/instance.ts";
import type { Report } from "../contracts/instance-spec.ts";
import type { ErasedJob, JobReport, JobSpec } from "../contracts/job.ts";
import type { Admission, CallOutcome, ReservationRequest } from "../contracts/model-call.ts";
import type {
  ArchivedRun,
  AuditLines,
  ChainLink,
  CoordinateRequest,
  EffectiveLimits,
  EventQuery,
  FirstUse,
  Grants,
  JobQuery,
  LedgerLines,
  LimitChange,
  LimitsAnswer,
  ListQuery,
  OrchestratorApi,
  PastQuery,
  QuestionQuery,
  Relations,
  SpawnReceipt,
  SpawnRequest,
  StoredTask,
  TeamReceipt,
  TeamRequest,
  TerminateReceipt,
  TerminateRequest,
  TreeQuery,
  WebhookRequest,
} from "../contracts/orchestrator.ts";
import type {
  EventPage,
  InstancePage,
  JobPage,
  JobReceipt,
  JobRecord,
  Metrics,
  QuestionRecord,
  SpendAnswer,
  SpendQuery,
  StatusRecord,
  TreeAnswer,
  WebhookRecord,
} from "../contracts/records.ts";
import { unknownInstance } from "../contracts/refusals.ts";
import type { Origin } from "../contracts/request-origin.ts";
import { instanceOf, jobOf } from "../contracts/stubs.ts";
import type { TeamTemplate } from "../contracts/team-template.ts";
import { Alarm } from "../platform/alarm.ts";
import { failureOf, ok, type Result } from "../platform/errors.ts";
import { recall, remember } from "../platform/idempotency.ts";
import type { Idempotency } from "../platform/idempotency-key.ts";
import { createLog, type Log } from "../platform/log.ts";
import { Notifier } from "../platform/notifier.ts";
import { migrate } from "../platform/sqlite.ts";
import { inTransaction, type Tx } from "../platform/transaction.ts";
import { NANO_PER_USD } from "../platform/units.ts";
import { Archive } from "./archive/archive.ts";
import { archivedEventsAfter } from "./archive/event-archive.ts";
import { archivedEntriesAfter, ledgerEnd, ledgerLines } from "./archive/ledger-archive.ts";
import { tenantSpent } from "./budget/ledger.ts";
import { spendOf } from "./budget/spend.ts";
import { ConcurrencyLimiter } from "./concurrency-limiter.ts";
import { EventLogger } from "./delivery/event-logger.ts";
import { EventSockets } from "./delivery/event-sockets.ts";
import { WebhookDelivery } from "./delivery/webhook-delivery.ts";
import { addWebhook, listWebhooks, removeWebhook } from "./delivery/webhooks.ts";
import { Housekeeping } from "./housekeeping.ts";
import { ModelCalls } from "./model-calls.ts";
import { eraseRefusal } from "./registry/deletion.ts";
import { EffectivePolicy } from "./registry/effective-policy.ts";
import { listInstances } from "./registry/instance-list.ts";
import { applyJob, coordinate, eraseJobRefusal, jobFirstUse, jobRecord, listJobs } from "./registry/jobs.ts";
import { metricsOf } from "./registry/metrics.ts";
import { questionsOf } from "./registry/questions.ts";
import { spawn } from "./registry/spawning.ts";
import { statusOf } from "./registry/status.ts";
import { cancelTask, saveTask, taskOf } from "./registry/tasks.ts";
import { spawnTeam } from "./registry/teams.ts";
import { deleteTemplate, storedTemplates, storeTemplate } from "./registry/templates.ts";
import { endIdle, terminate } from "./registry/termination.ts";
import { childrenOf, relationsOf, treeOf } from "./registry/tree.ts";
import { waitFor } from "./registry/wait-graph.ts";
import { recordCall } from "./store/audit-record.ts";
import { eventsAfter, eventsBefore, hashOlderEvents, headOf, linesAfter } from "./store/event-log.ts";
import { grantsOf, takeFirstUse } from "./store/first-uses.ts";
import { rowOf } from "./store/instance-rows.ts";
import { ORCHESTRATOR_SCHEMA } from "./store/schema.ts";
import { sealed, tenantKey } from "./tenant-key.ts";

/** Approximate characters of an export per answer. */
const EXPORT_CHARACTERS = 512 * 1024;

/**
 * One tenant's Orchestrator; the object's name is the tenant. A plain Durable Object: it needs one alarm, whose time is computed from
 * its rows (housekeeping.ts).
 */
export class Orchestrator extends DurableObject<Env> implements OrchestratorApi {
  readonly #tenant: string;
  readonly #config: Config;
  readonly #log: Log;
  readonly #alarm: Alarm;
  readonly #limiter: ConcurrencyLimiter;
  /** Calls that long-poll the event log. */
  readonly #eventPollers = new Notifier();
  readonly #eventSockets: EventSockets;
  readonly #webhooks: WebhookDelivery;
  readonly #eventLogger: EventLogger;
  readonly #policy: EffectivePolicy;
  readonly #housekeeping: Housekeeping;
  readonly #modelCalls: ModelCalls;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#tenant = ctx.id.name ?? "default";
    this.#config = configOf(env);
    this.#log = createLog(this.#config.logLevel, { tenant: this.#tenant });
    migrate(ctx.storage, ORCHESTRATOR_SCHEMA);
    hashOlderEvents(ctx.storage);
    this.#alarm = new Alarm(ctx.storage);
    ctx.blockConcurrencyWhile(() => this.#alarm.load());
    this.#eventLogger = new EventLogger(ctx.storage.sql, this.#log);
    this.#webhooks = new WebhookDelivery({
      storage: ctx.storage,
      tenant: this.#tenant,
      log: this.#log,
      onLogged: () => this.#onLogged(),
      onIdle: () => this.#housekeeping.setAlarm(),
    });
    this.#limiter = new ConcurrencyLimiter(ctx.storage.sql);
    this.#policy = new EffectivePolicy(ctx.storage, this.#config);
    this.#eventSockets = new EventSockets(ctx, () => this.#policy.caps);
    this.#housekeeping = new Housekeeping({
      storage: ctx.storage,
      alarm: this.#alarm,
      log: this.#log,
      policy: this.#policy,
      archive: new Archive({
        storage: ctx.storage,
        bucket: env.FILES,
        prefix: this.#prefix,
        config: this.#config,
        log: this.#log,
      }),
      webhooks: this.#webhooks,
      receivers: {
        instance: (id) => instanceOf(env, this.#tenant, id),
        job: (id) => jobOf(env, this.#tenant, id),
      },
      retentionDays: this.#config.retentionDays,
      onLogged: () => this.#onLogged(),
      waitUntil: (work) => ctx.waitUntil(work),
    });
    this.#modelCalls = new ModelCalls({
      storage: ctx.storage,
      limiter: this.#limiter,
      policy: this.#policy,
      onChanged: (id) => this.#eventSockets.changed(id),
      wake: (ids) => this.#housekeeping.wake(ids),
    });
  }

  override async alarm(): Promise<void> {
    await this.#housekeeping.onAlarm();
  }

  /** Opens an event socket. The Worker has authenticated the request. */
  override async fetch(): Promise<Response> {
    return this.#eventSockets.accept();
  }

  override async webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): Promise<void> {
    this.#eventSockets.onMessage(socket, message);
  }

  async spawn(request: SpawnRequest): Promise<Result<SpawnReceipt>> {
    const secrets = await sealed(this.ctx.storage, request.secrets, this.#config, this.#tenant);
    const { spawnRules, caps } = this.#policy;
    const answer = this.#commit((tx) => spawn(tx, { ...request, sealed: secrets }, spawnRules, caps, Date.now()));
    if (answer.ok) this.#onSpawned([answer.value]);
    return answer;
  }

  async spawnTeam(request: TeamRequest): Promise<Result<TeamReceipt>> {
    const answer = spawnTeam(this.ctx.storage, request, this.#policy.spawnRules, this.#policy.caps, Date.now());
    if (answer.ok) this.#onSpawned([answer.value.supervisor, ...answer.value.members]);
    return answer;
  }

  #onSpawned(spawned: SpawnReceipt[]): void {
    this.#onLogged();
    if (spawned.some(({ message_id }) => message_id !== null)) this.ctx.waitUntil(this.#housekeeping.deliverOutbox());
    // For their idle deadline, in case they are never used.
    else this.#housekeeping.setAlarm();
  }

  async templates(): Promise<TeamTemplate[]> {
    return storedTemplates(this.ctx.storage.sql);
  }

  async storeTemplate(template: TeamTemplate, audit?: AuditedCall): Promise<Result<{ created: boolean }>> {
    const answer = this.#commit((tx) => storeTemplate(tx, template, Date.now(), audit));
    this.#onLogged();
    return answer;
  }

  async deleteTemplate(name: string, audit?: AuditedCall): Promise<boolean> {
    const deleted = this.#commit((tx) => deleteTemplate(tx, name, Date.now(), audit));
    this.#onLogged();
    return deleted;
  }

  async firstUse(instanceId: string): Promise<FirstUse | null> {
    const firstUse = this.#commit((tx) => takeFirstUse(tx, instanceId));
    return firstUse ? { ...firstUse, limits: this.#policy.limitsFor(instanceId) } : null;
  }

  async tenantKey(): Promise<string> {
    return tenantKey(this.ctx.storage);
  }

  async status(instanceId: string): Promise<StatusRecord | null> {
    const row = rowOf(this.ctx.storage.sql, instanceId);
    if (!row) return null;
    const { limits, remaining } = this.#policy.limitsAndRemaining(instanceId);
    const record = { ...statusOf(row, this.#prefix, Date.now()), limits, remaining };
    if (row.open_questions === 0) return record;
    return { ...record, questions: questionsOf(this.ctx.storage.sql, { instance_id: instanceId, limit: 100 }) };
  }

  async list(query: ListQuery): Promise<InstancePage> {
    return listInstances(this.ctx.storage.sql, query, this.#prefix, Date.now());
  }

  async terminate(request: TerminateRequest): Promise<Result<TerminateReceipt>> {
    const answer = this.#commit((tx) => terminate(tx, request, this.#config.retentionDays, Date.now()));
    if (answer.ok) await this.#onTerminated(answer.value.terminated);
    return answer;
  }

  async #onTerminated(instanceIds: readonly string[]): Promise<void> {
    this.#onLogged();
    if (instanceIds.length === 0) return;
    for (const id of instanceIds) this.#limiter.abandon(id);
    // The rows are committed. Waiting a moment for the objects spares the caller a message that is accepted and then cancelled.
    await this.#housekeeping.deliverOutboxSoon();
  }

  async erase(instanceId: string, audit?: AuditedCall): Promise<Result<Erased>> {
    const refusal = eraseRefusal(this.ctx.storage.sql, instanceId);
    if (refusal) return refusal;
    return this.#housekeeping.erase(instanceId, instanceOf(this.env, this.#tenant, instanceId), audit);
  }

  async admit(instanceId: string, report: Report | null, ask: ReservationRequest): Promise<Admission> {
    if (report) this.#take(report);
    return this.#modelCalls.admit(instanceId, ask);
  }

  async withdraw(instanceId: string): Promise<void> {
    this.#modelCalls.withdraw(instanceId);
  }

  async report(report: Report, call?: CallOutcome): Promise<EffectiveLimits | null> {
    this.#take(report, call);
    return this.effectiveLimits(report.instance_id);
  }

  #take(report: Report, call?: CallOutcome): void {
    this.#modelCalls.report(report, call);
    this.#onLogged(report.instance_id);
  }

  async callEnded(instanceId: string, call: CallOutcome): Promise<void> {
    this.#limiter.release(instanceId, call, Date.now());
  }

  async effectiveLimits(instanceId: string): Promise<EffectiveLimits | null> {
    return rowOf(this.ctx.storage.sql, instanceId) ? this.#policy.limitsFor(instanceId) : null;
  }

  async expire(instanceId: string): Promise<{ expired: true } | { expired: false; again: number }> {
    const timeoutMs = this.#policy.idleTimeoutMs(instanceId);
    const idle = this.#commit((tx) => endIdle(tx, instanceId, timeoutMs, this.#config.retentionDays, Date.now()));
    if (!idle.ended) return { expired: false, again: idle.again };
    await this.#onTerminated(idle.terminated);
    return { expired: true };
  }

  async setLimits(instanceId: string | null, change: LimitChange, origin: Origin = {}): Promise<Result<LimitsAnswer>> {
    const answer = this.#policy.setLimits(instanceId, change, origin, Date.now());
    if (answer.ok) {
      this.#onLogged(...(instanceId === null ? [] : [instanceId]));
      await this.#housekeeping.deliverOutboxSoon();
    }
    return answer;
  }

  async coordinate(request: CoordinateRequest): Promise<Result<JobReceipt>> {
    const answer = this.#commit((tx) => coordinate(tx, request, Date.now()));
    if (answer.ok) {
      this.#onLogged();
      this.ctx.waitUntil(this.#housekeeping.deliverOutbox());
    }
    return answer;
  }

  async eraseJob(jobId: string, audit?: AuditedCall): Promise<Result<ErasedJob>> {
    const refusal = eraseJobRefusal(this.ctx.storage.sql, jobId);
    if (refusal) return refusal;
    return this.#housekeeping.erase(jobId, jobOf(this.env, this.#tenant, jobId), audit);
  }

  async jobFirstUse(jobId: string): Promise<JobSpec | null> {
    return jobFirstUse(this.ctx.storage.sql, jobId);
  }

  async job(jobId: string): Promise<JobRecord | null> {
    return jobRecord(this.ctx.storage.sql, jobId);
  }

  async jobs(query: JobQuery): Promise<JobPage> {
    return listJobs(this.ctx.storage.sql, query);
  }

  async reportJob(report: JobReport): Promise<void> {
    this.#commit((tx) => applyJob(tx, report, this.#config.retentionDays));
    if (report.finished_at !== null) this.#housekeeping.setAlarm();
    this.#onLogged();
  }

  async metrics(): Promise<Metrics> {
    return metricsOf(this.ctx.storage.sql, this.#limiter.view);
  }

  async grants(instanceIds: readonly string[]): Promise<(Grants | null)[]> {
    return instanceIds.map((id) => grantsOf(this.ctx.storage.sql, id));
  }

  async relations(instanceId: string, others: readonly string[]): Promise<Result<Relations>> {
    return relationsOf(this.ctx.storage.sql, instanceId, others);
  }

  async tree(query: TreeQuery): Promise<Result<TreeAnswer>> {
    return treeOf(this.ctx.storage.sql, query, this.#policy.caps);
  }

  async children(instanceId: string, idempotency?: Idempotency): Promise<Result<string[]>> {
    return this.#commit((tx): Result<string[]> => {
      const known = recall<string[]>(tx, idempotency);
      if (known) return known;
      if (!rowOf(tx, instanceId)) return unknownInstance(instanceId);
      return remember(tx, idempotency, ok(childrenOf(tx, instanceId)), Date.now());
    });
  }

  async questions(query: QuestionQuery): Promise<QuestionRecord[]> {
    return questionsOf(this.ctx.storage.sql, query);
  }

  async spend(query: SpendQuery): Promise<Result<SpendAnswer>> {
    const { sql } = this.ctx.storage;
    try {
      const spent = tenantSpent(sql) / NANO_PER_USD;
      return ok({ ...spendOf(sql, query, Date.now()), ...this.#policy.limitsAndRemaining(null), spent });
    } catch (error) {
      return { ok: false, error: failureOf(error) };
    }
  }

  async eventsBefore(query: PastQuery): Promise<EventPage> {
    return eventsBefore(this.ctx.storage.sql, query);
  }

  async waitFor(waiter: string, targets: readonly string[], seq: number): Promise<Result<null>> {
    return this.#commit((tx) => waitFor(tx, waiter, targets, seq));
  }

  async events(query: EventQuery): Promise<EventPage> {
    const deadline = Date.now() + query.waitMs;
    for (;;) {
      const page = eventsAfter(this.ctx.storage.sql, query);
      const left = deadline - Date.now();
      if (page.events.length > 0 || left <= 0) return page;
      await this.#eventPollers.next(left);
    }
  }

  async saveTask(task: StoredTask): Promise<void> {
    this.#commit((tx) => saveTask(tx, task));
  }

  async taskOf(taskId: string): Promise<StoredTask | null> {
    return taskOf(this.ctx.storage.sql, taskId);
  }

  async cancelTask(taskId: string): Promise<void> {
    this.#commit((tx) => cancelTask(tx, taskId));
  }

  async record(call: AuditedCall, subject: string | null, outcome: string): Promise<void> {
    this.#commit((tx) => recordCall(tx, call, subject, Date.now(), outcome));
    this.#onLogged();
  }

  async auditHead(): Promise<ChainLink> {
    return headOf(this.ctx.storage.sql);
  }

  async audit(after: number, upTo: number): Promise<ArchivedRun | AuditLines> {
    const { sql } = this.ctx.storage;
    return archivedEventsAfter(sql, after) ?? linesAfter(sql, after, upTo, EXPORT_CHARACTERS);
  }

  async ledgerEnd(): Promise<number> {
    return ledgerEnd(this.ctx.storage.sql);
  }

  async ledger(after: number, upTo: number): Promise<ArchivedRun | LedgerLines> {
    const { sql } = this.ctx.storage;
    return archivedEntriesAfter(sql, after) ?? ledgerLines(sql, after, upTo, EXPORT_CHARACTERS);
  }

  async addWebhook(
    request: WebhookRequest,
    audit?: AuditedCall,
  ): Promise<Result<{ webhook: WebhookRecord; secret: string }>> {
    const { allowPrivateWebhooks } = this.#config;
    const added = addWebhook(this.ctx.storage, request, allowPrivateWebhooks, Date.now(), audit);
    this.#webhooks.reload();
    this.#onLogged();
    return added;
  }

  async webhooks(): Promise<WebhookRecord[]> {
    return listWebhooks(this.ctx.storage.sql);
  }

  async removeWebhook(webhookId: string, audit?: AuditedCall): Promise<boolean> {
    const removed = this.#commit((tx) => removeWebhook(tx, webhookId, Date.now(), audit));
    this.#webhooks.reload();
    this.#onLogged();
    return removed;
  }

  /** Runs a change in one transaction. */
  #commit<T>(work: (tx: Tx) => T): T {
    return inTransaction(this.ctx.storage, work);
  }

  /** Something was logged, or the rows of these instances have changed. */
  #onLogged(...instanceIds: string[]): void {
    this.#eventPollers.notify();
    this.#eventSockets.changed(...instanceIds);
    this.#eventLogger.write();
    if (this.#webhooks.markDue(Date.now())) this.#alarm.notAfter(Date.now());
  }

  get #prefix(): string {
    return `${this.#config.workspacePrefix}/${this.#tenant}`;
  }
}
