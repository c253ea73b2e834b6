import { DurableObject } from "cloudflare:workers";
import { createClaude } from "../anthropic/client.ts";
import { configFor } from "../config/config.ts";
import type { AuditedCall } from "../contracts/audited-call.ts";
import type { Config } from "../contracts/config.ts";
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
} from "../contracts/instance.ts";
import type { InstanceSpec } from "../contracts/instance-spec.ts";
import type { InstanceTool } from "../contracts/instance-tool.ts";
import { filesClosed, terminated, unknownInstance } from "../contracts/refusals.ts";
import type { Origin } from "../contracts/request-origin.ts";
import { instanceNameOf, orchestratorOf, watcherOf } from "../contracts/stubs.ts";
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
import { createLog, describe, type Log } from "../platform/log.ts";
import { exportSpans } from "../platform/otlp.ts";
import { keyNameOf, NO_SECRETS, open, type Secrets } from "../platform/secrets.ts";
import { migrate } from "../platform/sqlite.ts";
import { Waiters } from "../platform/waiters.ts";
import { remoteTools } from "../remote-mcp/remote-tools.ts";
import { heldBy } from "../workspace/nodes.ts";
import { FILE_TOOLS } from "../workspace/tools.ts";
import { REPORT_RETRY_MS, Upkeep } from "./housekeeping.ts";
import { Conversation } from "./instance-calls.ts";
import { Belongings } from "./instance-files.ts";
import { checkupOf } from "./lifecycle/diagnostics.ts";
import { bear, isBorn } from "./lifecycle/first-use.ts";
import { deletionRefusal, end, hasEnded } from "./lifecycle/termination.ts";
import { parseCursor } from "./reporting/live-stream.ts";
import { checkHealth, confirm } from "./reporting/report.ts";
import { Reporter } from "./reporting/reporter.ts";
import { spansOf } from "./reporting/spans.ts";
import { Readers } from "./reporting/stream-readers.ts";
import { sealedSecrets, storedSpec } from "./store/instance-row.ts";
import { resume } from "./store/model-calls.ts";
import { INSTANCE_SCHEMA } from "./store/schema.ts";
import { Transcript } from "./store/transcript.ts";
import { TurnRunner } from "./turn/turn-runner.ts";

/** What there is of an instance from its first use on. */
interface Life {
  runner: TurnRunner;
  upkeep: Upkeep;
  conversation: Conversation;
}

