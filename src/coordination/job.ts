import { DurableObject } from "cloudflare:workers";
import { Alarm } from "../alarm.ts";
import { type AuditedCall, CALLED, recordOf } from "../audit.ts";
import { Batch } from "../batch.ts";
import { configOf } from "../config.ts";
import { type Answer, err, type Failure, ok } from "../errors.ts";
import { parseMessageId } from "../ids.ts";
import type { MessageView, News } from "../instance/api.ts";
import { createLog, describe, type Log } from "../log.ts";
import { instanceOf, nameOf, orchestratorOf, watcherOf } from "../objects.ts";
import { migrate, type Row } from "../sqlite.ts";
import { Waiters, within } from "../waiters.ts";
import { type ErasedJob, isFinalJob, type JobApi, type JobSpec, type JobStatus } from "./api.ts";
import type { Question } from "./course.ts";
import { COURSES } from "./courses.ts";
import { deliver, nextDue, type Owed, owe } from "./outbox.ts";
import { outcomeOf } from "./outcome.ts";
import { confirm, end, endOf, jobRow, note, open, reportAt, reportOf, storedSpec } from "./record.ts";
import { JOB_SCHEMA } from "./schema.ts";
import { statusOf } from "./status.ts";
import * as steps from "./steps.ts";

/** Messages on their way to their instances at once: more would only queue in the runtime. */
const MAX_SENDING = 64;
/** While messages are on their way the alarm is not sooner than this: they bring out what follows themselves. */
const CROWDED_MS = 1_000;
/** A report that the registry did not take is tried again after this time. */
const REPORT_RETRY_MS = 5_000;
/** How long a cancellation waits for the instances to have stopped; the outbox goes on by alarm after it. */
const CANCEL_PATIENCE_MS = 2_000;

/**
 * One coordinated task. While its steps are under way it does nothing and holds nothing: instances knock when their messages
 * are final, and its one alarm is the next deadline. What comes next is decided by the course of its type from rows alone.
 */
