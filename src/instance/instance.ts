import { DurableObject } from "cloudflare:workers";
import { Alarm } from "../alarm.ts";
import type { AuditedCall, Origin } from "../audit.ts";
import { createClaude } from "../claude/client.ts";
import { type Config, configFor } from "../config.ts";
import { type Answer, err, ok, unwrap } from "../errors.ts";
import { remoteTools } from "../hands/remote.ts";
import { recall, remember } from "../idempotency.ts";
import { messageIdOf } from "../ids.ts";
import { createLog, describe, type Log } from "../log.ts";
import { instanceNameOf, orchestratorOf, watcherOf } from "../objects.ts";
import type { CallOutcome } from "../orchestrator/api.ts";
import { exportSpans } from "../otlp.ts";
import { keyNameOf, NO_SECRETS, open, type Secrets } from "../secrets.ts";
import { migrate } from "../sqlite.ts";
import { Waiters, within } from "../waiters.ts";
import { heldBy } from "../workspace/nodes.ts";
import {
  changesFiles,
  type FileArguments,
  type FileCall,
  type FileResult,
  noFiles,
  serveFiles,
} from "../workspace/remote.ts";
import { FILE_TOOLS } from "../workspace/tools.ts";
import type {
  Checkup,
  Erased,
  Followed,
  GivenAnswer,
  InstanceApi,
  MessageView,
  News,
  OutputPage,
  OutputQuery,
  Rest,
  SendRequest,
} from "./api.ts";
import { isFinal } from "./api.ts";
import { resume } from "./attempts.ts";
import { recordCall } from "./audit.ts";
import { Belongings } from "./belongings.ts";
import { bear, isBorn } from "./birth.ts";
import { checkupOf } from "./checkup.ts";
import { idleDeadline, isOverdue, isResting, restOf } from "./deadlines.ts";
import { deletionRefusal, end, hasEnded } from "./ending.ts";
import { Engine } from "./engine.ts";
import { accept, cancelOpenTurn, cancelQueued, messagesOfTurn, viewOf } from "./inbox.ts";
import { follow, parseCursor } from "./live.ts";
import { pageOf } from "./output.ts";
import { hear } from "./parked.ts";
import { answer } from "./questions.ts";
import { Readers } from "./readers.ts";
import { filesClosed, terminated, unknownInstance } from "./refusals.ts";
import { checkHealth, confirm, hasUnreported } from "./report.ts";
import { Reporter } from "./reporter.ts";
import { INSTANCE_SCHEMA } from "./schema.ts";
import { sealedSecrets, selfOf, standingOf, storedSpec } from "./self.ts";
import { spansOf } from "./spans.ts";
import type { InstanceSpec } from "./spec.ts";
import type { InstanceTool } from "./tool.ts";
import { Transcript } from "./transcript.ts";
import { AT_REST, nextNews, tell, watch } from "./watch.ts";

/**
 * While a turn is open the alarm beats this often: it keeps the object awake, and after a crash it is what starts the
 * turn again, so nobody waits longer than this for that.
 */
const HEARTBEAT_MS = 10_000;
/** A report that the registry did not take is tried again after this time. */
const REPORT_RETRY_MS = 5_000;
/** Files that could not be kept are tried again after this time. */
const KEEP_RETRY_MS = 30_000;
/** How long an answer waits for the registry to have heard of it. */
const REPORT_PATIENCE_MS = 1_000;
/** How long a caller that interrupts is kept until the turn has stopped; it stops in any case. */
const INTERRUPT_PATIENCE_MS = 5_000;

/**
 * One Claude instance. A plain Durable Object: it needs one alarm, whose time is derived from its rows, and a fresh object
 * has to be as cheap as it can be.
 */
