/**
 * What a job brings out: the messages of its steps, what its outbox owes, and how it stands. All of it is in rows first, and put
 * off before it is tried; one alarm brings what is left undone.
 */

import type { MessageView } from "../contracts/instance.ts";
import type { JobSpec } from "../contracts/job.ts";
import { instanceOf, orchestratorOf, watcherOf } from "../contracts/stubs.ts";
import type { Alarm } from "../platform/alarm.ts";
import type { Failure, Result } from "../platform/errors.ts";
import { parseMessageId } from "../platform/ids.ts";
import { describe, type Log } from "../platform/log.ts";
import { confirm, jobRow, reportAt, reportOf } from "./job-state.ts";
import { deliver, nextDue, type Owed } from "./outbox.ts";
import * as steps from "./steps.ts";
import { COURSES } from "./strategies/index.ts";
import type { Question } from "./strategies/strategy.ts";

/** Messages on their way to their instances at once: more would only queue in the runtime. */
const MAX_SENDING = 64;
/** While messages are on their way the alarm is not sooner than this: they bring out what follows themselves. */
const CROWDED_MS = 1_000;
/** A report that the registry did not take is tried again after this time. */
const REPORT_RETRY_MS = 5_000;

/** What an instance said to a step's message: it has it, or it does not take it (it was terminated, or is gone). */
export type Sent =
  | { kind: "taken"; asked: steps.StepRow; view: MessageView }
  | { kind: "refused"; asked: steps.StepRow; error: Failure };

export interface DispatchParts {
  storage: DurableObjectStorage;
  env: Env;
  tenant: string;
  jobId: string;
  alarm: Alarm;
  log: Log;
  /** Null before the job's first use. */
  spec: () => JobSpec | null;
  sent: (what: Sent) => Promise<void>;
  /** Keeps the object awake until the work is done. */
  waitUntil: (work: Promise<unknown>) => void;
}

export class Dispatch {
  readonly #parts: DispatchParts;
  /** Messages on their way. */
  #sending = 0;
  #reporting: Promise<void> | undefined;

  constructor(parts: DispatchParts) {
    this.#parts = parts;
  }

  /** Whether everything has arrived. */
  get isDone(): boolean {
    const { sql } = this.#parts.storage;
    return nextDue(sql) === null && jobRow(sql).report_due === null && this.#sending === 0;
  }

  /** Begins to deliver what the rows owe, with the alarm armed for what is left undone. Never rejects. */
  bringOut(): Promise<void> {
    const delivered = this.#deliver();
    this.#arm();
    return delivered;
  }

  /** Messages, the outbox, the report: whatever is due is put off before it is tried. */
  async #deliver(): Promise<void> {
    this.#send();
    await Promise.all([
      deliver(
        this.#parts.storage.sql,
        (owed) => this.#carryOut(owed),
        () => Date.now(),
        (error) => this.#parts.log.warning("delivery.failed", { error: describe(error) }),
      ),
      this.#report(),
    ]);
    this.#arm();
  }

  async #carryOut({ kind, target, reason }: Owed): Promise<void> {
    switch (kind) {
      case "tell":
        return watcherOf(this.#parts.env, this.#parts.tenant, target).knock({ id: this.#parts.jobId });
      case "cancel":
        return this.#cancelMessage(target, reason);
      case "recall": {
        // Whether the message arrived is not known: sending it again tells its id, and makes it one that can be cancelled.
        const step = steps.stepOf(this.#parts.storage.sql, Number(target));
        const answer = step ? await this.#sendOne(step, this.#question(step)) : undefined;
        if (answer?.ok) await this.#cancelMessage(answer.value.message_id, reason);
        return;
      }
    }
  }

  async #cancelMessage(messageId: string, reason: string): Promise<void> {
    const message = parseMessageId(messageId);
    // An instance that has gone, or a message that has ended, is as good as cancelled.
    if (message) await instanceOf(this.#parts.env, this.#parts.tenant, message.instanceId).cancel(message.n, reason);
  }

  /** Sends what is due, as much of it at once as there is room for. */
  #send(): void {
    const { storage } = this.#parts;
    const room = MAX_SENDING - this.#sending;
    if (room <= 0) return;
    const due = storage.transactionSync(() => steps.claim(storage.sql, room, Date.now()));
    if (due.length === 0) return;
    this.#sending += due.length;
    const ask = this.#questions();
    for (const step of due) this.#parts.waitUntil(this.#sendStep(step, ask(step)));
  }

  /** Never rejects. */
  async #sendStep(asked: steps.StepRow, question: Question): Promise<void> {
    try {
      const answer = await this.#sendOne(asked, question).finally(() => {
        this.#sending -= 1;
      });
      await this.#parts.sent(
        answer.ok ? { kind: "taken", asked, view: answer.value } : { kind: "refused", asked, error: answer.error },
      );
    } catch (error) {
      // The row stays due: the alarm sends it again.
      this.#parts.log.warning("send.failed", { step: asked.key, error: describe(error) });
      await this.bringOut();
    }
  }

  #sendOne(step: steps.StepRow, { message, schema }: Question): Promise<Result<MessageView>> {
    const key = `${this.#parts.jobId}:${step.key}:${step.tries}`;
    return instanceOf(this.#parts.env, this.#parts.tenant, step.instance_id).send({
      message,
      sender: this.#parts.jobId,
      priority: 0,
      when_busy: "queue",
      response_schema: schema,
      watcher: this.#parts.jobId,
      job: this.#parts.jobId,
      trace: this.#parts.spec()?.trace ?? null,
      // A step's question follows from final rows alone: the key says it all.
      idempotency: { key, body_hash: key },
    });
  }

  #question(step: steps.StepRow): Question {
    return this.#questions()(step);
  }

  /** What steps ask, from the rows as they are now; each text is read once. */
  #questions(): (step: steps.StepRow) => Question {
    const spec = this.#parts.spec();
    if (!spec) throw new Error("The job has no spec yet.");
    const { sql } = this.#parts.storage;
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
    const { sql } = this.#parts.storage;
    const times = [steps.nextTime(sql), nextDue(sql), jobRow(sql).report_due].filter((time) => time !== null);
    // What is due and found no room goes out when the messages before it have.
    const earliest = this.#sending > 0 ? Date.now() + CROWDED_MS : 0;
    if (times.length === 0) this.#parts.alarm.clear();
    else this.#parts.alarm.set(Math.max(earliest, Math.min(...times)));
  }

  /** Tells the registry how the job stands, when that is due. */
  #report(): Promise<void> {
    this.#reporting ??= this.#deliverReports().finally(() => {
      this.#reporting = undefined;
    });
    return this.#reporting;
  }

  async #deliverReports(): Promise<void> {
    const { sql } = this.#parts.storage;
    for (let due = jobRow(sql).report_due; due !== null && due <= Date.now(); due = jobRow(sql).report_due) {
      const report = reportOf(sql, this.#parts.jobId);
      const retryAt = report === null ? null : Date.now() + REPORT_RETRY_MS;
      reportAt(sql, retryAt);
      if (report === null) return;
      try {
        await orchestratorOf(this.#parts.env, this.#parts.tenant).reportJob(report);
      } catch (error) {
        this.#parts.log.warning("report.failed", { error: describe(error) });
        return;
      }
      confirm(sql, report.seq);
      // What changed meanwhile has set another time.
      if (jobRow(sql).report_due === retryAt)
        reportAt(sql, reportOf(sql, this.#parts.jobId) === null ? null : Date.now());
    }
  }
}
