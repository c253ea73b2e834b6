/**
 * The rows of an instance that was just initialized and has taken one message, in an object that nothing else uses: for tests of
 * what works on rows alone.
 */
import { runInDurableObject } from "cloudflare:test";
import type { SendRequest } from "../../src/contracts/instance.ts";
import type { InstanceSpec } from "../../src/contracts/instance-spec.ts";
import { initialize } from "../../src/instance/lifecycle/first-use.ts";
import { Transcript } from "../../src/instance/store/transcript.ts";
import type { TurnStore } from "../../src/instance/store/turn-store.ts";
import { accept } from "../../src/instance/turn/inbox.ts";
import { newInstanceId } from "../../src/platform/ids.ts";
import { objectOf } from "./objects.ts";

export const MODEL = "claude-sonnet-5-5";

const MESSAGE: SendRequest = {
  message: "Good day.",
  sender: "user",
  priority: 0,
  when_busy: "queue",
  response_schema: null,
};

function specOf(instanceId: string): InstanceSpec {
  return {
    v: 1,
    tenant: "default",
    instance_id: instanceId,
    name: "Ada",
    role: "general",
    model: MODEL,
    effort: null,
    max_tokens: 1_000,
    system: "You are Ada.",
    tools: [],
    parent_instance_id: null,
    has_initial_prompt: false,
    depth: 0,
    created_at: Date.now(),
  };
}

/** `store`: as a runner has it whose generation is `mine`. */
export function onInitialized(work: (store: TurnStore) => Promise<void> | void): Promise<void> {
  const instanceId = newInstanceId(Date.now());
  return runInDurableObject(objectOf(instanceId), async (_instance, { storage }) => {
    const spec = specOf(instanceId);
    const remaining = { cost: 1, cost_scope: "tenant", tokens: 1, tokens_scope: "tenant", cap: "hard" } as const;
    const funds = { spent: { cost: 0, unsettled_cost: 0, tokens: 0 }, remaining };
    const limits = { funds, idleTimeoutMs: 60_000, maxTurnMs: null };
    initialize(storage, { spec, initial_prompt: null, secrets: null, ended: false, limits }, false, Date.now());
    accept(storage, instanceId, MESSAGE, Date.now());
    await work({
      storage,
      transcript: new Transcript(storage.sql),
      spec,
      generation: "mine",
      maxSteps: 10,
      compactAt: 1_000_000,
    });
  }) as Promise<void>;
}
