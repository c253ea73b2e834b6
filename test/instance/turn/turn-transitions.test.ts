/**
 * Which states of messages and instances follow on which: the tables, and what is really gone through.
 */

import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MAX_TRIES } from "../../../src/anthropic/failure.ts";
import { isFinal, MESSAGE_STATES } from "../../../src/contracts/instance.ts";
import { INSTANCE_STATES } from "../../../src/contracts/instance-spec.ts";
import { INSTANCE_TRANSITIONS, MESSAGE_TRANSITIONS } from "../../../src/instance/turn/next-action.ts";
import { installClock } from "../../support/clock.ts";
import { output, send, spawn, status, tool, until } from "../../support/door.ts";
import { installModel, type Script, scriptModel } from "../../support/model.ts";
import { objectOf, registry } from "../../support/objects.ts";

installModel();

describe("the transition tables", () => {
  const clock = installClock();
  const observed = { message: new Set<string>(), instance: new Set<string>() };
  const scripts = new Map<string, () => Script | Promise<Script>>();

  /** SQLite itself keeps every change of the column `state` from now on. */
  const WATCH = (table: string, key: string) => `
    CREATE TABLE watched (key, before TEXT, after TEXT);
    CREATE TRIGGER watch_${table} AFTER UPDATE OF state ON ${table} WHEN OLD.state IS NOT NEW.state
    BEGIN INSERT INTO watched VALUES (OLD.${key}, OLD.state, NEW.state); END;`;
  const read = (state: DurableObjectState) =>
    state.storage.sql
      .exec<{ before: string; after: string }>("SELECT before, after FROM watched")
      .toArray()
      .map((row) => `${row.before} -> ${row.after}`);

  /** A spawned instance whose messages' states are watched. Its model does what `script` says, for every call. */
  async function watchedInstance(name: string, script: () => Script | Promise<Script>): Promise<string> {
    scripts.set(name, script);
    const id = await spawn({ name });
    await output(id);
    await runInDurableObject(objectOf(id), (_instance, state) => {
      state.storage.sql.exec(WATCH("message", "n"));
    });
    return id;
  }
  const queue = (id: string, message: string, input: Record<string, unknown> = {}) =>
    send(id, message, { wait_for_response: false, ...input });
  const inState = (id: string, ...states: string[]) =>
    until(async () => {
      const record = await status(id);
      return states.includes(String(record.state)) && record;
    });
  const stateOf = (id: string, n: number) =>
    runInDurableObject(
      objectOf(id),
      (_instance, { storage }) =>
        storage.sql.exec<{ state: string }>("SELECT state FROM message WHERE n = ?", n).one().state,
    );
  const finished = (id: string, n: number) =>
    until(async () => {
      const state = await stateOf(id, n);
      return isFinal(state as (typeof MESSAGE_STATES)[number]) && state;
    });
  async function elapse(id: string, ms: number): Promise<void> {
    clock.aheadMs += ms;
    await runDurableObjectAlarm(objectOf(id));
  }

  const say = (text: string): Script => ({ blocks: [{ type: "text", text }] });
  const broken = (httpStatus: number, type: string, extra: { retryAfterSeconds?: number } = {}): Script => ({
    fault: { kind: "status", status: httpStatus, type, message: "no", ...extra },
  });
  /** Each script once, the last one for ever. */
  const inOrder = (...steps: Script[]) => {
    let i = 0;
    return () => steps[Math.min(i++, steps.length - 1)] as Script;
  };

  beforeAll(async () => {
    scriptModel((call) => {
      const about = JSON.stringify(call.body.messages);
      for (const [name, script] of scripts) if (about.includes(`<${name}>`)) return script();
      return say("Well.");
    });
    await spawn();
    await runInDurableObject(registry(), (_object, state) => {
      state.storage.sql.exec(WATCH("instance", "instance_id"));
    });

    const ids: string[] = [];
    const watched = async (...given: Parameters<typeof watchedInstance>) => {
      const id = await watchedInstance(...given);
      ids.push(id);
      return id;
    };

    const plain = await watched("plain", () => say("Yes."));
    await send(plain, "<plain>");

    const later = await watched("later", inOrder(broken(500, "api_error"), say("At last.")));
    await queue(later, "<later>");
    await inState(later, "waiting");
    await elapse(later, 2_000);
    await finished(later, 1);

    const failing = await watched("failing", inOrder(broken(401, "authentication_error"), say("Better now.")));
    await send(failing, "<failing> one");
    await inState(failing, "error");
    await send(failing, "<failing> two");

    const refusing = await watched("refusing", () => ({ ...say("no"), stopReason: "refusal" }));
    await send(refusing, "<refusing>");
    await inState(refusing, "error");
    await tool("terminate_instance", { instance_id: refusing });

    const exhausted = await watched("exhausted", () => broken(503, "api_error"));
    await queue(exhausted, "<exhausted>");
    for (let i = 0; i < MAX_TRIES.server_error && (await stateOf(exhausted, 1)) !== "failed"; i++) {
      await inState(exhausted, "waiting", "error");
      await elapse(exhausted, 70_000);
    }
    await finished(exhausted, 1);

    const stopped = await watched("stopped", () => ({ delayMs: 3_600_000 }));
    await queue(stopped, "<stopped> one");
    await queue(stopped, "<stopped> two");
    await inState(stopped, "busy");
    await tool("terminate_instance", { instance_id: stopped, force: true });
    await finished(stopped, 1);
    await finished(stopped, 2);

    const limited = await watched("limited", () => broken(429, "rate_limit_error", { retryAfterSeconds: 600 }));
    await queue(limited, "<limited>");
    await inState(limited, "waiting");
    await tool("terminate_instance", { instance_id: limited, force: true });
    await finished(limited, 1);
    clock.aheadMs += 700_000;

    const prompted = await tool("spawn_claude", { name: "prompted", initial_prompt: "Begin." });
    await inState(String(prompted.instance_id), "idle");
    await tool("terminate_instance", { instance_id: prompted.instance_id });
    const hasty = await tool("spawn_claude", { name: "hasty", initial_prompt: "Begin." });
    await tool("terminate_instance", { instance_id: hasty.instance_id });

    for (const id of ids) {
      const seen = await runInDurableObject(objectOf(id), (_instance, state) => read(state));
      for (const transition of seen) observed.message.add(transition);
    }
    const seen = await runInDurableObject(registry(), (_object, state) => read(state));
    for (const transition of seen) observed.instance.add(transition);
  }, 60_000);

  afterAll(() => {
    scriptModel(() => undefined);
  });

  const pairs = (table: Record<string, readonly string[]>) =>
    Object.entries(table).flatMap(([before, afters]) => afters.map((after) => `${before} -> ${after}`));

  it("name every state there is, and only final ones have no way on", () => {
    expect(Object.keys(MESSAGE_TRANSITIONS).sort()).toEqual([...MESSAGE_STATES].sort());
    expect(Object.keys(INSTANCE_TRANSITIONS).sort()).toEqual([...INSTANCE_STATES].sort());
    for (const state of MESSAGE_STATES) expect(MESSAGE_TRANSITIONS[state].length === 0).toBe(isFinal(state));
    expect(INSTANCE_STATES.filter((state) => INSTANCE_TRANSITIONS[state].length === 0)).toEqual(["terminated"]);
  });

  it("allow everything that messages really go through", () => {
    const allowed = pairs(MESSAGE_TRANSITIONS);
    expect([...observed.message].filter((transition) => !allowed.includes(transition))).toEqual([]);
  });

  it("hold nothing for messages that never happens", () => {
    // A turn that waits is tried again before it can fail: no scenario from outside leads from one to the other.
    // A passive message goes back when its turn is refused: see rollback.test.ts.
    const unreachable = ["waiting -> failed", "running -> queued"];
    const missing = pairs(MESSAGE_TRANSITIONS).filter((transition) => !observed.message.has(transition));
    expect(missing.filter((transition) => !unreachable.includes(transition))).toEqual([]);
  });

  it("allow everything that instances really go through", () => {
    const allowed = pairs(INSTANCE_TRANSITIONS);
    expect([...observed.instance].filter((transition) => !allowed.includes(transition))).toEqual([]);
    expect(observed.instance.size).toBeGreaterThan(7);
  });
});
