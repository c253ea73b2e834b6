/**
 * A tenant, and so a limiter of model calls, of a test's own, before an API that a test lets push back.
 */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { LOCAL } from "../../src/contracts/principal.ts";
import type { TenantEvent } from "../../src/contracts/records.ts";
import { contextOf } from "../../src/http/context.ts";
import { parseMessageId } from "../../src/platform/ids.ts";
import { dispatch } from "../../src/tools/runtime/dispatch.ts";
import { TEST_TOOLS } from "../entry/tools.ts";
import { type Json, until } from "./door.ts";
import type { Script, ScriptCall } from "./model.ts";

/** A tenant of its own, through the catalogue as every door uses it. */
export function newTenant() {
  const name = `limiter-${crypto.randomUUID().slice(0, 18)}`;
  const principal = { ...LOCAL, tenant: name };
  const context = contextOf(env, TEST_TOOLS, { principal, signal: new AbortController().signal });
  const object = env.ORCHESTRATOR.getByName(name);
  const run = async (tool: string, input: Record<string, unknown>) => (await dispatch(context, tool, input)) as Json;
  const spawn = async (input: Record<string, unknown> = {}) =>
    String((await run("spawn_claude", { name: "Ada", ...input })).instance_id);
  return {
    name,
    run,
    spawn,
    spawnMany: (count: number) => Promise.all(Array.from({ length: count }, () => spawn())),
    send: (id: string, message: string, input: Record<string, unknown> = {}) =>
      run("send_to_instance", { instance_id: id, message, timeout_seconds: 50, ...input }),
    status: async (id: string) => (await run("get_instance_status", { instance_id: id })).status as Status,
    events: async (id: string | null = null): Promise<TenantEvent[]> =>
      (await context.orchestrator.events({ after: 0, instance_id: id, limit: 10_000, waitMs: 0 })).events,
    /** The state of a message as it is stored: an answer would wait until the registry has heard of it. */
    async message(id: unknown) {
      const message = parseMessageId(String(id));
      return runInDurableObject(
        env.INSTANCE.getByName(`${name}/${message?.instanceId}`),
        (_instance, { storage }) =>
          storage.sql.exec<{ state: string }>("SELECT state FROM message WHERE n = ?", message?.n ?? -1).one().state,
      );
    },
    /** What the limiter has stored: nothing while it was never pushed back. */
    limiter: () =>
      runInDurableObject(
        object,
        (_orchestrator, { storage }) =>
          storage.sql
            .exec<{ allowed: number; blocked_until: number }>("SELECT allowed, blocked_until FROM concurrency_limiter")
            .toArray()[0],
      ),
    /** Limits the tenant to this many calls at once, as after a push back and an eviction. */
    async narrow(allowed: number) {
      await runInDurableObject(object, (_orchestrator, { storage }) => {
        storage.sql.exec("INSERT OR REPLACE INTO concurrency_limiter VALUES (1, ?, 0, 0)", allowed);
      });
      await evictDurableObject(object);
    },
  };
}

interface Status {
  state: string;
  waiting_for?: { reason: string; until: string | null };
  [field: string]: unknown;
}

/** A flag to wait for. Objects look at it each by itself: workerd lets none go on in the context of another. */
export function door() {
  let isOpen = false;
  return {
    open: () => {
      isOpen = true;
    },
    opened: () => until(async () => isOpen),
  };
}

export const tooMany = (retryAfterSeconds: number): Script => ({
  fault: { kind: "status", status: 429, type: "rate_limit_error", message: "Too many.", retryAfterSeconds },
});

/** A script that knows how many calls it is answering. */
export function counted(answer: (call: ScriptCall, running: number) => Promise<Script | undefined>) {
  let running = 0;
  return async (call: ScriptCall) => {
    running += 1;
    try {
      return await answer(call, running);
    } finally {
      running -= 1;
    }
  };
}
