import { env, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { auditOf } from "../../../src/contracts/audited-call.ts";
import type { ChainLink, OrchestratorApi } from "../../../src/contracts/orchestrator.ts";
import { instanceOf, orchestratorOf } from "../../../src/contracts/stubs.ts";
import { hashOlderEvents } from "../../../src/orchestrator/store/event-log.ts";
import { ChainVerifier, GENESIS, hashOf, lineOf } from "../../../src/orchestrator/store/hash-chain.ts";
import { unwrap } from "../../../src/platform/errors.ts";
import { request, send, spawn, status, tool, until } from "../../support/door.ts";
import { installModel, scriptModel } from "../../support/model.ts";

interface Line {
  seq: number;
  at: string;
  instance_id: string;
  kind: string;
  data: Record<string, unknown>;
  prev: string;
  hash: string;
}

const DAY_MS = 24 * 60 * 60 * 1000;

beforeAll(() => {
  installModel();
});

async function exported(after = 0): Promise<string[]> {
  const response = await request(`/audit?after=${after}`);
  expect(response.status).toBe(200);
  return new TextDecoder()
    .decode(await response.arrayBuffer())
    .split("\n")
    .slice(0, -1);
}

const parsed = (lines: readonly string[]) => lines.map((line) => JSON.parse(line) as Line);

async function head(): Promise<ChainLink> {
  return (await (await request("/audit/head")).json()) as ChainLink;
}

/** What the verifier says of these lines. */
function problemsOf(lines: readonly string[], end: ChainLink | null = null): string[] {
  const verifier = new ChainVerifier();
  for (const line of lines) verifier.add(line);
  if (end) verifier.endsAt(end);
  return verifier.problems;
}

/** What is on record of an instance, once it is this much: what its own object changed is there with its next report. */
async function callsOn(instanceId: string, atLeast: number): Promise<Record<string, unknown>[]> {
  return until(async () => {
    const calls = parsed(await exported())
      .filter((line) => line.kind === "audit.called" && line.instance_id === instanceId)
      .map((line) => line.data);
    return calls.length >= atLeast && calls;
  });
}

describe("the record of calls", () => {
  test("says who called what on which instance with what outcome, and never what was said", async () => {
    const id = await spawn({ name: "Audited" });
    await send(id, "the content marker");
    await tool("set_limits", { instance_id: id, max_cost: 2 });
    await tool("terminate_instance", { instance_id: id });
    await send(id, "too late");
    const calls = await callsOn(id, 5);
    expect(calls.map(({ tool, outcome, actor }) => [tool, outcome, actor])).toEqual([
      ["spawn_claude", "ok", "local"],
      ["send_to_instance", "ok", "local"],
      ["set_limits", "ok", "local"],
      ["terminate_instance", "ok", "local"],
      ["send_to_instance", "conflict", "local"],
    ]);
    expect((await exported()).join("\n")).not.toContain("content marker");
  });

  test("leaves out what only reads, and what was no call at all", async () => {
    const id = await spawn();
    await tool("get_instance_status", { instance_id: id });
    await tool("send_to_instance", { instance_id: id });
    expect((await callsOn(id, 1)).map((call) => call.tool)).toEqual(["spawn_claude"]);
  });

  test("has the routes that change something without a tool", async () => {
    const id = await spawn();
    const path = `/instances/${id}/files/notes.txt`;
    await request(path, { method: "PUT", body: "text" });
    await request(path, { method: "DELETE" });
    await request(path, { method: "DELETE" });
    await request(`/instances/${id}`, { method: "DELETE" });
    expect((await callsOn(id, 5)).map(({ tool, outcome }) => [tool, outcome])).toEqual([
      ["spawn_claude", "ok"],
      ["write_instance_file", "ok"],
      ["delete_instance_file", "ok"],
      ["delete_instance_file", "not_found"],
      ["delete_instance", "conflict"],
    ]);
  });

  test("has one record for a call that is repeated with its key", async () => {
    const id = await spawn();
    const calls: [string, Record<string, unknown>][] = [
      ["send_to_instance", { message: "once" }],
      ["set_limits", { max_cost: 2 }],
      ["write_instance_file", { path: "a.txt", content: "a" }],
      ["terminate_instance", {}],
    ];
    for (const [name, input] of calls) {
      const once = { ...input, instance_id: id, idempotency_key: `${name} of ${id}` };
      expect(await tool(name, once)).toEqual(await tool(name, once));
    }
    expect((await callsOn(id, 5)).map((call) => call.tool).toSorted()).toEqual(
      ["spawn_claude", ...calls.map(([name]) => name)].toSorted(),
    );
  });

  test("has a broadcast where its messages are, and one that nobody took where it was sent", async () => {
    const parent = await spawn();
    const children = [await spawn({ parent_instance_id: parent }), await spawn({ parent_instance_id: parent })];
    const { results } = await tool("broadcast_to_children", { parent_id: parent, message: "hello" });
    for (const [i, child] of children.entries()) {
      const [, call] = await callsOn(child, 2);
      const messageId = (results as Record<string, unknown>[])[i]?.message_id;
      expect(call).toMatchObject({ tool: "broadcast_to_children", outcome: "ok", subject: messageId });
      await tool("terminate_instance", { instance_id: child });
    }
    await tool("broadcast_to_children", { parent_id: parent, message: "hello" });
    expect((await callsOn(parent, 2)).at(-1)).toMatchObject({ tool: "broadcast_to_children", outcome: "conflict" });
  });

  test("has what is changed in an instance's object within a moment, whether or not it is at work", async () => {
    const held = Promise.withResolvers<undefined>();
    scriptModel(() => held.promise);
    const id = await spawn();
    await tool("interrupt_instance", { instance_id: id });
    await send(id, "work", { wait_for_response: false });
    await until(async () => (await status(id)).state === "busy");
    await send(id, "and more", { wait_for_response: false });
    await tool("write_instance_file", { instance_id: id, path: "a.txt", content: "a" });
    const calls = await callsOn(id, 5);
    held.resolve(undefined);
    expect(calls.map((call) => call.tool)).toEqual([
      "spawn_claude",
      "interrupt_instance",
      "send_to_instance",
      "send_to_instance",
      "write_instance_file",
    ]);
  });

  test("is not in the stream of what an instance does", async () => {
    const id = await spawn();
    await send(id, "hello");
    const { events } = unwrap(await instanceOf(env, "default", id).follow("0", 0));
    expect(events.map(({ data }) => data.kind)).toContain("message.completed");
    expect(events.map(({ data }) => data.kind)).not.toContain("audit.called");
  });

  test("names the key, the client and the instance behind a call", async () => {
    const stub = orchestratorOf(env, "actors");
    const principal = { tenant: "actors", scopes: [], instance: null, keyId: "k1", client: "c1" };
    const question = "q_01K0000000000000000000000A_3";
    await stub.record(auditOf(principal, "answer_question"), question, "conflict");
    const instance = "inst_01K0000000000000000000000B";
    await stub.record(auditOf({ ...principal, instance }, "spawn_claude"), null, "limit_reached");
    const { events } = await stub.events({ after: 0, instance_id: null, limit: 10, waitMs: 0 });
    expect(events.map(({ instance_id, data }) => ({ instance_id, ...data }))).toEqual([
      {
        instance_id: "inst_01K0000000000000000000000A",
        tool: "answer_question",
        outcome: "conflict",
        actor: "key:k1",
        client: "c1",
        subject: question,
      },
      { instance_id: "", tool: "spawn_claude", outcome: "limit_reached", actor: `instance:${instance}`, client: "c1" },
    ]);
  });
});

describe("the export", () => {
  test("is the whole event log in order, and holds against its head", async () => {
    const id = await spawn();
    await send(id, "one");
    const end = await head();
    const lines = (await exported()).slice(0, end.seq);
    expect(problemsOf(lines, end)).toEqual([]);
    const rows = parsed(lines);
    expect(rows.map((line) => line.seq)).toEqual(rows.map((_line, i) => i + 1));
    expect(rows[0]?.prev).toBe(GENESIS);
    expect(rows.filter((line) => line.instance_id === id).map((line) => line.kind)).toEqual(
      expect.arrayContaining(["instance.spawned", "message.queued", "message.completed", "audit.called"]),
    );
  });

  test("goes on after any line", async () => {
    const all = await exported();
    const rest = await exported(3);
    expect(rest.slice(0, all.length - 3)).toEqual(all.slice(3));
    expect(problemsOf([...all.slice(0, 3), ...rest])).toEqual([]);
  });

  test.each(["-1", "x", "1.5"])("refuses to begin after %s", async (after) => {
    const response = await request(`/audit?after=${after}`);
    expect(response.status).toBe(400);
  });
});

describe("the verifier", () => {
  const LINES = chain(6);
  const END = { seq: 6, hash: (JSON.parse(LINES[5] ?? "") as Line).hash };
  const swap = (lines: string[], a: number, b: number) =>
    lines.map((line, i) => (i === a ? (lines[b] ?? "") : i === b ? (lines[a] ?? "") : line));

  test("finds nothing in a whole chain, and in the middle of one", () => {
    expect(problemsOf(LINES, END)).toEqual([]);
    expect(problemsOf(LINES.slice(2))).toEqual([]);
  });

  test.each<[what: string, lines: string[], found: RegExp]>([
    ["a changed value", LINES.map((line, i) => (i === 2 ? line.replace('"n":3', '"n":4') : line)), /was changed/],
    ["a changed time", LINES.map((line, i) => (i === 0 ? line.replace("1970", "1971") : line)), /was changed/],
    [
      "a changed hash",
      LINES.map((line, i) => (i === 5 ? line.replace(/.{66}\}$/, `"${"a".repeat(64)}"}`) : line)),
      /was changed/,
    ],
    [
      "one that was replaced, with a hash of its own",
      LINES.map((line, i) => (i === 2 ? (chain(3, "x")[2] ?? "") : line)),
      /does not follow/,
    ],
    ["a removed line", LINES.toSpliced(3, 1), /lines between them were removed/],
    ["lines that were moved", swap(LINES, 1, 4), /moved/],
    ["a repeated line", LINES.toSpliced(3, 0, LINES[3] ?? ""), /repeated/],
    ["an inserted line", LINES.toSpliced(3, 0, '{"seq":4}'), /is no line/],
    ["a cut end, against the head", LINES.slice(0, 4), /lines 5 to 6 are missing/],
    ["nothing at all, against the head", [], /lines 1 to 6 are missing/],
    ["a chain made anew, against the head", chain(6, "x"), /made anew/],
  ])("finds %s", (_what, lines, found) => {
    const problems = problemsOf(lines, END);
    expect(problems[0]).toMatch(found);
  });

  /** Lines of a log of its own. */
  function chain(length: number, mark = "n"): string[] {
    let prev = GENESIS;
    return Array.from({ length }, (_none, i) => {
      const event = { seq: i + 1, at: i, instance_id: "", kind: "test.made", data: JSON.stringify({ [mark]: i + 1 }) };
      const before = prev;
      prev = hashOf(event, before);
      return lineOf(event, before, prev);
    });
  }
});

