import { DurableObject } from "cloudflare:workers";
import { configFor } from "../config/config.ts";
import type { AuditedCall } from "../contracts/audited-call.ts";
import type {
  Checkup,
  Erased,
  Followed,
  GivenAnswer,
  InstanceApi,
  MessageView,
  Notification,
  OutputPage,
  OutputQuery,
  Rest,
  SendRequest,
} from "../contracts/instance.ts";
import type { InstanceTool } from "../contracts/instance-tool.ts";
import { filesClosed, terminated, unknownInstance } from "../contracts/refusals.ts";
import type { Origin } from "../contracts/request-origin.ts";
import { instanceNameOf, orchestratorOf } from "../contracts/stubs.ts";
import {
  changesFiles,
  type FileArguments,
  type FileCall,
  type FileResult,
  noFiles,
  serveFiles,
} from "../contracts/workspace-rpc.ts";
import { Alarm } from "../platform/alarm.ts";
import { err, ok, type Result } from "../platform/errors.ts";
import { createLog } from "../platform/log.ts";
import { migrate } from "../platform/sqlite.ts";
import { heldBy } from "../workspace/nodes.ts";
import { FILE_TOOLS } from "../workspace/tools.ts";
import { REPORT_RETRY_MS } from "./housekeeping.ts";
import { InstanceFiles } from "./instance-files.ts";
import { checkupOf } from "./lifecycle/diagnostics.ts";
import { initialize, isInitialized } from "./lifecycle/first-use.ts";
import { deletionRefusal, hasEnded } from "./lifecycle/termination.ts";
import { parseCursor } from "./reporting/live-stream.ts";
import { checkHealth } from "./reporting/report.ts";
import { Reporter } from "./reporting/reporter.ts";
import { type InstanceObject, type RunningInstance, runningInstance } from "./running-instance.ts";
import { countMessages } from "./store/messages.ts";
import { INSTANCE_SCHEMA } from "./store/schema.ts";
import { storedSpec } from "./store/spec.ts";
import { Transcript } from "./store/transcript.ts";

/** An instance that has ended before it was ever used. */
const NEVER_USED: Rest = { resting: true, ended: true, queue_depth: 0, working_on: null, paused: null };

/**
 * One Claude instance. A plain Durable Object: it needs one alarm, whose time is derived from its rows, and a fresh object
 * has to be as cheap as it can be.
 */