/** How an instance stands that has ended before it was ever used. */
const AT_REST: Rest = { resting: true, ended: true, queue_depth: 0, working_on: null };

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
  readonly #readers = new Readers(() => this.#life?.runner.live ?? null);
  readonly #belongings: Belongings;
  #life: Life | undefined;
  #birth: Promise<Result<Life>> | undefined;

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
    const born = await this.#born();
    if (!born.ok) return;
    const { runner, upkeep } = born.value;
    const standing = await this.#reporter.ask((orchestrator) => orchestrator.standing(this.#id));
    confirm(this.ctx.storage.sql, 0, standing);
    resume(this.ctx.storage, Date.now());
    upkeep.work();
    if (!runner.running) await upkeep.rest();
  }

  async stop({ force }: { force: boolean }): Promise<void> {
    // An object that was never used has nothing to end: if it is used after this, the registry says that it has ended.
    if (!this.#isBorn() && !this.#birth) return;
    const born = await this.#born();
    if (!born.ok) return;
    const { runner, upkeep } = born.value;
    end(this.ctx.storage, this.#id, force, Date.now());
    if (force) runner.interrupt();
    this.#waiters.wake();
    upkeep.work();
    if (this.#belongings.haveToBeKept) this.#alarm.notAfter(Date.now());
    this.ctx.waitUntil(upkeep.committed());
  }

  async send(request: SendRequest): Promise<Result<MessageView>> {
    const born = await this.#born();
    return born.ok ? born.value.conversation.send(request) : born;
  }

  async knock(news: News): Promise<void> {
    const born = await this.#born();
    if (born.ok) born.value.conversation.hear(news);
  }

  async answer(n: number, given: GivenAnswer): Promise<Result<{ question_id: string; answer: string }>> {
    const born = await this.#born();
    return born.ok ? born.value.conversation.answer(n, given) : born;
  }

  async interrupt(reason: string, origin?: Origin): Promise<Result<string[]>> {
    const born = await this.#born();
    return born.ok ? born.value.conversation.interrupt(reason, origin) : born;
  }

  async cancel(n: number, reason: string, audit?: AuditedCall): Promise<Result<MessageView>> {
    const born = await this.#born();
    return born.ok ? born.value.conversation.cancel(n, reason, audit) : born;
  }

  async message(n: number, waitMs: number): Promise<Result<MessageView>> {
    const born = await this.#born();
    return born.ok ? born.value.conversation.message(n, waitMs) : born;
  }

  async watch(n: number, watcher: string): Promise<Result<MessageView>> {
    const born = await this.#born();
    return born.ok ? born.value.conversation.watch(n, watcher) : born;
  }

  async watchRest(watcher: string): Promise<Result<Rest>> {
    const born = await this.#born();
    return born.ok ? ok(await born.value.conversation.watchRest(watcher)) : unlessUnused(born, AT_REST);
  }

  async rest(waitMs: number): Promise<Result<Rest>> {
    const born = await this.#born();
    return born.ok ? ok(await born.value.conversation.rest(waitMs)) : unlessUnused(born, AT_REST);
  }

  async follow(cursor: string, waitMs: number): Promise<Result<Followed & { resting: boolean }>> {
    const from = parseCursor(cursor);
    if (!from)
      return err(
        "invalid_input",
        "That is no event id of this stream: leave it out, or take the id of an event that it sent.",
      );
    const born = await this.#born();
    if (!born.ok) return unlessUnused(born, { events: [], cursor, resting: true });
    return ok(await born.value.conversation.follow(from, waitMs));
  }

  async output(query: OutputQuery): Promise<Result<OutputPage>> {
    const born = await this.#born();
    return born.ok ? ok(born.value.conversation.output(query)) : unlessUnused(born, { rows: [], next: null });
  }

  async files<Call extends FileCall>(call: Call, args: FileArguments<Call>): Promise<Result<FileResult<Call>>> {
    const born = await this.#born();
    if (!born.ok) return born.error.code === "conflict" ? noFiles(call, this.#id) : born;
    const { sql } = this.ctx.storage;
    if (changesFiles(call) && hasEnded(sql)) return filesClosed(this.#id);
    const served = await serveFiles(this.#belongings.workspace(storedSpec(sql)?.workspace_owner ?? null), call, args);
    if (changesFiles(call)) born.value.upkeep.announce();
    return served;
  }

  async erase(): Promise<Result<Erased>> {
    const born = await this.#born();
    // Never used: there can't be anything but what an earlier, interrupted call left.
    if (!born.ok && born.error.code !== "conflict") return born;
    const { sql } = this.ctx.storage;
    const erased: Erased = { messages: 0, files: 0, bytes: 0, kept_objects: 0 };
    if (born.ok) {
      if (hasEnded(sql)) await born.value.upkeep.inform();
      const refusal = deletionRefusal(sql, this.#id);
      if (refusal) return refusal;
      erased.messages = sql.exec<{ n: number }>("SELECT COUNT(*) AS n FROM message").one().n;
      Object.assign(erased, heldBy(sql));
    }
    erased.kept_objects = await this.#belongings.erase(() => this.#empty());
    return ok(erased);
  }

  async forget(): Promise<Result<null>> {
    const born = await this.#born();
    if (!born.ok) return unlessUnused(born, null);
    const { sql } = this.ctx.storage;
    if (!hasEnded(sql) || this.#belongings.haveToBeKept || this.#belongings.areOnTheirWay) {
      return err("conflict", `${this.#id} has not ended yet, or its files are still being kept.`);
    }
    await born.value.upkeep.inform();
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
    this.#life = undefined;
    this.#belongings.forget();
    this.#transcript.forget();
  }

  async checkup(): Promise<Result<Checkup>> {
    const { storage } = this.ctx;
    // Looking at an object that was never used does not begin its life.
    if (this.#isBorn()) await this.#born();
    const born = this.#isBorn();
    if (born) checkHealth(storage, Date.now());
    return ok(checkupOf(storage.sql, born, await storage.getAlarm()));
  }

  override async alarm(): Promise<void> {
    const born = await this.#born();
    if (born.ok) await born.value.upkeep.onAlarm();
  }

  #isBorn(): boolean {
    return this.#life !== undefined || isBorn(this.ctx.storage.sql);
  }

  /** The instance with its spec: from storage, or on the very first use from the registry. `conflict`: it ended unused. */
  async #born(): Promise<Result<Life>> {
    if (this.#life) return ok(this.#life);
    this.#birth ??= this.#bear().finally(() => {
      this.#birth = undefined;
    });
    return this.#birth;
  }

  async #bear(): Promise<Result<Life>> {
    const { storage } = this.ctx;
    await this.#alarm.load();
    if (isBorn(storage.sql)) {
      migrate(storage, INSTANCE_SCHEMA);
    } else {
      const birth = await this.#reporter.ask((orchestrator) => orchestrator.birthOf(this.#id));
      if (!birth) return unknownInstance(this.#id);
      if (birth.ended) return terminated(this.#id);
      bear(storage, birth, this.#config.anthropicApiKey === null, Date.now());
    }
    const spec = storedSpec(storage.sql);
    if (!spec) throw new Error("The instance has tables but no spec.");
    this.#life = this.#begin(spec);
    this.#life.upkeep.armForIdleness();
    return ok(this.#life);
  }

  #begin(spec: InstanceSpec): Life {
    const { storage } = this.ctx;
    const shared = {
      storage,
      instanceId: this.#id,
      reporter: this.#reporter,
      waiters: this.#waiters,
      readers: this.#readers,
      waitUntil: (work: Promise<unknown>) => this.ctx.waitUntil(work),
    };
    // The runner tells the upkeep what happened, and the upkeep starts it: neither calls the other before both are there.
    const runner: TurnRunner = new TurnRunner({
      store: {
        storage,
        transcript: this.#transcript,
        spec,
        generation: crypto.randomUUID(),
        maxSteps: this.#config.maxSteps,
      },
      claude: createClaude(this.#config),
      tools: this.#toolsOf(spec),
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
      committed: (call) => upkeep.committed(call),
      streamed: () => this.#readers.streamed(),
      env: this.env,
      config: this.#config,
      wakeAt: (time) => upkeep.wakeAt(time),
      rested: () => upkeep.rest(),
      turnEnded: this.#config.collector === null ? null : (n) => this.#trace(spec, n),
    });
    const upkeep: Upkeep = new Upkeep({
      ...shared,
      alarm: this.#alarm,
      runner,
      belongings: this.#belongings,
      newsOf: (n) => conversation.newsOf(n),
      watcher: (id) => watcherOf(this.env, this.#tenant, id),
      log: this.#log,
    });
    const conversation = new Conversation({ ...shared, transcript: this.#transcript, runner, upkeep });
    return { runner, upkeep, conversation };
  }

  /** Only what it was given at its spawn. */
  #toolsOf(spec: InstanceSpec): Map<string, InstanceTool> {
    const given = new Set(spec.tools.map((tool) => tool.name));
    const known = [...this.tools(), ...remoteTools(spec, this.#config)];
    return new Map(known.filter((tool) => given.has(tool.name)).map((tool) => [tool.name, tool]));
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

  /** Hands a turn's trace to the collector. Nobody waits for it. */
  #trace(spec: InstanceSpec, n: number): void {
    const { collector } = this.#config;
    if (collector === null) return;
    const sent = exportSpans(collector, spansOf(this.ctx.storage.sql, spec, n));
    this.ctx.waitUntil(sent.catch((error) => this.#log.warning("trace.lost", { error: describe(error) })));
  }
}

/** Terminated before it was ever used: there is nothing to read, and that is no error. */
function unlessUnused<T>(failed: Result<never>, nothing: T): Result<T> {
  return !failed.ok && failed.error.code === "conflict" ? ok(nothing) : failed;
}