test("names one problem for one changed line", () => {
  const verifier = new ChainVerifier();
  const event = (seq: number) => ({ seq, at: seq, instance_id: "", kind: "test.made", data: "{}" });
  const [one, two] = [hashOf(event(1), GENESIS), hashOf(event(2), hashOf(event(1), GENESIS))];
  verifier.add(lineOf(event(1), GENESIS, one).replace("test.made", "test.mad"));
  verifier.add(lineOf(event(2), one, two));
  expect(verifier.problems).toEqual(["the first line was changed: its text does not have its hash"]);
});

describe("retention", () => {
  const refusal = (stub: OrchestratorApi) =>
    stub.record({ tool: "spawn_claude", actor: "local", client: null }, null, "limit_reached");

  /** A tenant with this many calls on record, the first `old` of them past their retention. */
  async function aged(tenant: string, calls: number, old: number): Promise<OrchestratorApi> {
    const stub = orchestratorOf(env, tenant);
    const clock = vi.spyOn(Date, "now");
    const longAgo = Date.now() - 40 * DAY_MS;
    for (let i = 0; i < calls; i++) {
      if (i < old) clock.mockReturnValue(longAgo + i);
      else clock.mockRestore();
      await refusal(stub);
    }
    clock.mockRestore();
    return stub;
  }

  const wake = (tenant: string) =>
    runInDurableObject(env.ORCHESTRATOR.getByName(tenant), (instance) => instance.alarm());

  const linesIn = async (key: string) => ((await (await env.FILES?.get(key))?.text()) ?? "").split("\n").slice(0, -1);

  test("moves old events to R2, and the chain goes on from there", async () => {
    const stub = await aged("aged", 5, 3);
    const before = await stub.audit(0, 5);
    const end = await stub.auditHead();
    await wake("aged");
    const moved = await stub.audit(0, 5);
    expect(moved).toEqual({ key: "claude_orchestrator/aged/_events/000000000000001.jsonl", first_seq: 1, last_seq: 3 });
    const rest = await stub.audit(3, 5);
    const lines = [...(await linesIn("key" in moved ? moved.key : "")), ...linesOf(rest)];
    expect(lines).toEqual(linesOf(before));
    expect(problemsOf(lines, end)).toEqual([]);
    const { events } = await stub.events({ after: 0, instance_id: null, limit: 10, waitMs: 0 });
    expect(events.map((event) => event.seq)).toEqual([4, 5]);
  });

  test("goes on with the sequence and the chain when all events are gone", async () => {
    const stub = await aged("emptied", 2, 2);
    const end = await stub.auditHead();
    await wake("emptied");
    expect(await stub.auditHead()).toEqual(end);
    await refusal(stub);
    const [line] = parsed(linesOf(await stub.audit(2, 3)));
    expect(line).toMatchObject({ seq: 3, prev: end.hash });
  });

  test("loses nothing when R2 does not take a segment", async () => {
    const stub = await aged("refused", 3, 3);
    await runInDurableObject(env.ORCHESTRATOR.getByName("refused"), async (instance) => {
      const bucket = env.FILES as R2Bucket;
      const put = bucket.put;
      bucket.put = () => Promise.reject(new Error("R2 is away"));
      await instance.alarm().finally(() => {
        bucket.put = put;
      });
    });
    expect(linesOf(await stub.audit(0, 3))).toHaveLength(3);
  });

  test("wakes nobody before anything is due", async () => {
    await aged("young", 2, 0);
    expect(await runDurableObjectAlarm(env.ORCHESTRATOR.getByName("young"))).toBe(false);
  });

  test("is exported from R2 and from the object as one", async () => {
    await spawn();
    const stub = env.ORCHESTRATOR.getByName("default");
    const end = await stub.auditHead();
    const whole = (await exported()).slice(0, end.seq);
    await runInDurableObject(stub, async (instance, state) => {
      state.storage.sql.exec("UPDATE event SET at = ? WHERE seq <= 4", Date.now() - 40 * DAY_MS);
      state.storage.sql.exec("UPDATE event SET hash = '' WHERE 1");
      hashOlderEvents(state.storage);
      await instance.alarm();
    });
    const now = await exported();
    expect(problemsOf(now)).toEqual([]);
    expect(
      parsed(now)
        .map((line) => line.seq)
        .slice(0, end.seq),
    ).toEqual(parsed(whole).map((line) => line.seq));
    expect(parsed(await exported(2)).map((line) => line.seq)[0]).toBe(3);
    expect(problemsOf(await exported(2))).toEqual([]);
  });
});