export class Instance extends DurableObject<Env> implements InstanceApi {
  readonly #id: string;
  readonly #object: InstanceObject;
  #running: RunningInstance | undefined;
  #starting: Promise<Result<RunningInstance>> | undefined;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const { tenant, instanceId } = instanceNameOf(ctx.id.name);
    const config = configFor(env, tenant);
    const log = createLog(config.logLevel, { tenant, instance_id: instanceId });
    const alarm = new Alarm(ctx.storage);
    const reporter = new Reporter({
      sql: ctx.storage.sql,
      instanceId,
      connect: () => orchestratorOf(env, tenant),
      log,
      failed: () => alarm.notAfter(Date.now() + REPORT_RETRY_MS),
    });
    const files = new InstanceFiles({ storage: ctx.storage, env, config, tenant, instanceId, log });
    const transcript = new Transcript(ctx.storage.sql);
    this.#id = instanceId;
    this.#object = { ctx, env, tenant, instanceId, config, log, alarm, transcript, reporter, files };
  }

  /** The tools that the instances of this Worker may have. A spec names which of them an instance has. */
  protected tools(): readonly InstanceTool[] {
    return FILE_TOOLS;
  }

  async wake(): Promise<void> {
    await this.#serve(async ({ calls }) => ok(await calls.wake()));
  }

  async stop(request: { force: boolean }): Promise<void> {
    // An object that was never used has nothing to end: if it is used after this, the registry says that it has ended.
    if (!this.#isInitialized() && !this.#starting) return;
    await this.#serve(({ calls }) => ok(calls.stop(request)));
  }

  async notify(notification: Notification): Promise<void> {
    await this.#serve(({ calls }) => ok(calls.onNotification(notification)));
  }

  send(request: SendRequest): Promise<Result<MessageView>> {
    return this.#serve(({ calls }) => calls.send(request));
  }

  answer(n: number, given: GivenAnswer): Promise<Result<{ question_id: string; answer: string }>> {
    return this.#serve(({ calls }) => calls.answer(n, given));
  }

  interrupt(reason: string, origin?: Origin): Promise<Result<string[]>> {
    return this.#serve(({ calls }) => calls.interrupt(reason, origin));
  }

  cancel(n: number, reason: string, audit?: AuditedCall): Promise<Result<MessageView>> {
    return this.#serve(({ calls }) => calls.cancel(n, reason, audit));
  }

  message(n: number, waitMs: number): Promise<Result<MessageView>> {
    return this.#serve(({ calls }) => calls.message(n, waitMs));
  }

  subscribe(n: number, subscriber: string, sender?: string): Promise<Result<MessageView>> {
    return this.#serve(({ calls }) => calls.subscribe(n, subscriber, sender));
  }

  subscribeToRest(subscriber: string): Promise<Result<Rest>> {
    return this.#serve(async ({ calls }) => ok(await calls.subscribeToRest(subscriber)), NEVER_USED);
  }

  rest(waitMs: number): Promise<Result<Rest>> {
    return this.#serve(async ({ calls }) => ok(await calls.rest(waitMs)), NEVER_USED);
  }

  async follow(cursor: string, waitMs: number): Promise<Result<Followed & { resting: boolean }>> {
    const from = parseCursor(cursor);
    if (!from)
      return err(
        "invalid_input",
        "That is no event id of this stream: leave it out, or take the id of an event that it sent.",
      );
    const nothing = { events: [], cursor, resting: true };
    return this.#serve(async ({ calls }) => ok(await calls.follow(from, waitMs)), nothing);
  }

  output(query: OutputQuery): Promise<Result<OutputPage>> {
    return this.#serve(({ calls }) => ok(calls.output(query)), { rows: [], next: null });
  }

  async files<Call extends FileCall>(call: Call, args: FileArguments<Call>): Promise<Result<FileResult<Call>>> {
    const running = await this.#start();
    if (!running.ok) return running.error.code === "conflict" ? noFiles(call, this.#id) : running;
    const { sql } = this.ctx.storage;
    if (changesFiles(call) && hasEnded(sql)) return filesClosed(this.#id);
    const workspace = this.#object.files.workspace(storedSpec(sql)?.workspace_owner ?? null);
    const served = await serveFiles(workspace, call, args);
    if (changesFiles(call)) running.value.housekeeping.announce();
    return served;
  }

  async erase(): Promise<Result<Erased>> {
    const running = await this.#start();
    // Never used: there can't be anything but what an earlier, interrupted call left.
    if (!running.ok && running.error.code !== "conflict") return running;
    const { sql } = this.ctx.storage;
    const erased: Erased = { messages: 0, files: 0, bytes: 0, kept_objects: 0 };
    if (running.ok) {
      if (hasEnded(sql)) await running.value.housekeeping.inform();
      const refusal = deletionRefusal(sql, this.#id);
      if (refusal) return refusal;
      erased.messages = countMessages(sql);
      Object.assign(erased, heldBy(sql));
    }
    erased.kept_objects = await this.#object.files.erase(() => this.#empty());
    return ok(erased);
  }

  forget(): Promise<Result<null>> {
    const { sql } = this.ctx.storage;
    const { files } = this.#object;
    return this.#serve(async ({ housekeeping }) => {
      if (!hasEnded(sql) || files.needsUpload || files.isUploading) {
        return err("conflict", `${this.#id} has not ended yet, or its files are still being kept.`);
      }
      await housekeeping.inform();
      const refusal = deletionRefusal(sql, this.#id);
      if (refusal) return refusal;
      // Files that are nowhere else are deleted by `erase` alone.
      if (files.outliveObject || heldBy(sql).files === 0) await this.#empty();
      return ok(null);
    }, null);
  }

  /** Whatever is asked next begins with an empty object. */
  async #empty(): Promise<void> {
    await this.ctx.storage.deleteAlarm();
    await this.ctx.storage.deleteAll();
    this.#running = undefined;
    this.#object.files.forget();
    this.#object.transcript.forget();
  }

  async checkup(): Promise<Result<Checkup>> {
    const { storage } = this.ctx;
    // Looking at an object that was never used does not initialize it.
    if (this.#isInitialized()) await this.#start();
    const initialized = this.#isInitialized();
    if (initialized) checkHealth(storage, Date.now());
    return ok(checkupOf(storage.sql, initialized, await storage.getAlarm()));
  }

  override async alarm(): Promise<void> {
    await this.#serve(async ({ housekeeping }) => ok(await housekeeping.onAlarm()));
  }

  /** Has the running instance do it. `unused`: the answer of one that ended without ever being used, which else is a `conflict`. */
  async #serve<T>(work: (instance: RunningInstance) => Result<T> | Promise<Result<T>>, unused?: T): Promise<Result<T>> {
    const running = await this.#start();
    if (running.ok) return work(running.value);
    return unused !== undefined && running.error.code === "conflict" ? ok(unused) : running;
  }

  #isInitialized(): boolean {
    return this.#running !== undefined || isInitialized(this.ctx.storage.sql);
  }

  /** The instance with its spec: from storage, or on the very first use from the registry. `conflict`: it ended unused. */
  async #start(): Promise<Result<RunningInstance>> {
    if (this.#running) return ok(this.#running);
    this.#starting ??= this.#load().finally(() => {
      this.#starting = undefined;
    });
    return this.#starting;
  }

  async #load(): Promise<Result<RunningInstance>> {
    const { storage } = this.ctx;
    const { alarm, config, reporter } = this.#object;
    await alarm.load();
    if (isInitialized(storage.sql)) {
      migrate(storage, INSTANCE_SCHEMA);
    } else {
      const fresh = await reporter.ask((orchestrator) => orchestrator.firstUse(this.#id));
      if (!fresh) return unknownInstance(this.#id);
      if (fresh.ended) return terminated(this.#id);
      initialize(storage, fresh, config.anthropicApiKey === null, Date.now());
    }
    const spec = storedSpec(storage.sql);
    if (!spec) throw new Error("The instance has tables but no spec.");
    this.#running = runningInstance(this.#object, spec, this.tools());
    this.#running.housekeeping.armForIdleness();
    return ok(this.#running);
  }
}