export class Job extends DurableObject<Env> implements JobApi {
  readonly #tenant: string;
  readonly #id: string;
  readonly #log: Log;
  readonly #alarm: Alarm;
  readonly #waiters = new Waiters();
  #spec: JobSpec | undefined;
  #birth: Promise<Answer<JobSpec>> | undefined;
  #reporting: Promise<void> | undefined;
  /** Messages on their way. */
  #sending = 0;
  /**
   * News of messages whose sending has not been answered yet. If they are lost with this object, the sending is repeated, and
   * its answer tells the same.
   */
  readonly #early = new Map<string, MessageView>();
  /** What the instances have said, until it is taken in: many answer at once. */
  readonly #heard = new Batch<Heard>((news) => this.#hear(news));

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const { tenant, id } = nameOf(ctx.id.name);
    this.#tenant = tenant;
    this.#id = id;
    this.#log = createLog(configOf(env).logLevel, { tenant, job_id: id });
    this.#alarm = new Alarm(ctx.storage);
  }

  async wake(): Promise<void> {
    if ((await this.#born()).ok) this.#advance();
  }

  async status(waitMs: number): Promise<Answer<JobStatus>> {
    const born = await this.#born();
    if (!born.ok) return born;
    const { sql } = this.ctx.storage;
    const deadline = Date.now() + waitMs;
    for (;;) {
      const left = deadline - Date.now();
      if (isFinalJob(jobRow(sql).state) || left <= 0) return ok(statusOf(sql, born.value));
      await this.#waiters.next(left);
    }
  }

  async watch(watcher: string): Promise<Answer<JobStatus>> {
    const born = await this.#born();
    if (!born.ok) return born;
    const { sql } = this.ctx.storage;
    if (!isFinalJob(jobRow(sql).state)) owe(sql, "tell", watcher, "", null);
    return ok(statusOf(sql, born.value));
  }

  async cancel(reason: string, audit?: AuditedCall): Promise<Answer<JobStatus>> {
    const born = await this.#born();
    if (!born.ok) return born;
    const { storage } = this.ctx;
    const now = Date.now();
    storage.transactionSync(() => {
      if (audit) note(storage.sql, now, CALLED, recordOf(audit));
      if (!isFinalJob(jobRow(storage.sql).state)) {
        steps.stopAll(storage.sql, reason, now);
        end(storage.sql, "cancelled", { code: "cancelled", message: `The job was cancelled: ${reason}.` }, now);
      }
      if (reportOf(storage.sql, this.#id) !== null) reportAt(storage.sql, now);
    });
    this.#waiters.wake();
    await within(this.#bringOut(), CANCEL_PATIENCE_MS);
    return ok(statusOf(storage.sql, born.value));
  }

  async erase(): Promise<Answer<ErasedJob>> {
    const born = await this.#born();
    // An earlier call was not heard of.
    if (!born.ok) return born.error.code === "not_found" ? ok({ steps: 0, answers: 0 }) : born;
    const { storage } = this.ctx;
    const { state } = jobRow(storage.sql);
    if (!isFinalJob(state)) return err("conflict", `The job ${this.#id} is ${state}, and not over.`);
    await within(this.#bringOut(), CANCEL_PATIENCE_MS);
    if (nextDue(storage.sql) !== null || jobRow(storage.sql).report_due !== null || this.#sending > 0) {
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

  async knock(news: News): Promise<void> {
    const { id, message } = news;
    const born = await this.#born();
    if (born.ok && message) await this.#heard.add({ kind: "news", id, message });
  }

  override async alarm(): Promise<void> {
    const born = await this.#born();
    if (!born.ok) return;
    this.#alarm.fired();
    const { storage } = this.ctx;
    storage.transactionSync(() => steps.expire(storage.sql, born.value, Date.now()));
    this.#advance();
  }

  /** Messages were taken or have come to something: their steps follow, and then the job goes on. */
  #hear(all: readonly Heard[]): void {
    // It was deleted meanwhile.
    if (!this.#spec) return;
    const { storage } = this.ctx;
    const changed = storage.transactionSync(() => all.map((heard) => this.#settle(heard)).includes(true));
    if (changed) this.#advance();
    // What found no room before may find it now.
    else if (all.some(({ kind }) => kind !== "news")) this.ctx.waitUntil(this.#bringOut());
  }

  /** Call inside a transaction. Returns whether a step has come to an end, or begins again. */
  #settle(heard: Heard): boolean {
    const { sql } = this.ctx.storage;
    switch (heard.kind) {
      case "news": {
        const step = steps.stepOfMessage(sql, heard.id);
        if (step) return this.#follows(step, heard.message);
        if (steps.hasOpen(sql, "queued")) this.#early.set(heard.id, heard.message);
        return false;
      }
      case "taken": {
        const { asked, view } = heard;
        const step = steps.sent(sql, asked, view.message_id);
        const news = this.#early.get(view.message_id) ?? view;
        this.#early.delete(view.message_id);
        return step !== null && this.#follows(step, news);
      }
      case "refused": {
        // The instance does not take the message: it was terminated, or is gone.
        const { asked, error } = heard;
        const step = steps.stepOf(sql, asked.n);
        if (step?.state !== "queued" || step.tries !== asked.tries) return false;
        return steps.settle(sql, step, { kind: "failed", error, costNano: 0, recall: false }, Date.now());
      }
    }
  }

  #follows(step: steps.StepRow, view: MessageView): boolean {
    if (step.state !== "running") return false;
    return steps.settle(this.ctx.storage.sql, step, outcomeOf(view, step), Date.now());
  }

  /** Does everything that the rows allow, and sees to what it brings about. */
  #advance(): void {
    const { storage } = this.ctx;
    const spec = this.#spec;
    if (!spec) return;
    try {
      storage.transactionSync(() => this.#follow(spec));
    } catch (error) {
      // A course that breaks on its rows would break on them for ever.
      this.#log.error("job.broken", { error: describe(error) });
      storage.transactionSync(() => {
        steps.stopAll(storage.sql, "the job could not go on", Date.now());
        const failure = {
          code: "internal",
          message: "The job could not go on, for a reason inside the server.",
        } as const;
        end(storage.sql, "failed", failure, Date.now());
        reportAt(storage.sql, Date.now());
      });
    }
    this.ctx.waitUntil(this.#bringOut());
  }

  #follow(spec: JobSpec): void {
    const { sql } = this.ctx.storage;
    const now = Date.now();
    while (!isFinalJob(jobRow(sql).state)) {
      // Only the plan of a delegated job lets anything begin while steps are under way.
      if (spec.type !== "delegated" && steps.hasOpen(sql)) return;
      const known = steps.stepsOf(steps.stepRows(sql));
      const move = COURSES[spec.type].next(spec, known);
      switch (move.kind) {
        case "wait":
          return;
        case "start":
          steps.begin(sql, spec, move.steps, now);
          break;
        case "end": {
          const state = endOf(known.values(), move.error);
          end(sql, state, move.error ?? null, now);
          this.#waiters.wake();
          break;
        }
      }
      reportAt(sql, now);
    }
  }

  /** Begins to deliver what the rows owe, with the alarm armed for what is left undone. Never rejects. */
  #bringOut(): Promise<void> {
    const delivered = this.#deliver();
    this.#arm();
    return delivered;
  }

  /** Messages, the outbox, the report: whatever is due is put off before it is tried. */
  async #deliver(): Promise<void> {
    this.#send();
    await Promise.all([
      deliver(
        this.ctx.storage.sql,
        (owed) => this.#carryOut(owed),
        () => Date.now(),
        (error) => this.#log.warning("delivery.failed", { error: describe(error) }),
      ),
      this.#report(),
    ]);
    this.#arm();
  }

  async #carryOut({ kind, target, reason }: Owed): Promise<void> {
    switch (kind) {
      case "tell":
        return watcherOf(this.env, this.#tenant, target).knock({ id: this.#id });
      case "cancel":
        return this.#cancelMessage(target, reason);
      case "recall": {
        // Whether the message arrived is not known: sending it again tells its id, and makes it one that can be cancelled.
        const step = steps.stepOf(this.ctx.storage.sql, Number(target));
        const answer = step ? await this.#sendOne(step, this.#question(step)) : undefined;
        if (answer?.ok) await this.#cancelMessage(answer.value.message_id, reason);
        return;
      }
    }
  }

  async #cancelMessage(messageId: string, reason: string): Promise<void> {
    const message = parseMessageId(messageId);
    // An instance that has gone, or a message that has ended, is as good as cancelled.
    if (message) await instanceOf(this.env, this.#tenant, message.instanceId).cancel(message.n, reason);
  }

  /** Sends what is due, as much of it at once as there is room for. */
  #send(): void {
    const { storage } = this.ctx;
    const room = MAX_SENDING - this.#sending;
    if (room <= 0) return;
    const due = storage.transactionSync(() => steps.claim(storage.sql, room, Date.now()));
    if (due.length === 0) return;
    this.#sending += due.length;
    const ask = this.#questions();
    for (const step of due) this.ctx.waitUntil(this.#sendStep(step, ask(step)));
  }

  /** Never rejects. */
  async #sendStep(asked: steps.StepRow, question: Question): Promise<void> {
    try {
      const answer = await this.#sendOne(asked, question).finally(() => {
        this.#sending -= 1;
      });
      await this.#heard.add(
        answer.ok ? { kind: "taken", asked, view: answer.value } : { kind: "refused", asked, error: answer.error },
      );
    } catch (error) {
      // The row stays due: the alarm sends it again.
      this.#log.warning("send.failed", { step: asked.key, error: describe(error) });
      await this.#bringOut();
    }
  }

  #sendOne(step: steps.StepRow, { message, schema }: Question): Promise<Answer<MessageView>> {
    const key = `${this.#id}:${step.key}:${step.tries}`;
    return instanceOf(this.env, this.#tenant, step.instance_id).send({
      message,
      sender: this.#id,
      priority: 0,
      when_busy: "queue",
      response_schema: schema,
      watcher: this.#id,
      job: this.#id,
      trace: this.#spec?.trace ?? null,
      // A step's question follows from final rows alone: the key says it all.
      idempotency: { key, body_hash: key },
    });
  }

  #question(step: steps.StepRow): Question {
    return this.#questions()(step);
  }

  /** What steps ask, from the rows as they are now; each text is read once. */
  #questions(): (step: steps.StepRow) => Question {
    const spec = this.#spec;
    if (!spec) throw new Error("The job has no spec yet.");
    const { sql } = this.ctx.storage;
    const known = steps.stepsOf(steps.stepRows(sql));
    const texts = new Map<string, string>();
    const textOf = (key: string) => {
      const text = texts.get(key) ?? steps.outputOf(sql, key);
      texts.set(key, text);
      return text;
    };
    return (step) => COURSES[spec.type].ask(spec, known, step, textOf);
  }

  /** The next thing to do by time: a deadline, a repeated sending, a delivery, a report. None: nothing wakes this object. */
  #arm(): void {
    const { sql } = this.ctx.storage;
    const times = [steps.nextTime(sql), nextDue(sql), jobRow(sql).report_due].filter((time) => time !== null);
    // What is due and found no room goes out when the messages before it have.
    const earliest = this.#sending > 0 ? Date.now() + CROWDED_MS : 0;
    if (times.length === 0) this.#alarm.clear();
    else this.#alarm.set(Math.max(earliest, Math.min(...times)));
  }

  /** Tells the registry how the job stands, when that is due. */
  #report(): Promise<void> {
    this.#reporting ??= this.#deliverReports().finally(() => {
      this.#reporting = undefined;
    });
    return this.#reporting;
  }

  async #deliverReports(): Promise<void> {
    const { sql } = this.ctx.storage;
    for (let due = jobRow(sql).report_due; due !== null && due <= Date.now(); due = jobRow(sql).report_due) {
      const report = reportOf(sql, this.#id);
      const retryAt = report === null ? null : Date.now() + REPORT_RETRY_MS;
      reportAt(sql, retryAt);
      if (report === null) return;
      try {
        await orchestratorOf(this.env, this.#tenant).reportJob(report);
      } catch (error) {
        this.#log.warning("report.failed", { error: describe(error) });
        return;
      }
      confirm(sql, report.seq);
      // What changed meanwhile has set another time.
      if (jobRow(sql).report_due === retryAt) reportAt(sql, reportOf(sql, this.#id) === null ? null : Date.now());
    }
  }

  /** The spec: from storage, or on the very first use from the registry. */
  async #born(): Promise<Answer<JobSpec>> {
    if (this.#spec) return ok(this.#spec);
    this.#birth ??= this.#bear().finally(() => {
      this.#birth = undefined;
    });
    return this.#birth;
  }

  async #bear(): Promise<Answer<JobSpec>> {
    const { storage } = this.ctx;
    await this.#alarm.load();
    if (!hasTables(storage.sql)) {
      const spec = await orchestratorOf(this.env, this.#tenant).jobBirth(this.#id);
      if (!spec) return err("not_found", `There is no job ${this.#id}.`, { job_id: this.#id });
      storage.transactionSync(() => {
        migrate(storage, JOB_SCHEMA);
        open(storage.sql, spec, Date.now());
      });
      this.#spec = spec;
      // Whoever looks at it first makes it go on, whether or not its wake-up has come.
      this.#advance();
    } else {
      migrate(storage, JOB_SCHEMA);
      this.#spec = storedSpec(storage.sql) ?? undefined;
    }
    if (!this.#spec) throw new Error("The job has tables but no spec.");
    return ok(this.#spec);
  }
}

/** What an instance has said: of a message, or of the sending of a step's. */
type Heard =
  | { kind: "news"; id: string; message: MessageView }
  | { kind: "taken"; asked: steps.StepRow; view: MessageView }
  | { kind: "refused"; asked: steps.StepRow; error: Failure };

function hasTables(sql: SqlStorage): boolean {
  return sql.exec("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'job'").toArray().length > 0;
}
