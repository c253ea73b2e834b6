/**
 * What survives when an object dies, at every point at which it can: after each commit of a turn, between an effect and
 * its answer, between the registry and the instances. Nothing is asked of an instance in between: its alarm alone goes on.
 */

import { abortAllDurableObjects, evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { instanceOf } from "../../src/contracts/stubs.ts";
import { INSTANCE_SCHEMA } from "../../src/instance/store/schema.ts";
import { newInstanceId } from "../../src/platform/ids.ts";
import { migrate, type Schema } from "../../src/platform/sqlite.ts";
import { ranTools } from "../entry/tools.ts";
import { installClock } from "../support/clock.ts";
import { watchCommits } from "../support/commits.ts";
import { output, send, spawn, status, tool, until } from "../support/door.ts";
import { installModel, type Script, type ScriptCall, scriptModel } from "../support/model.ts";
import { objectOf, registry } from "../support/objects.ts";

const model = installModel();

/** A lookup and a charge at once, then a slow tool, then the answer; anything else is answered plainly. */
function script(call: ScriptCall): Script | undefined {
  if (!call.lastUserText.startsWith("Three tools")) return undefined;
  const value = "for you";
  switch (call.toolResults[0]?.name ?? "") {
    case "":
      return {
        blocks: [
          { type: "text", text: "Let me see." },
          { type: "tool_use", name: "lookup", input: { value } },
          { type: "tool_use", name: "charge", input: { value } },
        ],
      };
    case "slow":
      return { blocks: [{ type: "text", text: "All three are done." }] };
    default:
      return { blocks: [{ type: "tool_use", name: "slow", input: { value: "5" } }] };
  }
}

const clock = installClock();

beforeAll(() => {
  scriptModel(script);
});

afterAll(() => {
  scriptModel(() => undefined);
});

interface Rows {
  transcript: { role: string; blocks: Record<string, unknown>[] }[];
  self: Record<string, number>;
  live: Record<string, number>;
}

function rowsOf(id: string): Promise<Rows> {
  return runInDurableObject(objectOf(id), (_instance, { storage: { sql } }) => {
    const count = (query: string) => sql.exec<{ n: number }>(`SELECT COUNT(*) AS n FROM ${query}`).one().n;
    return {
      transcript: sql
        .exec<{ role: string; text: string }>(
          "SELECT role, text FROM transcript JOIN transcript_part USING (seq) WHERE omitted = 0 ORDER BY seq, part",
        )
        .toArray()
        .map(({ role, text }) => ({ role, blocks: JSON.parse(text) as Record<string, unknown>[] })),
      self: sql
        .exec<Record<string, number>>(
          `SELECT request_count, completed_count, error_count, tokens_input, tokens_output, tokens_cache_read,
             tokens_cache_write, cost_nano, queued FROM instance`,
        )
        .one(),
      live: {
        attempts: count("model_call WHERE outcome = 'live'"),
        calls: count("tool_call WHERE state <> 'done'"),
        messages: count("message WHERE state NOT IN ('completed', 'failed', 'cancelled', 'refused')"),
        turns: count("instance WHERE open_n IS NOT NULL"),
        unreported: count("event WHERE seq > (SELECT reported_seq FROM instance)"),
      },
    };
  });
}

const UNKNOWN = "It may or may not have taken effect";

/** A transcript without what may differ: ids by their order, no signatures, a lost result as if it had come. */
function comparable(transcript: Rows["transcript"]): unknown {
  const ids = new Map<unknown, number>();
  const order = (id: unknown) => {
    if (!ids.has(id)) ids.set(id, ids.size);
    return ids.get(id);
  };
  return transcript.map(({ role, blocks }) => [
    role,
    ...blocks.map(({ id, tool_use_id, signature: _, is_error, ...block }) => {
      const lost = String(block.content).includes(UNKNOWN);
      return {
        ...block,
        ...(id === undefined ? {} : { id: order(id) }),
        ...(tool_use_id === undefined ? {} : { for: order(tool_use_id) }),
        ...(lost ? { content: "charged" } : is_error === undefined ? {} : { is_error }),
      };
    }),
  ]);
}

/** Waits until the registry says that the instance is at rest. The instance itself is not asked: only its alarm is run. */
async function restsByItsAlarm(id: string, requests: number): Promise<void> {
  await until(async () => {
    const record = await status(id);
    if (record.state === "idle" && Number(record.request_count) >= requests && record.queue_depth === 0) return true;
    await runDurableObjectAlarm(objectOf(id));
    return false;
  }, 10_000);
}

describe("a turn with three tools", () => {
  let commits = 0;
  let undisturbed: unknown;

  /** Everything that has to hold afterwards, whatever happened on the way. */
  async function holds(id: string, messageId: string): Promise<void> {
    // The registry may have been told, and the instance may not know that it was: that is its alarm's business, too.
    await until(async () => {
      if ((await rowsOf(id)).live.unreported === 0) return true;
      await runDurableObjectAlarm(objectOf(id));
      return false;
    }, 5_000);
    const rows = await rowsOf(id);
    expect(rows.live).toEqual({ attempts: 0, calls: 0, messages: 0, turns: 0, unreported: 0 });
    expect(comparable(rows.transcript)).toEqual(undisturbed);

    const shown = await output(id);
    expect(shown.filter((row) => row.type === "response")).toEqual([
      expect.objectContaining({ message_id: messageId, content: "All three are done." }),
    ]);
    expect(shown.filter((row) => row.type === "user")).toHaveLength(1);
    expect(shown.map((row) => row.message_index)).toEqual(shown.map((_row, index) => index));

    const runs = (name: string) => ranTools.filter((run) => run.tool === name && run.key.startsWith(id)).length;
    expect(runs("charge")).toBeLessThanOrEqual(1);
    expect(runs("lookup")).toBeGreaterThanOrEqual(1);
    const lost = JSON.stringify(rows.transcript).includes(UNKNOWN);
    if (!lost) expect(runs("charge")).toBe(1);

    const { self } = rows;
    const record = await status(id);
    expect(Number(record.total_cost) - Number(record.unsettled_cost)).toBeCloseTo(Number(self.cost_nano) / 1e9, 9);
    expect(record).toMatchObject({
      state: "idle",
      queue_depth: 0,
      error_count: 0,
      request_count: self.request_count,
      tokens: {
        input: self.tokens_input,
        output: self.tokens_output,
        cache_read: self.tokens_cache_read,
        cache_write: self.tokens_cache_write,
      },
    });
  }

  const sendOnce = (id: string) =>
    send(id, "Three tools, please.", { wait_for_response: false, idempotency_key: `once-${id}` });

  beforeAll(async () => {
    const id = await spawn();
    const trap = await watchCommits(objectOf(id));
    const sent = await sendOnce(id);
    await until(async () => Number((await status(id)).request_count) === 3 && (await status(id)).state === "idle");
    commits = trap.commits;
    const { transcript } = await rowsOf(id);
    undisturbed = comparable(transcript);
    await holds(id, String(sent.message_id));
    expect(transcript.map((entry) => entry.role).join(" ")).toBe("user assistant user assistant user assistant");
    expect(commits).toBeGreaterThan(20);
  });

  it.each<[string, (id: string) => Promise<void>]>([
    ["everything is aborted", () => abortAllDurableObjects()],
    [
      "its object alone is aborted",
      async (id) => {
        await runInDurableObject(objectOf(id), (_instance, state) => state.abort("killed")).catch(() => undefined);
      },
    ],
  ])(
    "comes to the same end when, after any commit, %s",
    async (_name, kill) => {
      let sprung = 0;
      for (let deadly = 1; deadly <= commits; deadly++) {
        const id = await spawn();
        const trap = await watchCommits(objectOf(id), deadly);
        let sent = await sendOnce(id);
        await until(
          async () => trap.sprung || (Number((await status(id)).request_count) === 3 && !(await working(id))),
        );
        if (trap.sprung) {
          sprung += 1;
          await kill(id);
        }
        // Nobody was told that the message is safe: whoever sent it sends it again, with the same key.
        if (!sent.success) sent = await sendOnce(id);
        expect(sent.success, `after commit ${deadly}: ${sent.message}`).toBe(true);
        await restsByItsAlarm(id, 3);
        await holds(id, String(sent.message_id));
      }
      // The last few commits depend on how reports coincide.
      expect(sprung).toBeGreaterThan(commits - 5);
    },
    60_000,
  );

  it("comes to the same end when, after any commit, its object is evicted", async () => {
    for (let after = 1; after <= commits; after += 2) {
      const id = await spawn();
      const trap = await watchCommits(objectOf(id));
      const sent = await sendOnce(id);
      await until(async () => trap.commits >= after || !(await working(id)));
      await evictDurableObject(objectOf(id));
      await restsByItsAlarm(id, 3);
      await holds(id, String(sent.message_id));
    }
  }, 60_000);

  it("is counted whole: the tenant's totals are the sum of its instances'", async () => {
    const page = await tool("get_instance_status", { limit: 500 });
    const all = page.status as {
      instances: Record<string, { total_tokens_used: number; total_cost: number }>;
      total_tokens_used: number;
      total_cost: number;
      total_instances: number;
    };
    const records = Object.values(all.instances);
    expect(records).toHaveLength(all.total_instances);
    expect(all.total_tokens_used).toBe(records.reduce((sum, record) => sum + record.total_tokens_used, 0));
    expect(all.total_cost).toBeCloseTo(
      records.reduce((sum, record) => sum + record.total_cost, 0),
      9,
    );
  });

  it("never made the API refuse a conversation", () => {
    expect(model.simulator.journal.filter((entry) => entry.status >= 400)).toEqual([]);
  });
});

const working = async (id: string) => ["busy", "waiting"].includes(String((await status(id)).state));

describe("the same key", () => {
  const key = () => crypto.randomUUID();

  it("gives one turn when the send is repeated, over and over and at once", async () => {
    const id = await spawn();
    const idempotency_key = key();
    const answers = await Promise.all([1, 2, 3].map(() => send(id, "Once.", { idempotency_key })));
    const again = await send(id, "Once.", { idempotency_key });
    for (const answer of answers) expect(answer).toEqual(again);
    expect((await output(id)).map((row) => row.type)).toEqual(["user", "response"]);
    expect(await status(id)).toMatchObject({ request_count: 1 });
  });

  it("gives one turn when the object died between the effect and the answer", async () => {
    const id = await spawn();
    await output(id);
    const idempotency_key = key();
    const trap = await watchCommits(objectOf(id), 1);
    const first = await send(id, "Once.", { idempotency_key, wait_for_response: false });
    expect(trap.sprung).toBe(true);
    await abortAllDurableObjects();
    const second = await send(id, "Once.", { idempotency_key, wait_for_response: false });
    expect(second.success).toBe(true);
    await restsByItsAlarm(id, 1);
    if (first.success) expect(second.message_id).toBe(first.message_id);
    expect((await output(id)).map((row) => row.type)).toEqual(["user", "response"]);
  });

  it("may come in the header, and counts for the message that it came with", async () => {
    const id = await spawn();
    const header = { "idempotency-key": key() };
    const first = await tool("send_to_instance", { instance_id: id, message: "Once." }, header);
    const second = await tool("send_to_instance", { message: "Once.", instance_id: id }, header);
    expect(second).toEqual(first);
    expect(await output(id)).toHaveLength(2);
  });

  it.each<[string, (key: string, variant: string) => Promise<Record<string, unknown>>]>([
    [
      "send_to_instance",
      async (idempotency_key, variant) => send(await shared("sent to"), `Say ${variant}.`, { idempotency_key }),
    ],
    ["spawn_claude", (idempotency_key, variant) => tool("spawn_claude", { name: variant, idempotency_key })],
    [
      "terminate_instance",
      async (idempotency_key, variant) =>
        tool("terminate_instance", {
          instance_id: await shared("ended"),
          force: variant === "another",
          idempotency_key,
        }),
    ],
  ])("with another request is a conflict: %s", async (_name, call) => {
    const idempotency_key = key();
    expect(await call(idempotency_key, "one")).toMatchObject({ success: true });
    expect(await call(idempotency_key, "another")).toMatchObject({ success: false, error: "conflict" });
    expect(await call(idempotency_key, "one")).toMatchObject({ success: true });
  });

  const instances = new Map<string, Promise<string>>();
  const shared = (use: string) => {
    const known = instances.get(use) ?? spawn({ name: use });
    instances.set(use, known);
    return known;
  };

  it("spawns one instance, also at once and after a crash between the effect and the answer", async () => {
    const idempotency_key = key();
    const name = `once ${idempotency_key}`;
    const trap = await watchCommits(registry(), 1);
    await tool("spawn_claude", { name, idempotency_key });
    expect(trap.sprung).toBe(true);
    await abortAllDurableObjects();
    const answers = await Promise.all([1, 2, 3].map(() => tool("spawn_claude", { name, idempotency_key })));
    expect(new Set(answers.map((answer) => answer.instance_id)).size).toBe(1);
    expect(await named(name)).toHaveLength(1);
  });

  it("terminates once, and answers a repeated call with the same list", async () => {
    const id = await spawn();
    await send(id, "Hello.");
    const idempotency_key = key();
    const trap = await watchCommits(registry(), 1);
    await tool("terminate_instance", { instance_id: id, idempotency_key });
    expect(trap.sprung).toBe(true);
    await abortAllDurableObjects();
    const answers = await Promise.all(
      [1, 2].map(() => tool("terminate_instance", { instance_id: id, idempotency_key })),
    );
    for (const answer of answers) expect(answer).toMatchObject({ success: true, terminated: [id] });
    expect(await send(id, "Still there?")).toMatchObject({ error: "conflict" });
  });
});

/** The ids of all instances with this name. */
async function named(name: string): Promise<string[]> {
  const found: string[] = [];
  let cursor: unknown;
  do {
    const page = await tool("get_instance_status", { limit: 500, ...(cursor ? { cursor } : {}) });
    const { instances } = page.status as { instances: Record<string, { name: string }> };
    for (const [id, record] of Object.entries(instances)) if (record.name === name) found.push(id);
    cursor = page.next_cursor;
  } while (cursor);
  return found;
}

describe("hundreds of messages on one instance", () => {
  /** As many as fit a suite: the model that answers reads the whole conversation each time. */
  const MESSAGES = 200;

  it("are all answered, in their order", async () => {
    const id = await spawn();
    // In batches: what is at stake is the queue, not the front door.
    const ids: unknown[] = [];
    for (let i = 0; i < MESSAGES; i += 50) {
      for (const sent of await Promise.all(
        Array.from({ length: 50 }, (_, j) => send(id, `Number ${i + j}.`, { wait_for_response: false })),
      ))
        ids.push(sent.message_id);
    }
    expect(new Set(ids).size).toBe(MESSAGES);
    await until(async () => {
      const record = await status(id);
      return record.queue_depth === 0 && record.state === "idle" && record.request_count === MESSAGES;
    }, 50_000);
    const users: string[] = [];
    const responses: string[] = [];
    const order: string[] = [];
    for (let after: number | null = null; ; ) {
      const page = await instanceOf(env, "default", id).output({ since: null, after, limit: 1000 });
      if (!page.ok) throw new Error(page.error.message);
      for (const row of page.value.rows) {
        order.push(row.type);
        (row.type === "user" ? users : responses).push(row.message_id);
      }
      after = page.value.next;
      if (after === null) break;
    }
    expect(order).toEqual(Array.from({ length: MESSAGES }, () => ["user", "response"]).flat());
    expect(responses).toEqual(users);
    expect(new Set(users)).toEqual(new Set(ids));
    // Message numbers are given in the order of acceptance.
    const numbers = users.map((message) => Number(message.slice(message.lastIndexOf("_") + 1)));
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
  }, 60_000);
});

describe("spawning with an initial prompt", () => {
  it("leaves nothing, or an instance that sets to work, wherever the Orchestrator dies", async () => {
    let died = 0;
    for (let sprung = true; sprung; ) {
      const deadly = died + 1;
      const name = `born ${deadly} ${crypto.randomUUID()}`;
      const trap = await watchCommits(registry(), deadly);
      const answer = await tool("spawn_claude", { name, initial_prompt: "Begin." });
      await until(async () => trap.sprung || (await oneIn(name, "idle")), 1_000).catch(() => undefined);
      await abortAllDurableObjects();
      sprung = trap.sprung;
      if (sprung) died += 1;

      const ids = await named(name);
      if (answer.success) expect(ids).toEqual([answer.instance_id]);
      expect(ids.length).toBeLessThanOrEqual(1);
      const [id] = ids;
      if (!id) continue;
      // No request to either: the Orchestrator's alarm and the instance's own.
      await until(async () => {
        clock.aheadMs += 1_000;
        await runDurableObjectAlarm(registry());
        await runDurableObjectAlarm(objectOf(id));
        const record = await status(id);
        return record.state === "idle" && record.request_count !== 0;
      }, 60_000).catch(() =>
        expect.unreachable(`killed after commit ${deadly}, the initial prompt was never taken up`),
      );
      expect((await output(id)).map((row) => row.type)).toEqual(["user", "response"]);
      expect(await send(id, "And then?")).toMatchObject({ success: true, status: "completed" });
    }
    expect(died).toBeGreaterThan(3);
  }, 60_000);

  async function oneIn(name: string, state: string): Promise<boolean> {
    const [id] = await named(name);
    return id !== undefined && (await status(id)).state === state;
  }
});

describe("terminating a tree of three levels", () => {
  async function tree(): Promise<string[]> {
    const root = await spawn({ name: "root" });
    const child = await spawn({ name: "child", parent_instance_id: root });
    const grandchild = await spawn({ name: "grandchild", parent_instance_id: child });
    const ids = [root, child, grandchild];
    await Promise.all(ids.map((id) => send(id, "Hello.")));
    return ids;
  }

  it.each([false, true])(
    "ends all of it or nothing, wherever the Orchestrator dies (again by a repeated call: %s)",
    async (repeated) => {
      let died = 0;
      for (let sprung = true; sprung; ) {
        const deadly = died + 1;
        const ids = await tree();
        const trap = await watchCommits(registry(), deadly);
        const answer = await tool("terminate_instance", { instance_id: ids[0], force: true });
        if (!trap.sprung) await until(async () => trap.sprung, 200).catch(() => undefined);
        await abortAllDurableObjects();
        sprung = trap.sprung;
        if (sprung) died += 1;
        if (repeated)
          expect(await tool("terminate_instance", { instance_id: ids[0], force: true })).toMatchObject({
            success: true,
          });

        const states = await Promise.all(ids.map(async (id) => (await status(id)).state));
        const ended = states.filter((state) => state === "terminated").length;
        expect([0, 3]).toContain(ended);
        if (answer.success || repeated) expect(ended).toBe(3);
        if (ended === 0) continue;
        await until(async () => {
          clock.aheadMs += 1_000;
          await runDurableObjectAlarm(registry());
          const refusals = await Promise.all(ids.map((id) => send(id, "Still there?", { wait_for_response: false })));
          return refusals.every((refusal) => refusal.error === "conflict");
        }, 60_000).catch(() =>
          expect.unreachable(`killed after commit ${deadly}, an ended instance went on taking messages`),
        );
        for (const id of ids) expect((await rowsOf(id)).live).toMatchObject({ messages: 0, turns: 0 });
      }
      expect(died).toBeGreaterThan(3);
    },
    60_000,
  );

  it("stops what is running in it, also when the Orchestrator dies right after it has ended the rows", async () => {
    scriptModel(() => ({ delayMs: 3_600_000 }));
    const id = await spawn();
    await send(id, "Take your time.", { wait_for_response: false });
    await until(async () => (await status(id)).state === "busy");
    await watchCommits(registry(), 1);
    await tool("terminate_instance", { instance_id: id, force: true });
    scriptModel(script);
    await abortAllDurableObjects();
    await until(async () => {
      clock.aheadMs += 1_000;
      await runDurableObjectAlarm(registry());
      await runDurableObjectAlarm(objectOf(id));
      const { live } = await rowsOf(id);
      return live.turns === 0 && live.messages === 0;
    }, 60_000);
    expect((await output(id)).map((row) => row.type)).toEqual(["user", "notice"]);
  });
});

describe("a fresh object", () => {
  /** Every table with its columns, and every index, each as SQLite tells it. */
  async function shapeAfter(schema: Schema): Promise<Record<string, unknown>> {
    return runInDurableObject(objectOf(newInstanceId(Date.now())), (_instance, { storage }) => {
      migrate(storage, schema);
      const rows = (query: string) => storage.sql.exec(query).toArray();
      const names = rows(
        "SELECT name, type FROM sqlite_master WHERE type IN ('table', 'index') AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_cf_%' AND sql IS NOT NULL",
      );
      return Object.fromEntries(
        names.map(({ name, type }) => {
          const columns = rows(`PRAGMA ${type === "table" ? "table_info" : "index_xinfo"}("${name}")`);
          const flat = columns.map(({ cid: _position, seqno: _place, ...column }) => JSON.stringify(column)).sort();
          const filter = rows(
            `SELECT substr(sql, instr(sql, ' WHERE ')) AS text FROM sqlite_master WHERE name = '${name}'`,
          );
          return [String(name), { columns: flat, filter: type === "index" ? filter[0]?.text : "" }];
        }),
      );
    });
  }

  it("has the tables that an old one has come to", async () => {
    const { steps } = INSTANCE_SCHEMA;
    const fresh = await shapeAfter(INSTANCE_SCHEMA);
    expect(fresh).toEqual(await shapeAfter({ steps }));
    expect(Object.keys(fresh).length).toBeGreaterThan(20);
  });
});
