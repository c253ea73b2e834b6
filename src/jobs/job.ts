import { DurableObject } from "cloudflare:workers";
import { configOf } from "../config/config.ts";
import { type AuditedCall, CALLED, recordOf } from "../contracts/audited-call.ts";
import type { MessageView, Notification } from "../contracts/instance.ts";
import { type ErasedJob, isFinalJob, type JobApi, type JobSpec, type JobStatus } from "../contracts/job.ts";
import { nameOf, orchestratorOf } from "../contracts/stubs.ts";
import { Alarm } from "../platform/alarm.ts";
import { Batch } from "../platform/batch.ts";
import { err, ok, type Result } from "../platform/errors.ts";
import { createLog, describe, type Log } from "../platform/log.ts";
import { Notifier } from "../platform/notifier.ts";
import { migrate, type Row } from "../platform/sqlite.ts";
import { within } from "../platform/timeout.ts";
import { inTransaction, type Tx } from "../platform/transaction.ts";
import { Dispatch, type SendResult } from "./dispatch.ts";
import { end, jobRow, note, open, reportAt, reportOf, storedSpec } from "./job-state.ts";
import { enqueue } from "./outbox.ts";
import { advance, failBroken } from "./progress.ts";
import { JOB_SCHEMA } from "./schema.ts";
import { statusOf } from "./status.ts";
import * as steps from "./steps.ts";
import { outcomeOf } from "./strategies/outcome.ts";

/** How long a cancellation waits for the instances to stop. After that the outbox goes on by alarm. */
const CANCEL_PATIENCE_MS = 2_000;

/**
 * One coordinated task. While its steps are under way it holds nothing: instances notify it when their messages are final, and
 * its one alarm is the next deadline. The strategy of its type decides what comes next, from rows alone.
 */
