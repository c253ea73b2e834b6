import { DurableObject } from "cloudflare:workers";
import { type Config, configOf } from "../config.ts";
import type { Answer } from "../errors.ts";
import type { Report } from "../instance/spec.ts";
import { createLog, type Log } from "../log.ts";
import { instanceOf } from "../objects.ts";
import { migrate } from "../sqlite.ts";
import { Waiters } from "../waiters.ts";
import type {
  Admission,
  Birth,
  CallOutcome,
  EventPage,
  EventQuery,
  InstancePage,
  ListQuery,
  OrchestratorApi,
  SpawnReceipt,
  SpawnRequest,
  StoredTask,
  TerminateReceipt,
  TerminateRequest,
} from "./api.ts";
import { eventsAfter } from "./events.ts";
import { Gate } from "./gate.ts";
import { deliver, nextDue } from "./outbox.ts";
import * as registry from "./registry.ts";
import { ORCHESTRATOR_SCHEMA } from "./schema.ts";
import { type StatusRecord, statusOf } from "./status.ts";
import { cancelTask, saveTask, taskOf } from "./tasks.ts";

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
  /** Whoever follows the event log. */
  readonly #watchers = new Waiters();

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#tenant = ctx.id.name ?? "default";
    this.#config = configOf(env);
    this.#log = createLog(this.#config.logLevel, { tenant: this.#tenant });
    migrate(ctx.storage, ORCHESTRATOR_SCHEMA);
    this.#gate = new Gate(ctx.storage.sql);
  }

  async spawn(request: SpawnRequest): Promise<Answer<SpawnReceipt>> {
    const answer = registry.spawn(this.ctx.storage, request, { maxInstances: this.#config.maxInstances }, Date.now());
    if (answer.ok) {
      this.#watchers.wake();
      this.#log.info("instance.spawned", {
        instance_id: answer.value.instance_id,
        role: request.role,
        model: request.model,
      });
      if (answer.value.message_id !== null) {
        await this.#arm();
        this.ctx.waitUntil(this.#deliver());
      }
    }
    return answer;
  }

  async birthOf(instanceId: string): Promise<Birth | null> {
    return registry.birthOf(this.ctx.storage.sql, instanceId);
  }

  async status(instanceId: string): Promise<StatusRecord | null> {
    const row = registry.rowOf(this.ctx.storage.sql, instanceId);
    return row ? statusOf(row, this.#prefix, Date.now()) : null;
  }

  async list(query: ListQuery): Promise<InstancePage> {
    return registry.list(this.ctx.storage.sql, query, this.#prefix, Date.now());
  }

  async terminate(request: TerminateRequest): Promise<Answer<TerminateReceipt>> {
    const answer = registry.terminate(this.ctx.storage, request, Date.now());
    if (answer.ok && answer.value.terminated.length > 0) {
      this.#watchers.wake();
      for (const id of answer.value.terminated) {
        this.#gate.forget(id);
        this.#log.info("instance.terminated", { instance_id: id, reason: request.reason, force: request.force });
      }
      // The rows are committed. Waiting a moment for the objects spares the caller a send that is accepted and cancelled.
      await this.#arm();
      await within(this.#deliver(), DELIVERY_PATIENCE_MS);
    }
    return answer;
  }

  async admit(instanceId: string, report: Report | null): Promise<Admission> {
    if (report) this.#take(report);
    const { sql } = this.ctx.storage;
    let held = false;
    const admission = await this.#gate.enter(instanceId, Date.now(), () => {
      held = true;
      registry.showWaiting(sql, instanceId, "gate");
    });
    if (held && admission.granted) registry.showWaiting(sql, instanceId, null);
    return admission;
  }

  async withdraw(instanceId: string): Promise<void> {
    this.#gate.forget(instanceId);
  }

  async report(report: Report, call?: CallOutcome): Promise<void> {
    this.#take(report);
    if (call) this.#gate.leave(report.instance_id, call, Date.now());
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

  #take(report: Report): void {
    registry.apply(this.ctx.storage, report);
    this.#watchers.wake();
  }

  override async alarm(): Promise<void> {
    await this.#deliver();
  }

  get #prefix(): string {
    return `${this.#config.workspacePrefix}/${this.#tenant}`;
  }

  /** Delivers what the outbox owes. The alarm is armed before it, so what this object leaves undone is done later. */
  async #deliver(): Promise<void> {
    await deliver(
      this.ctx.storage.sql,
      (id) => instanceOf(this.env, this.#tenant, id),
      () => Date.now(),
    );
    await this.#arm();
  }

  async #arm(): Promise<void> {
    const due = nextDue(this.ctx.storage.sql);
    if (due === null) return;
    const armed = await this.ctx.storage.getAlarm();
    if (armed === null || armed > due) await this.ctx.storage.setAlarm(due);
  }
}

/** Waits for `work`, but for `ms` at most; the work goes on. */
async function within(work: Promise<void>, ms: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const patience = new Promise<void>((done) => {
    timer = setTimeout(done, ms);
  });
  await Promise.race([work, patience]);
  clearTimeout(timer);
}
