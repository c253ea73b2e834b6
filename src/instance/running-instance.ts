/**
 * The parts of an instance at work, and how they are wired: the turn runner emits events to its one listener, and the
 * listener is here.
 */
import { createClaude } from "../anthropic/client.ts";
import { resolveModel } from "../anthropic/models.ts";
import type { Config } from "../contracts/config.ts";
import type { InstanceSpec } from "../contracts/instance-spec.ts";
import type { InstanceTool } from "../contracts/instance-tool.ts";
import { subscriberOf } from "../contracts/stubs.ts";
import type { Alarm } from "../platform/alarm.ts";
import { describe, type Log } from "../platform/log.ts";
import { Notifier } from "../platform/notifier.ts";
import { exportSpans } from "../platform/otlp.ts";
import { remoteTools } from "../remote-mcp/remote-tools.ts";
import { Housekeeping } from "./housekeeping.ts";
import { InstanceCalls } from "./instance-calls.ts";
import type { InstanceFiles } from "./instance-files.ts";
import { MessageViews } from "./reporting/message-views.ts";
import type { Reporter } from "./reporting/reporter.ts";
import { spansOf } from "./reporting/spans.ts";
import { StreamSubscribers } from "./reporting/stream-subscribers.ts";
import { openSecrets } from "./secrets.ts";
import type { Transcript } from "./store/transcript.ts";
import type { TurnEvent } from "./turn/turn-events.ts";
import { TurnRunner } from "./turn/turn-runner.ts";

/** What an object has from its construction on. */
export interface InstanceObject {
  ctx: DurableObjectState;
  env: Env;
  tenant: string;
  instanceId: string;
  config: Config;
  log: Log;
  alarm: Alarm;
  transcript: Transcript;
  reporter: Reporter;
  files: InstanceFiles;
}

/** What there is of an instance once it is initialized. */
export interface RunningInstance {
  runner: TurnRunner;
  housekeeping: Housekeeping;
  calls: InstanceCalls;
}

/** `tools`: all that instances of this Worker can have. Nothing runs yet. */
export function runningInstance(
  object: InstanceObject,
  spec: InstanceSpec,
  tools: readonly InstanceTool[],
): RunningInstance {
  const { ctx, env, tenant, instanceId, config, log, alarm, transcript, reporter, files } = object;
  const { storage } = ctx;
  const { sql } = storage;
  const runner = new TurnRunner({
    store: {
      storage,
      transcript,
      spec,
      generation: crypto.randomUUID(),
      maxSteps: config.maxSteps,
      compactAt: compactAtOf(spec, config),
    },
    claude: createClaude(config),
    admission: reporter,
    tools: toolsOf(spec, tools, config),
    environment: {
      workspace: files.workspace(spec.workspace_owner ?? null),
      secrets: () => openSecrets({ sql, tenant, config, reporter }),
      env,
      config,
      instanceTools: tools,
    },
    log,
    now: () => Date.now(),
  });
  const views = new MessageViews({ sql, transcript, instanceId, runner });
  const notifier = new Notifier();
  const stream = new StreamSubscribers(() => runner.live);
  const waitUntil = (work: Promise<unknown>) => ctx.waitUntil(work);
  const shared = { storage, instanceId, runner, views, reporter, notifier, stream, waitUntil };
  const housekeeping = new Housekeeping({
    ...shared,
    alarm,
    files,
    log,
    subscriberOf: (id) => subscriberOf(env, tenant, id),
  });
  const calls = new InstanceCalls({ ...shared, transcript, housekeeping });

  runner.listen((event: TurnEvent) => {
    switch (event.kind) {
      case "admitting":
        return stream.notify();
      case "streamed":
        return stream.streamed();
      case "committed":
        return housekeeping.committed(event.call);
      case "waiting":
        return housekeeping.waiting();
      case "rested":
        return housekeeping.rest();
      case "turn_ended":
        return trace(object, spec, event.n);
    }
  });
  return { runner, housekeeping, calls };
}

/** What the instance was given at its spawn, by name. */
function toolsOf(spec: InstanceSpec, all: readonly InstanceTool[], config: Config): Map<string, InstanceTool> {
  const given = new Set(spec.tools.map((tool) => tool.name));
  const known = [...all, ...remoteTools(spec, config)];
  return new Map(known.filter((tool) => given.has(tool.name)).map((tool) => [tool.name, tool]));
}

/** Hands the trace of turn `n` to the collector, if there is one. It is not waited for. */
function trace({ ctx, config, log }: InstanceObject, spec: InstanceSpec, n: number): void {
  if (config.collector === null) return;
  const sent = exportSpans(config.collector, spansOf(ctx.storage.sql, spec, n));
  ctx.waitUntil(sent.catch((error) => log.warning("trace.lost", { error: describe(error) })));
}

/** A quarter of the model's window stays for what one step adds. */
function compactAtOf({ model, compact_at_tokens }: InstanceSpec, { compactAtTokens }: Config): number {
  const found = resolveModel(model);
  const most = found.ok ? found.model.contextWindow * 0.75 : Number.POSITIVE_INFINITY;
  return Math.min(compact_at_tokens ?? compactAtTokens, most);
}
