/**
 * What a tool is given when the turn runner runs it, for tests that run one alone.
 */
import { env } from "cloudflare:test";
import { configOf } from "../../src/config/config.ts";
import type { InstanceToolContext } from "../../src/contracts/instance-tool.ts";
import { NO_SECRETS } from "../../src/platform/secrets.ts";

export function toolContext(fields: Partial<InstanceToolContext> = {}): InstanceToolContext {
  return {
    tenant: "default",
    instanceId: "inst_1",
    parentId: null,
    name: "Ada",
    key: "inst_1:t1",
    signal: new AbortController().signal,
    workspace: {} as InstanceToolContext["workspace"],
    secrets: async () => NO_SECRETS,
    env,
    config: configOf(env),
    instanceTools: [],
    startedAt: 0,
    wokenEarly: false,
    eventSeq: 0,
    job: null,
    ask: () => ({ id: "q_1", state: "open", answer: null, by: null }),
    ...fields,
  };
}
