/**
 * What a job brings out: the messages of its steps, its outbox, and how it stands. All of it is in rows first, and put
 * off before it is tried; one alarm brings what is left undone.
 */

import type { MessageView } from "../contracts/instance.ts";
import type { JobSpec } from "../contracts/job.ts";
import { instanceOf, orchestratorOf, watcherOf } from "../contracts/stubs.ts";
import type { Alarm } from "../platform/alarm.ts";
import { Deliveries } from "../platform/delivery.ts";
import type { Failure, Result } from "../platform/errors.ts";
import { parseMessageId } from "../platform/ids.ts";
import { describe, type Log } from "../platform/log.ts";
import type { Row } from "../platform/sqlite.ts";
import { inTransaction } from "../platform/transaction.ts";
import { confirm, jobRow, REPORT_POLICY, REPORTS, reportAt, reportOf } from "./job-state.ts";
import { OUTBOX, OUTBOX_POLICY, type OutboxRow } from "./outbox.ts";
import * as steps from "./steps.ts";
import { COURSES } from "./strategies/index.ts";
import type { Question, Steps } from "./strategies/strategy.ts";

/** What an instance said to a step's message: it has it, or it does not take it (it was terminated, or is gone). */
export type Sent =
  | { kind: "taken"; asked: steps.StepRow; view: MessageView }
  | { kind: "refused"; asked: steps.StepRow; error: Failure };

interface Questions {
  known: Steps;
  ask: (step: steps.StepRow) => Question;
}

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
}

export class Dispatch {
  readonly #parts: DispatchParts;
  readonly #sendings: Deliveries<steps.StepRow, void>;
  readonly #outbox: Deliveries<OutboxRow, void>;
  readonly #reports: Deliveries<Row, void>;
  /** What the steps that are being sent ask, as long as there are any. */
  #questions: Questions | undefined;

  constructor(parts: DispatchParts) {
    this.#parts = parts;
    const { storage, log } = parts;
    const onIdle = () => this.#arm();
    this.#sendings = new Deliveries<steps.StepRow, void>({
      storage,
      table: steps.SENDINGS,
      policy: steps.SENDING_POLICY,
      send: (step) => this.#sendStep(step),
      // What the instance has said was taken in with the sending: the row is not due any more.
      onDelivered: () => undefined,
      onFailed: ({ key }, error) => log.warning("send.failed", { step: key, error: describe(error) }),
      onIdle: () => {
        this.#questions = undefined;
        onIdle();
      },
    });
    this.#outbox = new Deliveries<OutboxRow, void>({
      storage,
      table: OUTBOX,
      policy: OUTBOX_POLICY,
      send: (row) => this.#carryOut(row),
      onDelivered: "delete",
      onFailed: ({ kind, target }, error) => log.warning("delivery.failed", { kind, target, error: describe(error) }),
      onIdle,
    });
    this.#reports = new Deliveries<Row, void>({
      storage,
      table: REPORTS,
      policy: REPORT_POLICY,
      send: () => this.#report(),
      onDelivered: (tx) => reportAt(tx, reportOf(tx, parts.jobId) === null ? null : Date.now()),
      onFailed: (_job, error) => log.warning("report.failed", { error: describe(error) }),
      onIdle,
    });
  }

  /** Whether everything has arrived. */
  get isDone(): boolean {
    return (
      this.#outbox.nextDue === null &&
      jobRow(this.#parts.storage.sql).report_due === null &&
      this.#sendings.underWay === 0
    );
  }

  /** Begins to deliver what is due, with the alarm armed for what is left undone. Resolves when it is done. */
  async bringOut(): Promise<void> {
    const delivered = [this.#sendings, this.#outbox, this.#reports].map((deliveries) => deliveries.deliverDue());
    this.#arm();
    await Promise.all(delivered);
  }

  async #carryOut({ kind, target, reason }: OutboxRow): Promise<void> {
    switch (kind) {
      case "tell":
        return watcherOf(this.#parts.env, this.#parts.tenant, target).knock({ id: this.#parts.jobId });
      case "cancel":
        return this.#cancelMessage(target, reason);
      case "recall": {
        // Whether the message arrived is not known: sending it again tells its id, and makes it one that can be cancelled.
        const step = steps.stepOf(this.#parts.storage.sql, Number(target));
        const answer = step ? await this.#send(step) : undefined;
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

  async #sendStep(asked: steps.StepRow): Promise<void> {
    const answer = await this.#send(asked);
    await this.#parts.sent(
      answer.ok ? { kind: "taken", asked, view: answer.value } : { kind: "refused", asked, error: answer.error },
    );
  }

  #send(step: steps.StepRow): Promise<Result<MessageView>> {
    const { message, schema } = this.#question(step);
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
    // What a step asks follows from what was final when it began: rows that were read later say the same.
    if (!this.#questions?.known.has(step.key)) this.#questions = this.#readQuestions();
    return this.#questions.ask(step);
  }

  /** What steps ask, from the rows as they are now; each text is read once. */
  #readQuestions(): Questions {
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
    return { known, ask: (step) => COURSES[spec.type].ask(spec, known, step, textOf) };
  }

  /** Tells the registry how the job stands. */
  async #report(): Promise<void> {
    const { storage, env, tenant, jobId } = this.#parts;
    const report = reportOf(storage.sql, jobId);
    if (report === null) return;
    await orchestratorOf(env, tenant).reportJob(report);
    inTransaction(storage, (tx) => confirm(tx, report.seq));
  }

  /** The next thing to do by time: a deadline, a delivery. None: nothing wakes this object. */
  #arm(): void {
    const { storage, alarm } = this.#parts;
    const deliveries = [this.#sendings, this.#outbox, this.#reports].map(({ nextDue }) => nextDue);
    const times = [steps.nextDeadline(storage.sql), ...deliveries].filter((time) => time !== null);
    if (times.length === 0) alarm.clear();
    else alarm.set(Math.min(...times));
  }
}
