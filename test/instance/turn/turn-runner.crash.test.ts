/**
 * What a turn is when its object dies, at every point at which it can: after each commit, and between an effect and its answer.
 * Nothing is asked of the instance in between: its alarm alone goes on.
 */
import { abortAllDurableObjects, evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { instanceOf } from "../../../src/contracts/stubs.ts";
import { ranTools } from "../../entry/tools.ts";
import { watchCommits } from "../../support/commits.ts";
import { output, send, spawn, status, tool, until } from "../../support/door.ts";
import { installModel, scriptModel } from "../../support/model.ts";
import { objectOf } from "../../support/objects.ts";
import { type Rows, restsByItsAlarm, rowsOf, script } from "../../support/three-tools.ts";

const model = installModel();

beforeAll(() => {
  scriptModel(script);
});

afterAll(() => {
  scriptModel(() => undefined);
});

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