export class Job extends DurableObject<Env> implements JobApi {
  readonly #tenant: string;
  readonly #id: string;
  readonly #log: Log;
  readonly #alarm: Alarm;
  readonly #notifier = new Notifier();
  #spec: JobSpec | undefined;
  #initializing: Promise<Result<JobSpec>> | undefined;
  readonly #dispatch: Dispatch;
  /**
   * Notifications that arrived before the answer to the sending of their message. If they are lost with this object, the message
   * is sent again, and the answer says the same.
   */
  readonly #early = new Map<string, MessageView>();
  /** What instances have said, until it is applied: many answer at once. */
  readonly #heard = new Batch<Heard>((news) => this.#hear(news));

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const { tenant, id } = nameOf(ctx.id.name);
    this.#tenant = tenant;
    this.#id = id;
    this.#log = createLog(configOf(env).logLevel, { tenant, job_id: id });
    this.#alarm = new Alarm(ctx.storage);
    this.#dispatch = new Dispatch({
      storage: ctx.storage,
      env,
      tenant,
      jobId: id,
      alarm: this.#alarm,
      log: this.#log,
      spec: () => this.#spec ?? null,
      sent: (what) => this.#heard.add(what),
    });
  }

  async wake(): Promise<void> {
    if ((await this.#initialize()).ok) this.#advance();
  }

  async status(waitMs: number): Promise<Result<JobStatus>> {
    const initialized = await this.#initialize();
    if (!initialized.ok) return initialized;
    const { sql } = this.ctx.storage;
    const deadline = Date.now() + waitMs;
    for (;;) {
      const left = deadline - Date.now();
      if (isFinalJob(jobRow(sql).state) || left <= 0) return ok(statusOf(sql, initialized.value));
      await this.#notifier.next(left);
    }
  }

  async subscribe(subscriber: string): Promise<Result<JobStatus>> {
    const initialized = await this.#initialize();
    if (!initialized.ok) return initialized;
    const { sql } = this.ctx.storage;
    if (!isFinalJob(jobRow(sql).state)) this.#commit((tx) => enqueue(tx, "tell", subscriber, "", null));
    return ok(statusOf(sql, initialized.value));
  }

  async cancel(reason: string, audit?: AuditedCall): Promise<Result<JobStatus>> {
    const initialized = await this.#initialize();
    if (!initialized.ok) return initialized;
    const { storage } = this.ctx;
    const now = Date.now();
    this.#commit((tx) => {
      if (audit) note(tx, now, CALLED, recordOf(audit));
      if (!isFinalJob(jobRow(tx).state)) {
        steps.stopAll(tx, reason, now);
        end(tx, "cancelled", { code: "cancelled", message: `The job was cancelled: ${reason}.` }, now);
      }
      if (reportOf(tx, this.#id) !== null) reportAt(tx, now);
    });
    this.#notifier.notify();
    await within(this.#dispatch.deliverDue(), CANCEL_PATIENCE_MS);
    return ok(statusOf(storage.sql, initialized.value));
  }

  async erase(): Promise<Result<ErasedJob>> {
    const initialized = await this.#initialize();
    // An earlier call has deleted it, and its answer was lost.
    if (!initialized.ok) return initialized.error.code === "not_found" ? ok({ steps: 0, answers: 0 }) : initialized;
    const { storage } = this.ctx;
    const { state } = jobRow(storage.sql);
    if (!isFinalJob(state)) return err("conflict", `The job ${this.#id} is ${state}, and not over.`);
    await within(this.#dispatch.deliverDue(), CANCEL_PATIENCE_MS);
    if (!this.#dispatch.isDone) {
      return err("conflict", `What ${this.#id} has to tell and to cancel is still on its way. Try again.`);
    }
    const erased = storage.sql
      .exec<Row & ErasedJob>("SELECT COUNT(*) AS steps, COUNT(output) AS answers FROM step")
      .one();
    await storage.deleteAlarm();
    await storage.deleteAll();
    this.#spec = undefined;
    this.#early.clear();
    return ok(erased);
  }

  async notify(notification: Notification): Promise<void> {
    const { id, message } = notification;
    const initialized = await this.#initialize();
    if (initialized.ok && message) await this.#heard.add({ kind: "news", id, message });
  }

  override async alarm(): Promise<void> {
    const initialized = await this.#initialize();
    if (!initialized.ok) return;
    this.#alarm.fired();
    this.#commit((tx) => steps.expire(tx, initialized.value, Date.now()));
    this.#advance();
  }

  /** Messages were accepted or have ended: applies that to their steps, and goes on. */
  #hear(all: readonly Heard[]): void {
    // The job was deleted meanwhile.
    if (!this.#spec) return;
    const changed = this.#commit((tx) => all.map((heard) => this.#settle(tx, heard)).includes(true));
    if (changed) this.#advance();
  }

  /** Returns whether a step has ended or is to be tried again. */
  #settle(tx: Tx, heard: Heard): boolean {
    switch (heard.kind) {
      case "news": {
        const step = steps.stepOfMessage(tx, heard.id);
        if (step) return this.#follows(tx, step, heard.message);
        if (steps.hasOpen(tx, "queued")) this.#early.set(heard.id, heard.message);
        return false;
      }
      case "taken": {
        const { asked, view } = heard;
        const step = steps.sent(tx, asked, view.message_id);
        const news = this.#early.get(view.message_id) ?? view;
        this.#early.delete(view.message_id);
        return step !== null && this.#follows(tx, step, news);
      }
      case "refused": {
        const { asked, error } = heard;
        const step = steps.stepOf(tx, asked.n);
        if (step?.state !== "queued" || step.tries !== asked.tries) return false;
        return steps.settle(tx, step, { kind: "failed", error, costNano: 0, recall: false }, Date.now());
      }
    }
  }

  #follows(tx: Tx, step: steps.StepRow, view: MessageView): boolean {
    if (step.state !== "running") return false;
    return steps.settle(tx, step, outcomeOf(view, step), Date.now());
  }

  /** Takes every step that the rows allow, and delivers what that made due. */
  #advance(): void {
    const spec = this.#spec;
    if (!spec) return;
    try {
      if (this.#commit((tx) => advance(tx, spec, Date.now()))) this.#notifier.notify();
    } catch (error) {
      this.#log.error("job.broken", { error: describe(error) });
      this.#commit((tx) => failBroken(tx, Date.now()));
      this.#notifier.notify();
    }
    this.ctx.waitUntil(this.#dispatch.deliverDue());
  }

  /** Runs a change in one transaction. */
  #commit<T>(work: (tx: Tx) => T): T {
    return inTransaction(this.ctx.storage, work);
  }

  /** The spec: from storage, or on the very first use from the registry. */
  async #initialize(): Promise<Result<JobSpec>> {
    if (this.#spec) return ok(this.#spec);
    this.#initializing ??= this.#loadSpec().finally(() => {
      this.#initializing = undefined;
    });
    return this.#initializing;
  }

  async #loadSpec(): Promise<Result<JobSpec>> {
    const { storage } = this.ctx;
    await this.#alarm.load();
    if (!hasTables(storage.sql)) {
      const spec = await orchestratorOf(this.env, this.#tenant).jobFirstUse(this.#id);
      if (!spec) return err("not_found", `There is no job ${this.#id}.`, { job_id: this.#id });
      this.#commit((tx) => {
        migrate(storage, JOB_SCHEMA);
        open(tx, spec, Date.now());
      });
      this.#spec = spec;
      // Any first use starts it, whether or not its wake-up has arrived.
      this.#advance();
    } else {
      migrate(storage, JOB_SCHEMA);
      this.#spec = storedSpec(storage.sql) ?? undefined;
    }
    if (!this.#spec) throw new Error("The job has tables but no spec.");
    return ok(this.#spec);
  }
}

/** What an instance has said: a notification about a message, or the answer to the sending of one. */
type Heard = { kind: "news"; id: string; message: MessageView } | SendResult;

function hasTables(sql: SqlStorage): boolean {
  return sql.exec("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'job'").toArray().length > 0;
}
