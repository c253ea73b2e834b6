/**
 * Everything that a job sends: the messages of its steps, the calls in its outbox, and its reports to the registry. Each is a row
 * with a time (platform/delivery.ts), and the job's one alarm is set from all of them.
 */

import type { MessageView } from "../contracts/instance.ts";
import type { JobSpec } from "../contracts/job.ts";
import { instanceOf, orchestratorOf, subscriberOf } from "../contracts/stubs.ts";
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
import { STRATEGIES } from "./strategies/index.ts";
import type { Question, Steps } from "./strategies/strategy.ts";

/** How an instance answered a step's message: accepted, or refused because it is terminated or deleted. */
export type SendResult =
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
  sent: (what: SendResult) => Promise<void>;
}

export class Dispatch {
  readonly #parts: DispatchParts;
  readonly #sendings: Deliveries<steps.StepRow, void>;
  readonly #outbox: Deliveries<OutboxRow, void>;
  readonly #reports: Deliveries<Row, void>;
  /** What the steps that are being sent ask; undefined when none is. */
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
      // `send` has already applied the answer to the step, whose row is no longer due.
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

  /** Whether everything has been delivered. */
  get isDone(): boolean {
    return (
      this.#outbox.nextDue === null &&
      jobRow(this.#parts.storage.sql).report_due === null &&
      this.#sendings.underWay === 0
    );
  }

  /** Delivers what is due, and sets the alarm for the rest. Resolves when what was due has been delivered or has failed. */
  async deliverDue(): Promise<void> {
    const delivered = [this.#sendings, this.#outbox, this.#reports].map((deliveries) => deliveries.deliverDue());
    this.#arm();
    await Promise.all(delivered);
  }

  async #carryOut({ kind, target, reason }: OutboxRow): Promise<void> {
    switch (kind) {
      case "tell":
        return subscriberOf(this.#parts.env, this.#parts.tenant, target).notify({ id: this.#parts.jobId });
      case "cancel":
        return this.#cancelMessage(target, reason);
      case "recall": {
        // Whether the message arrived is unknown. Sending it again returns its id, with which it can be cancelled.
        const step = steps.stepOf(this.#parts.storage.sql, Number(target));
        const answer = step ? await this.#send(step) : undefined;
        if (answer?.ok) await this.#cancelMessage(answer.value.message_id, reason);
        return;
      }
    }
  }

  async #cancelMessage(messageId: string, reason: string): Promise<void> {
    const message = parseMessageId(messageId);
    // If the instance is gone or the message has ended, there is nothing to cancel.
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
      subscriber: this.#parts.jobId,
      job: this.#parts.jobId,
      trace: this.#parts.spec()?.trace ?? null,
      // A step's question is made from final rows alone, so the key identifies the request.
      idempotency: { key, body_hash: key },
    });
  }

  #question(step: steps.StepRow): Question {
    // A step's question is made from what was final when the step began, so rows read at any later time give the same one.
    if (!this.#questions?.known.has(step.key)) this.#questions = this.#readQuestions();
    return this.#questions.ask(step);
  }

  /** Makes questions from the rows as they are now. Each text is read once. */
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
    return { known, ask: (step) => STRATEGIES[spec.type].ask(spec, known, step, textOf) };
  }

  /** Reports the state of the job and its new events to the registry. */
  async #report(): Promise<void> {
    const { storage, env, tenant, jobId } = this.#parts;
    const report = reportOf(storage.sql, jobId);
    if (report === null) return;
    await orchestratorOf(env, tenant).reportJob(report);
    inTransaction(storage, (tx) => confirm(tx, report.seq));
  }

  /** Sets the alarm to the next deadline or delivery, or clears it when there is none. */
  #arm(): void {
    const { storage, alarm } = this.#parts;
    const deliveries = [this.#sendings, this.#outbox, this.#reports].map(({ nextDue }) => nextDue);
    const times = [steps.nextDeadline(storage.sql), ...deliveries].filter((time) => time !== null);
    if (times.length === 0) alarm.clear();
    else alarm.set(Math.min(...times));
  }
}