export class Instance extends DurableObject<Env> implements InstanceApi {
  readonly #tenant: string;
  readonly #id: string;
  readonly #config: Config;
  readonly #log: Log;
  readonly #reporter: Reporter;
  readonly #transcript: Transcript;
  readonly #alarm: Alarm;
  readonly #waiters = new Waiters();
  readonly #readers = new Readers(() => this.#engine?.live ?? null);
  /** Present from the first use on. */
  #engine: Engine | undefined;
  #birth: Promise<Answer<Engine>> | undefined;
  readonly #belongings: Belongings;
  /** How many tellings are under way. */
  #telling = 0;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const { tenant, instanceId } = instanceNameOf(ctx.id.name);
    this.#tenant = tenant;
    this.#id = instanceId;
    this.#config = configFor(env, tenant);
    this.#log = createLog(this.#config.logLevel, { tenant, instance_id: instanceId });
    this.#transcript = new Transcript(ctx.storage.sql);
    this.#alarm = new Alarm(ctx.storage);
    this.#reporter = new Reporter({
      sql: ctx.storage.sql,
      instanceId,
      connect: () => orchestratorOf(env, tenant),
      log: this.#log,
      failed: () => this.#alarm.notAfter(Date.now() + REPORT_RETRY_MS),
    });
    this.#belongings = new Belongings({
      storage: ctx.storage,
      env,
      config: this.#config,
      tenant,
      instanceId,
      log: this.#log,
    });
  }

  /** The tools that the instances of this Worker may have. A spec names which of them an instance has. */
  protected tools(): readonly InstanceTool[] {
    return FILE_TOOLS;
  }

  async wake(): Promise<void> {
    const engine = await this.#born();
    if (!engine.ok) return;
    const standing = await this.#reporter.ask((orchestrator) => orchestrator.standing(this.#id));
    confirm(this.ctx.storage.sql, 0, standing);
    resume(this.ctx.storage, Date.now());
    this.#work(engine.value);
    if (!engine.value.running) await this.#rest();
  }

  async stop({ force }: { force: boolean }): Promise<void> {
    // An object that was never used has nothing to end: if it is used after this, the registry says that it has ended.
    if (!this.#isBorn() && !this.#birth) return;
    const engine = await this.#born();
    if (!engine.ok) return;
    end(this.ctx.storage, this.#id, force, Date.now());
    if (force) engine.value.interrupt();
    this.#waiters.wake();
    this.#work(engine.value);
    if (this.#belongings.haveToBeKept) this.#alarm.notAfter(Date.now());
    this.ctx.waitUntil(this.#committed());
  }

  async send(request: SendRequest): Promise<Answer<MessageView>> {
    const engine = await this.#born();
    if (!engine.ok) return engine;
    const accepted = accept(this.ctx.storage, this.#id, request, Date.now());
    if (!accepted.ok) return accepted;
    const { n, repeated } = accepted.value;
    if (repeated) return request.watcher ? this.watch(n, request.watcher) : this.#view(n);
    if (request.when_busy === "interrupt") engine.value.interrupt();
    engine.value.begin();
    this.#readers.wake();
    this.#work(engine.value, "behind the answer");
    return this.#view(n);
  }

  async knock(news: News): Promise<void> {
    const engine = await this.#born();
    if (!engine.ok) return;
    engine.value.heard(news.id);
    if (hear(this.ctx.storage, this.#id, news.id, Date.now())) this.#work(engine.value);
  }

  async answer(n: number, given: GivenAnswer): Promise<Answer<{ question_id: string; answer: string }>> {
    const engine = await this.#born();
    if (!engine.ok) return engine;
    const answered = answer(this.ctx.storage, this.#id, n, given, Date.now());
    if (answered.ok) {
      engine.value.heard(answered.value.question_id);
      this.#readers.wake();
      this.#work(engine.value);
    }
    return answered;
  }

  async watch(n: number, watcher: string): Promise<Answer<MessageView>> {
    const engine = await this.#born();
    if (!engine.ok) return engine;
    const view = this.#view(n);
    if (view.ok && !isFinal(view.value.state)) watch(this.ctx.storage.sql, n, watcher);
    return view;
  }

  async watchRest(watcher: string): Promise<Answer<Rest>> {
    const rest = await this.rest(0);
    if (rest.ok && !rest.value.resting) watch(this.ctx.storage.sql, AT_REST, watcher);
    return rest;
  }

  /** The view with the money as it stands after it: a report that is on its way is waited for a moment. */
  async #reported(n: number, view: Answer<MessageView>): Promise<Answer<MessageView>> {
    if (!view.ok || !hasUnreported(this.ctx.storage.sql)) return view;
    await within(this.#reporter.report(), REPORT_PATIENCE_MS);
    return this.#view(n);
  }

  async rest(waitMs: number): Promise<Answer<Rest>> {
    const engine = await this.#born();
    if (!engine.ok) {
      if (engine.error.code !== "conflict") return engine;
      return ok({ resting: true, ended: true, queue_depth: 0, working_on: null });
    }
    const deadline = Date.now() + waitMs;
    for (;;) {
      const rest = restOf(this.ctx.storage.sql, this.#id);
      const left = deadline - Date.now();
      if (rest.resting || left <= 0) return ok(rest);
      await this.#waiters.next(left);
    }
  }

  async interrupt(reason: string, { idempotency, audit }: Origin = {}): Promise<Answer<string[]>> {
    const engine = await this.#born();
    if (!engine.ok) return engine;
    const { storage } = this.ctx;
    const { sql } = storage;
    // A message that was accepted a moment ago may not have begun: beginning it now makes it one that can be stopped.
    this.#work(engine.value);
    const open = selfOf(sql)?.open_n ?? null;
    const stopped = storage.transactionSync((): Answer<string[]> => {
      const known = recall<string[]>(sql, idempotency);
      if (known) return known;
      const messages = open !== null && cancelOpenTurn(sql, reason) ? messagesOfTurn(sql, open) : [];
      recordCall(sql, audit, Date.now());
      return remember(sql, idempotency, ok(messages.map((n) => messageIdOf(this.#id, n))), Date.now());
    });
    this.#announce(engine.value);
    if (!stopped.ok || open === null || !stopped.value.includes(messageIdOf(this.#id, open))) return stopped;
    engine.value.interrupt();
    this.#work(engine.value);
    const deadline = Date.now() + INTERRUPT_PATIENCE_MS;
    while (selfOf(sql)?.open_n === open && Date.now() < deadline) await this.#waiters.next(deadline - Date.now());
    return stopped;
  }

  async cancel(n: number, reason: string, audit?: AuditedCall): Promise<Answer<MessageView>> {
    const engine = await this.#born();
    if (!engine.ok) return engine;
    const { storage } = this.ctx;
    const open = selfOf(storage.sql)?.open_n ?? null;
    if (cancelQueued(storage, this.#id, n, reason, Date.now(), audit)) {
      this.ctx.waitUntil(this.#committed());
    } else if (open !== null && messagesOfTurn(storage.sql, open).includes(n)) {
      const stopped = await this.interrupt(reason, { audit });
      if (!stopped.ok) return stopped;
    }
    return this.#view(n);
  }

  async follow(cursor: string, waitMs: number): Promise<Answer<Followed & { resting: boolean }>> {
    const from = parseCursor(cursor);
    if (!from)
      return err(
        "invalid_input",
        "That is no event id of this stream: leave it out, or take the id of an event that it sent.",
      );
    const engine = await this.#born();
    if (!engine.ok) {
      return engine.error.code === "conflict" ? ok({ events: [], cursor, resting: true }) : engine;
    }
    const deadline = Date.now() + waitMs;
    for (;;) {
      const source = {
        sql: this.ctx.storage.sql,
        transcript: this.#transcript,
        instanceId: this.#id,
        live: this.#readers.shown,
      };
      const followed = follow(source, from);
      const left = deadline - Date.now();
      const self = selfOf(this.ctx.storage.sql);
      // From one that has ended nothing more comes.
      if (followed.events.length > 0 || left <= 0 || self?.ended === 2) {
        return ok({ ...followed, resting: self?.open_n == null && (self?.queued ?? 0) === 0 });
      }
      await this.#readers.next(left);
    }
  }

  async message(n: number, waitMs: number): Promise<Answer<MessageView>> {
    const engine = await this.#born();
    if (!engine.ok) return engine;
    const deadline = Date.now() + waitMs;
    for (;;) {
      const view = this.#view(n);
      const left = deadline - Date.now();
      // Waiting does not raise a cap.
      if (!view.ok || isFinal(view.value.state) || view.value.paused || left <= 0) return this.#reported(n, view);
      await this.#waiters.next(left);
    }
  }

  async output(query: OutputQuery): Promise<Answer<OutputPage>> {
    const engine = await this.#born();
    if (!engine.ok) {
      // Terminated before it was ever used: there is nothing to read, and that is no error.
      return engine.error.code === "conflict" ? ok({ rows: [], next: null }) : engine;
    }
    return ok(pageOf(this.ctx.storage.sql, this.#transcript, this.#id, query));
  }

  async files<Call extends FileCall>(call: Call, args: FileArguments<Call>): Promise<Answer<FileResult<Call>>> {
    const engine = await this.#born();
    if (!engine.ok) return engine.error.code === "conflict" ? noFiles(call, this.#id) : engine;
    const { sql } = this.ctx.storage;
    if (changesFiles(call) && hasEnded(sql)) return filesClosed(this.#id);
    const served = await serveFiles(this.#belongings.workspace(storedSpec(sql)?.workspace_owner ?? null), call, args);
    if (changesFiles(call)) this.#announce(engine.value);
    return served;
  }

  async erase(): Promise<Answer<Erased>> {
    const engine = await this.#born();
    // Never used: there can't be anything but what an earlier, interrupted call left.
    if (!engine.ok && engine.error.code !== "conflict") return engine;
    const { storage } = this.ctx;
    const { sql } = storage;
    const erased: Erased = { messages: 0, files: 0, bytes: 0, kept_objects: 0 };
    if (engine.ok) {
      if (hasEnded(sql)) await Promise.all([this.#tell(), this.#reporter.report()]);
      const refusal = deletionRefusal(sql, this.#id);
      if (refusal) return refusal;
      erased.messages = sql.exec<{ n: number }>("SELECT COUNT(*) AS n FROM message").one().n;
      Object.assign(erased, heldBy(sql));
    }
    erased.kept_objects = await this.#belongings.erase(() => this.#empty());
    return ok(erased);
  }

  async forget(): Promise<Answer<null>> {
    const engine = await this.#born();
    if (!engine.ok) return engine.error.code === "conflict" ? ok(null) : engine;
    const { sql } = this.ctx.storage;
    if (!hasEnded(sql) || this.#belongings.haveToBeKept || this.#belongings.areOnTheirWay) {
      return err("conflict", `${this.#id} has not ended yet, or its files are still being kept.`);
    }
    await Promise.all([this.#tell(), this.#reporter.report()]);
    const refusal = deletionRefusal(sql, this.#id);
    if (refusal) return refusal;
    // Files that nothing else keeps are not deleted behind anybody's back.
    if (this.#belongings.areKept || heldBy(sql).files === 0) await this.#empty();
    return ok(null);
  }

  /** Whatever is asked next begins with an empty object. */
  async #empty(): Promise<void> {
    await this.ctx.storage.deleteAlarm();
    await this.ctx.storage.deleteAll();
    this.#engine = undefined;
    this.#belongings.forget();
    this.#transcript.forget();
  }

  async checkup(): Promise<Answer<Checkup>> {
    const { storage } = this.ctx;
    // Looking at an object that was never used does not begin its life.
    if (this.#isBorn()) await this.#born();
    const born = this.#isBorn();
    if (born) checkHealth(storage, Date.now());
    return ok(checkupOf(storage.sql, born, await storage.getAlarm()));
  }

  override async alarm(): Promise<void> {
    const engine = await this.#born();
    if (!engine.ok) return;
    this.#alarm.fired();
    checkHealth(this.ctx.storage, Date.now());
    if (isOverdue(this.ctx.storage.sql, Date.now())) engine.value.interrupt();
    this.#work(engine.value);
    if (engine.value.running) return;
    if (await this.#expire()) return;
    if (this.#belongings.areBeingErased || !(await this.#keepFiles())) return;
    await this.#rest();
  }

  /** Keeps what has to be kept. Returns whether nothing is left of it. */
  async #keepFiles(): Promise<boolean> {
    if (!this.#belongings.haveToBeKept) return true;
    await this.#belongings.keep();
    if (!this.#belongings.haveToBeKept) return true;
    // After a failure, or while an upload that began before the end is under way.
    if (!this.#belongings.areBeingErased) this.#alarm.set(Date.now() + KEEP_RETRY_MS);
    return false;
  }

  /** Ends the instance if its idle time is over and the registry agrees. Returns whether it was asked. */
  async #expire(): Promise<boolean> {
    const deadline = idleDeadline(this.ctx.storage.sql);
    if (deadline === null || deadline > Date.now()) return false;
    try {
      await this.#reporter.report();
      const answer = await this.#reporter.ask((orchestrator) => orchestrator.expire(this.#id));
      if (!answer.expired) this.#alarm.set(answer.again);
    } catch (error) {
      this.#log.warning("expire.failed", { error: describe(error) });
      this.#alarm.set(Date.now() + REPORT_RETRY_MS);
    }
    return true;
  }

  /** Starts the drive if there is work, with the alarm armed before it: from then on the work survives this object. */
  #work(engine: Engine, start: "now" | "behind the answer" = "now"): void {
    const self = selfOf(this.ctx.storage.sql);
    if (!self || isResting(self)) return;
    this.#alarm.notAfter(Date.now() + HEARTBEAT_MS);
    if (engine.running) this.ctx.waitUntil(this.#reporter.report());
    // The first model call takes about as long to begin as its message to be taken in: the caller does not wait for it.
    this.ctx.waitUntil(start === "now" ? engine.ensure() : nextTask().then(() => engine.ensure()));
  }

  /** What was put on record without a turn to follow goes to the registry: at once, and by the alarm if this object dies before. */
  #announce(engine: Engine): void {
    if (!hasUnreported(this.ctx.storage.sql)) return;
    if (!engine.running) this.#alarm.notAfter(Date.now() + REPORT_RETRY_MS);
    this.ctx.waitUntil(engine.running ? this.#reporter.report() : this.#rest());
  }

  /** Nothing is left to do: an idle instance is woken by nothing but its deadline. */
  async #rest(): Promise<void> {
    checkHealth(this.ctx.storage, Date.now());
    await Promise.all([this.#reporter.report(), this.#tell()]);
    this.#armForRest();
  }

  /** While somebody has yet to hear of something, the heartbeat's alarm stays: it is what brings it to them after a crash. */
  #armForRest(): void {
    const { sql } = this.ctx.storage;
    if (this.#telling > 0 || hasUnreported(sql) || nextNews(sql) !== null || selfOf(sql)?.open_n !== null) return;
    const deadline = idleDeadline(this.ctx.storage.sql);
    if (deadline !== null) this.#alarm.set(deadline);
    else if (this.#belongings.haveToBeKept) this.#alarm.notAfter(Date.now());
    else if (hasEnded(sql)) this.#alarm.clear();
  }

  #view(n: number): Answer<MessageView> {
    const { sql } = this.ctx.storage;
    const view = viewOf(sql, this.#transcript, this.#id, n);
    const self = selfOf(sql);
    if (view) {
      // Only this object knows: nothing is written for a wait that is over in a moment, as a rule.
      const open = view.state === "running" || view.state === "waiting";
      const held = open && this.#engine?.held === true;
      const shown: MessageView = held
        ? { ...view, state: "waiting", waiting_for: { reason: "gate", until: null } }
        : view;
      return ok(self ? { ...shown, funds: standingOf(self).funds } : shown);
    }
    return err("not_found", `There is no message ${messageIdOf(this.#id, n)}.`, {
      message_id: messageIdOf(this.#id, n),
    });
  }

  #isBorn(): boolean {
    return this.#engine !== undefined || isBorn(this.ctx.storage.sql);
  }

  /** The engine, with the spec behind it: from storage, or on the very first use from the registry. */
  async #born(): Promise<Answer<Engine>> {
    if (this.#engine) return ok(this.#engine);
    this.#birth ??= this.#bear().finally(() => {
      this.#birth = undefined;
    });
    return this.#birth;
  }

  async #bear(): Promise<Answer<Engine>> {
    const { storage } = this.ctx;
    await this.#alarm.load();
    if (!isBorn(storage.sql)) {
      const birth = await this.#reporter.ask((orchestrator) => orchestrator.birthOf(this.#id));
      if (!birth) return unknownInstance(this.#id);
      if (birth.ended) return terminated(this.#id);
      bear(storage, birth, this.#config.anthropicApiKey === null, Date.now());
    } else {
      migrate(storage, INSTANCE_SCHEMA);
    }
    const spec = storedSpec(storage.sql);
    if (!spec) throw new Error("The instance has tables but no spec.");
    const given = new Set(spec.tools.map((tool) => tool.name));
    this.#engine = new Engine({
      store: {
        storage,
        transcript: this.#transcript,
        spec,
        generation: crypto.randomUUID(),
        maxSteps: this.#config.maxSteps,
      },
      claude: createClaude(this.#config),
      // Only what it was given at its spawn.
      tools: new Map(
        [...this.tools(), ...remoteTools(spec, this.#config)].flatMap((tool) =>
          given.has(tool.name) ? [[tool.name, tool]] : [],
        ),
      ),
      allTools: this.tools(),
      workspace: this.#belongings.workspace(spec.workspace_owner ?? null),
      secrets: () => this.#secrets(),
      log: this.#log,
      now: () => Date.now(),
      admit: (ask, signal) => {
        this.#readers.wake();
        return this.#reporter.admit(ask, signal);
      },
      withdraw: () => this.#reporter.ask((orchestrator) => orchestrator.withdraw(this.#id)),
      committed: (call) => this.#committed(call),
      streamed: () => this.#readers.streamed(),
      env: this.env,
      config: this.#config,
      wakeAt: async (time) => {
        // What a watcher did not take is brought again before that.
        const due = [time, nextNews(storage.sql)].filter((at) => at !== null);
        if (due.length > 0) this.#alarm.set(Math.min(...due));
        else this.#alarm.clear();
        await this.#reporter.report();
      },
      rested: () => this.#rest(),
      turnEnded: this.#config.collector === null ? null : (n) => this.#trace(spec, n),
    });
    // Whoever is used for the first time without work, by a look at its output or its files, has an idle time as well.
    const deadline = idleDeadline(this.ctx.storage.sql);
    if (deadline !== null && this.#alarm.at === null) this.#alarm.set(deadline);
    return ok(this.#engine);
  }

  async #secrets(): Promise<Secrets> {
    const sealed = sealedSecrets(this.ctx.storage.sql);
    if (sealed === null) return NO_SECRETS;
    const key =
      keyNameOf(sealed) === "deployment"
        ? (this.#config.encryptionKey ?? "")
        : await this.#reporter.ask((orchestrator) => orchestrator.tenantKey());
    return open(sealed, key, this.#tenant);
  }

  async #committed(call?: CallOutcome): Promise<void> {
    this.#readers.wake();
    const reported = this.#reporter.report(call);
    this.ctx.waitUntil(this.#tell(reported));
    await reported;
    this.#waiters.wake();
  }

  /** Hands a turn's trace to the collector. Nobody waits for it. */
  #trace(spec: InstanceSpec, n: number): void {
    const { collector } = this.#config;
    if (collector === null) return;
    const sent = exportSpans(collector, spansOf(this.ctx.storage.sql, spec, n));
    this.ctx.waitUntil(sent.catch((error) => this.#log.warning("trace.lost", { error: describe(error) })));
  }

  /** Tells whoever watches. What they did not take, the alarm brings again. `beside`: as in `tell`. */
  async #tell(beside?: Promise<void>): Promise<void> {
    const { sql } = this.ctx.storage;
    this.#telling += 1;
    await tell(
      sql,
      (n) => this.#newsOf(n),
      (id) => watcherOf(this.env, this.#tenant, id),
      () => Date.now(),
      beside,
    ).finally(() => {
      this.#telling -= 1;
    });
    const due = nextNews(sql);
    if (this.#telling > 0) return;
    if (due !== null) this.#alarm.notAfter(due);
    else if (this.#engine?.running === false) this.#armForRest();
  }

  #newsOf(n: number): { news: News; last: boolean } {
    if (n === AT_REST) return { news: { id: this.#id }, last: true };
    const message = unwrap(this.#view(n));
    return { news: { id: message.message_id, message }, last: isFinal(message.state) };
  }
}

function nextTask(): Promise<void> {
  return new Promise((task) => setTimeout(task, 0));
}
