/**
 * What a door hands to the catalogue for one request.
 */

import { configFor } from "../config/config.ts";
import type { InstanceTool } from "../contracts/instance-tool.ts";
import type { Principal } from "../contracts/principal.ts";
import { instanceOf, jobOf, orchestratorOf } from "../contracts/stubs.ts";
import { ulid } from "../platform/ids.ts";
import { createLog } from "../platform/log.ts";
import { parseTraceparent } from "../platform/trace.ts";
import type { ToolContext } from "../tools/runtime/tool.ts";

export type CallContext = Omit<ToolContext, "idempotency">;

export interface CallOptions {
  principal: Principal;
  signal: AbortSignal;
  /** What came over HTTP: names the call in the logs, and the trace that it is part of. */
  request?: Request;
  /** A `traceparent` that came beside the request's own, and goes before it. */
  traceparent?: unknown;
  defaultModel?: string | null;
  progress?: (message: string) => void;
}

export function contextOf(env: Env, instanceTools: readonly InstanceTool[], call: CallOptions): CallContext {
  const { principal, request } = call;
  const config = configFor(env, principal.tenant);
  return {
    principal,
    config,
    log: createLog(config.logLevel, {
      tenant: principal.tenant,
      ...(request ? { request_id: requestIdOf(request) } : {}),
    }),
    orchestrator: orchestratorOf(env, principal.tenant),
    instance: (id) => instanceOf(env, principal.tenant, id),
    jobApi: (id) => jobOf(env, principal.tenant, id),
    instanceTools,
    defaultModel: call.defaultModel ?? config.defaultModel,
    signal: call.signal,
    trace: traceOf(call.traceparent) ?? traceOf(request?.headers.get("traceparent")),
    progress: call.progress ?? (() => undefined),
  };
}

/** Cloudflare's id of the request; one of our own where there is none. */
function requestIdOf(request: Request): string {
  return request.headers.get("cf-ray")?.slice(0, 64).toWellFormed() ?? ulid();
}

/** A `traceparent` that can be followed, or null: tracing is nobody's reason to refuse a call. */
function traceOf(text: unknown): string | null {
  return typeof text === "string" && parseTraceparent(text) ? text.trim().slice(0, 55) : null;
}
