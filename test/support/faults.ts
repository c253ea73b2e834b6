/**
 * Turns of three model calls in which one goes wrong as a test says. Nobody waits in real time: the clock is moved on, and the
 * alarm is run.
 */
import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, beforeAll, expect } from "vitest";
import { isFinal, type MessageView } from "../../src/contracts/instance.ts";
import { instanceOf } from "../../src/contracts/stubs.ts";
import { installClock } from "./clock.ts";
import { send } from "./door.ts";
import { installModel, type Script, type ScriptCall, scriptModel } from "./model.ts";
import { objectOf } from "./objects.ts";

const model = installModel();

export const clock = installClock();

export interface Case {
  /** Calls of this turn that got an answer which counts as one of its three. */
  done: number;
  position: number;
  fault(call: ScriptCall): Script;
  /** Faults that are still to come. */
  left: number;
  calls: number;
}

export const cases = new Map<string, Case>();

/** 400s that a script asked for. */
export const ordered = { badRequests: 0 };

let serial = 0;

/** Whether the API makes a summary when it is asked for one. */
export const api = { summarizes: true };

/** A turn of three calls: a lookup, another one, the answer. */
function script(call: ScriptCall): Script {
  const marker = /\[case \d+\]/.exec(call.lastUserText)?.[0] ?? "";
  const found = cases.get(marker);
  if (call.body.compaction) {
    if (!api.summarizes) return { blocks: [{ type: "text", text: "No summary today." }] };
    return { autoThinking: false, blocks: [{ type: "raw", block: { type: "compaction", content: "They talked." } }] };
  }
  if (!found) return { blocks: [{ type: "text", text: "A plain answer." }] };
  found.calls += 1;
  if (found.done === found.position && found.left > 0) {
    found.left -= 1;
    const faulty = found.fault(call);
    if (faulty.fault?.kind === "status" && faulty.fault.status === 400) ordered.badRequests += 1;
    return faulty;
  }
  found.done += 1;
  if (found.done < 3) {
    const input = { value: `${marker} call ${found.done}` };
    return {
      blocks: [
        { type: "text", text: "Let me see." },
        { type: "tool_use", name: "lookup", input },
      ],
    };
  }
  return { blocks: [{ type: "text", text: "The whole answer." }] };
}

/** Lets the faults of the cases happen in a test file, and holds its conversations to be ones that the API takes. */
export function installFaults(): void {
  beforeAll(() => {
    scriptModel(script);
  });
  afterAll(() => {
    scriptModel(() => undefined);
    expect(model.simulator.journal.filter((entry) => entry.status === 400).length).toBe(ordered.badRequests);
  });
}

/** Where message `n` ends. Whenever it waits, the clock is moved to when it goes on, and its alarm runs. */
export async function settled(id: string, n: number): Promise<MessageView> {
  const deadline = performance.now() + 15_000;
  for (;;) {
    const view = await instanceOf(env, "default", id).message(n, 50);
    if (!view.ok) throw new Error(view.error.message);
    if (isFinal(view.value.state)) return view.value;
    const until = view.value.waiting_for?.until;
    if (until) {
      clock.aheadMs += Math.max(0, Date.parse(until) - Date.now() + 1);
      await runDurableObjectAlarm(objectOf(id));
    }
    if (performance.now() > deadline) throw new Error(`The message stayed ${view.value.state}.`);
  }
}

export async function sendAndSettle(id: string, message: string): Promise<MessageView> {
  const sent = await send(id, message, { wait_for_response: false });
  if (!sent.success) throw new Error(sent.message);
  return settled(id, Number(/_(\d+)$/.exec(String(sent.message_id))?.[1]));
}

/** What a case's script counts, under a marker that its message carries. */
export function newCase(position: number, fault: Case["fault"], left: number): [marker: string, found: Case] {
  const marker = `[case ${serial++}]`;
  const found: Case = { done: 0, position, fault, left, calls: 0 };
  cases.set(marker, found);
  return [marker, found];
}

/** Opens the tenant's limiter of model calls, or leaves `allowed` slots, as after the API pushed back. */
export async function setLimiter(allowed: number | null): Promise<void> {
  const stub = env.ORCHESTRATOR.getByName("default");
  await runInDurableObject(stub, (_object, { storage: { sql } }) => {
    sql.exec("DELETE FROM concurrency_limiter");
    if (allowed !== null)
      sql.exec("INSERT INTO concurrency_limiter (id, allowed, blocked_until, changed_at) VALUES (1, ?, 0, 0)", allowed);
  });
  // The limiter reads its row when the object begins. Whoever was held at it is not waited for.
  await abortAllDurableObjects();
}

/** What the newest call about `text` sent, as text. */
export function lastCallAbout(text: string): string {
  for (const { body } of model.simulator.journal.toReversed()) {
    const messages = JSON.stringify(body?.messages ?? []);
    if (messages.includes(text)) return messages;
  }
  return "";
}

export const broken =
  (status: number, type: string, more: Record<string, unknown> = {}) =>
  (): Script => ({
    fault: { kind: "status", status, type, message: `scripted ${status}`, ...more },
  });

export const partly: Script = { blocks: [{ type: "text", text: "A beginning that nobody may keep." }] };

export const refused = (): never => {
  throw new TypeError("connect ECONNREFUSED");
};

export const toolCall = {
  type: "tool_use",
  name: "charge",
  input: { value: "never to be run, whatever happens" },
} as const;

export const paused = (call: ScriptCall): Script => ({
  stopReason: "pause_turn",
  blocks: [
    { type: "text", text: "Searching." },
    {
      type: "raw",
      block: { type: "server_tool_use", id: `srvtoolu_${call.n}`, name: "web_search", input: { query: "bees" } },
    },
  ],
});

export const POSITIONS = [
  ["first", 0],
  ["middle", 1],
  ["last", 2],
] as const;
