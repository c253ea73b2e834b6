/** The context in which tools run for one HTTP request. */
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
  /** Its id names the call in the logs; its `traceparent` is the trace that the call is part of. */
  request?: Request;
  /** A `traceparent` of the call itself, which overrides that of the request. */
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

/** Cloudflare's id of the request, or a new one. */
function requestIdOf(request: Request): string {
  return request.headers.get("cf-ray")?.slice(0, 64).toWellFormed() ?? ulid();
}

/** A valid `traceparent`, or null: an invalid one is no reason to refuse a call. */
function traceOf(text: unknown): string | null {
  return typeof text === "string" && parseTraceparent(text) ? text.trim().slice(0, 55) : null;
}