describe("the ledger", () => {
  const SUMS =
    "SUM(settled_nano) AS settled, SUM(unsettled) AS unsettled, SUM(reserved) AS reserved, SUM(fresh) AS fresh";
  /** Every balance of an instance, as it is kept and as its entries say, here and carried forward. */
  const booksOf = (id: string) =>
    runInDurableObject(env.ORCHESTRATOR.getByName("default"), (_object, { storage: { sql } }) => ({
      kept: sql
        .exec(
          `SELECT settled_nano AS settled, unsettled_nano AS unsettled, reserved_nano AS reserved, fresh FROM balance WHERE scope = ?`,
          id,
        )
        .one(),
      summed: sql
        .exec(
          `SELECT ${SUMS} FROM (
             SELECT settled_nano, IIF(kind = 'unsettled', reserved_nano, 0) AS unsettled,
               IIF(kind = 'reserve', reserved_nano, -reserved_nano) AS reserved,
               input + output + cache_write_5m + cache_write_1h AS fresh FROM ledger WHERE instance_id = ?1
             UNION ALL SELECT settled_nano, unsettled_nano, reserved_nano, fresh FROM ledger_carried WHERE instance_id = ?1)`,
          id,
        )
        .one(),
      here: sql.exec<{ n: number }>("SELECT COUNT(*) AS n FROM ledger").one().n,
    }));

  async function entries(after = 0): Promise<string[]> {
    const response = await request(`/ledger?after=${after}`);
    expect(response.status).toBe(200);
    return new TextDecoder()
      .decode(await response.arrayBuffer())
      .split("\n")
      .slice(0, -1);
  }

  /** Makes the oldest entries too old to stay, and lets them go. */
  const move = (upTo: number) =>
    runInDurableObject(env.ORCHESTRATOR.getByName("default"), async (instance, { storage: { sql } }) => {
      sql.exec("UPDATE ledger SET at = ? WHERE id <= ?", Date.now() - 40 * DAY_MS, upTo);
      sql.exec("UPDATE event SET at = ? WHERE seq = (SELECT MIN(seq) FROM event)", Date.now() - 40 * DAY_MS);
      await instance.alarm();
    });

  test("is exported whole, wherever its entries are, and every balance stays their sum", async () => {
    const id = await spawn();
    await send(id, "one");
    await send(id, "two");
    const before = await entries();
    const books = await booksOf(id);
    expect(books.summed).toEqual(books.kept);
    const ids = before.map((line) => (JSON.parse(line) as { id: number }).id);
    expect(ids).toEqual(ids.toSorted((a, b) => a - b));
    expect(before.map((line) => (JSON.parse(line) as { instance_id: string }).instance_id)).toContain(id);

    // Between a reservation and its end, and then all of it.
    const last = ids.at(-1) ?? 0;
    for (const upTo of [last - 1, last]) {
      await move(upTo);
      const now = await booksOf(id);
      expect(now).toEqual({ ...books, here: last - upTo });
      const exported = await entries();
      expect(exported.map(timeless)).toEqual(before.map(timeless));
      expect((await entries(ids[0])).map(timeless)).toEqual(before.slice(1).map(timeless));
    }
    await send(id, "three");
    expect((await entries(last)).map((line) => (JSON.parse(line) as { id: number }).id)).toEqual([last + 1, last + 2]);
    const after = await booksOf(id);
    expect(after.summed).toEqual(after.kept);
  });

  const timeless = (line: string) => ({ ...(JSON.parse(line) as object), at: "" });

  test.each(["-1", "x", "1.5"])("refuses to begin after %s", async (after) => {
    expect((await request(`/ledger?after=${after}`)).status).toBe(400);
  });
});

function linesOf(page: object): string[] {
  return "lines" in page ? String(page.lines).split("\n").slice(0, -1) : [];
}
