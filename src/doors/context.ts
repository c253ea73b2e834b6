/**
 * What a door hands to the catalogue for one request.
 */
import type { Principal } from "../auth/principal.ts";
import { configFor } from "../config.ts";
import type { InstanceTool } from "../instance/tool.ts";
import { createLog } from "../log.ts";
import { instanceOf, jobOf, orchestratorOf } from "../objects.ts";
import type { ToolContext } from "../tools/tool.ts";

export type CallContext = Omit<ToolContext, "idempotency">;

export function contextOf(
  env: Env,
  instanceTools: readonly InstanceTool[],
  call: {
    principal: Principal;
    signal: AbortSignal;
    defaultModel?: string | null;
    progress?: (message: string) => void;
  },
): CallContext {
  const { principal } = call;
  const config = configFor(env, principal.tenant);
  return {
    principal,
    config,
    log: createLog(config.logLevel, { tenant: principal.tenant }),
    orchestrator: orchestratorOf(env, principal.tenant),
    instance: (id) => instanceOf(env, principal.tenant, id),
    jobApi: (id) => jobOf(env, principal.tenant, id),
    instanceTools,
    defaultModel: call.defaultModel ?? config.defaultModel,
    signal: call.signal,
    progress: call.progress ?? (() => undefined),
  };
}
