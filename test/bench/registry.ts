/**
 * Drives the product's own Orchestrator from inside a Worker, so that what is measured is the registry and not the way to it: one
 * request runs an operation many times. Part of the floor's Worker, which has nothing else of the product.
 */
import { ALIASES } from "../../src/anthropic/models.ts";
import type { Report } from "../../src/contracts/instance-spec.ts";
import type { OrchestratorApi } from "../../src/contracts/orchestrator.ts";
import { unwrap } from "../../src/platform/errors.ts";

export interface Registry {
  tenant: string;
  orchestrator: OrchestratorApi;
}

interface Spawned {
  id: string;
  /** Model calls that it has made. */
  calls: number;
}

/** The instances of each tenant that this Worker has spawned. */
const spawned = new Map<string, Spawned[]>();

function instancesOf(tenant: string): Spawned[] {
  const known = spawned.get(tenant) ?? [];
  spawned.set(tenant, known);
  return known;
}

async function spawn({ tenant, orchestrator }: Registry): Promise<void> {
  const receipt = unwrap(
    await orchestrator.spawn({
      tenant,
      name: "bench",
      role: "general",
      model: ALIASES.sonnet,
      effort: null,
      max_tokens: 1_000,
      system: "You are one of many.",
      tools: [],
      parent_instance_id: null,
      initial_prompt: null,
      limits: {},
    }),
  );
  instancesOf(tenant).push({ id: receipt.instance_id, calls: 0 });
}

/** The instance that has not been asked for the longest; whoever has it gives it back to the end of the line. */
function next(line: Spawned[]): Spawned {
  const instance = line.shift();
  if (!instance) throw new Error("There are fewer instances than calls at once.");
  return instance;
}

/** The line of the last few that were spawned: those that a busy tenant works with. */
function recentOf(tenant: string): Spawned[] {
  const line = recent.get(tenant) ?? instancesOf(tenant).slice(-RECENT);
  recent.set(tenant, line);
  return line;
}

const recent = new Map<string, Spawned[]>();
/** As many as there are calls at once. */
const RECENT = 64;

function newest(tenant: string): Spawned {
  const instance = instancesOf(tenant).at(-1);
  if (!instance) throw new Error(`${tenant} has no instances.`);
  return instance;
}

/** What one model call is to the registry: a reservation before it, and after it a report that settles it. */
async function settle({ orchestrator }: Registry, line: Spawned[]): Promise<void> {
  const instance = next(line);
  instance.calls += 1;
  const at = Date.now();
  const ask = { attempt: instance.calls, model: ALIASES.sonnet, promptTokens: 1_000, maxTokens: 1_000, at };
  const leave = await orchestrator.admit(instance.id, null, ask);
  if (!leave.granted) throw new Error(`A model call is not admitted: ${JSON.stringify(leave)}`);
  await orchestrator.report(reportOf(instance.id, instance.calls, at), { kind: "ok" });
  line.push(instance);
}

async function status({ tenant, orchestrator }: Registry): Promise<void> {
  const instance = next(instancesOf(tenant));
  await orchestrator.status(instance.id);
  instancesOf(tenant).push(instance);
}

function reportOf(instance_id: string, calls: number, at: number): Report {
  const usage = { input: 500, output: 100, cache_read: 0, cache_write_5m: 0, cache_write_1h: 0, web_searches: 0 };
  return {
    instance_id,
    seq: calls,
    questions: [],
    events: [
      {
        seq: calls,
        at,
        kind: "model_call.completed",
        data: { attempt: calls, model: ALIASES.sonnet, request_id: null, ...usage, billed: "settled" },
      },
    ],
    snapshot: {
      state: "idle",
      waiting_for: null,
      queue_depth: 0,
      completed_count: calls,
      error_count: 0,
      request_count: calls,
      response_ms_total: calls,
      tokens: { input: calls * 500, output: calls * 100, cache_read: 0, cache_write: 0 },
      last_activity: at,
      error_message: null,
      simulated: false,
      unhealthy: null,
    },
  };
}

/** As many as both tenants have. */
const PAGE = 5;

/** By name: one operation. */
export const REGISTRY_OPERATIONS: Readonly<Record<string, (registry: Registry) => Promise<unknown>>> = {
  spawn,
  settle: (registry) => settle(registry, recentOf(registry.tenant)),
  "settle-of-each": (registry) => settle(registry, instancesOf(registry.tenant)),
  status: ({ tenant, orchestrator }) => orchestrator.status(newest(tenant).id),
  "status-of-each": status,
  list: ({ orchestrator }) => orchestrator.list({ limit: PAGE }),
  "list-of-a-state": ({ orchestrator }) => orchestrator.list({ state: "idle", limit: PAGE }),
  tree: async ({ orchestrator }) =>
    unwrap(await orchestrator.tree({ root_id: null, depth: 3, limit: PAGE, terminated: false })),
  events: ({ orchestrator }) => orchestrator.eventsBefore({ before: null, instance_id: null, limit: PAGE }),
  "events-of-one": ({ tenant, orchestrator }) =>
    orchestrator.eventsBefore({ before: null, instance_id: newest(tenant).id, limit: PAGE }),
  figures: ({ orchestrator }) => orchestrator.metrics(),
  spend: async ({ orchestrator }) =>
    unwrap(await orchestrator.spend({ bucket: "hour", by: "model", from: null, to: null })),
};

/** Runs an operation `count` times, at most `atOnce` at a time. */
export async function repeat(operation: string, registry: Registry, count: number, atOnce: number): Promise<void> {
  const run = REGISTRY_OPERATIONS[operation];
  if (!run) throw new Error(`There is no operation ${operation}.`);
  let left = count;
  const worker = async () => {
    while (left-- > 0) await run(registry);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, worker));
}
