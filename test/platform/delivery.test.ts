/**
 * Deliveries of a table in a real object's database: what is due goes out, what fails is put off, and nothing is lost, whatever
 * happens while a delivery is under way.
 */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { Deliveries, type DeliveryPolicy, type DeliveryTable, retryDelay } from "../../src/platform/delivery.ts";
import type { Row } from "../../src/platform/sqlite.ts";

const POLICY: DeliveryPolicy = { firstMs: 1_000, factor: 2, ceilingMs: 8_000, leaseMs: 60_000, atOnce: 4 };
const TABLE: DeliveryTable = { name: "letter", key: ["id"], columns: ["text"], due: "due_at", tries: "tries" };

interface Letter extends Row {
  id: string;
  text: string;
}

interface Box {
  sql: SqlStorage;
  /** What was sent, in order; each waits until it is answered here. */
  sent: string[];
  answer: (text: string) => void;
  refuse: (text: string) => void;
  failed: string[];
  idle: number;
  enqueue: (id: string, text: string, due?: number | null) => void;
  rows: () => { id: string; text: string; due_at: number | null; tries: number }[];
  deliveries: Deliveries<Letter, string>;
}

let boxes = 0;

/** Runs a test within an object that has the table. */
function withBox(work: (box: Box) => Promise<void>, parts: { policy?: Partial<DeliveryPolicy>; next?: number } = {}) {
  const stub = env.ORCHESTRATOR.getByName(`letters-${boxes++}`);
  return runInDurableObject(stub, async (_object, { storage }) => {
    const { sql } = storage;
    sql.exec(
      "CREATE TABLE letter (id TEXT PRIMARY KEY, text TEXT NOT NULL, due_at INTEGER, tries INTEGER NOT NULL) WITHOUT ROWID",
    );
    sql.exec("CREATE INDEX letter_due ON letter (due_at) WHERE due_at IS NOT NULL");
    const open = new Map<string, PromiseWithResolvers<string>>();
    let more = parts.next ?? 0;
    const box: Box = {
      sql,
      sent: [],
      failed: [],
      idle: 0,
      answer: (text) => open.get(text)?.resolve(text),
      refuse: (text) => open.get(text)?.reject(new Error("refused")),
      enqueue: (id, text, due = Date.now()) => {
        sql.exec("INSERT OR REPLACE INTO letter VALUES (?, ?, ?, 0)", id, text, due);
      },
      rows: () => sql.exec<ReturnType<Box["rows"]>[number]>("SELECT * FROM letter ORDER BY id").toArray(),
      deliveries: new Deliveries<Letter, string>({
        storage,
        table: TABLE,
        policy: { ...POLICY, ...parts.policy },
        send: ({ text }) => {
          box.sent.push(text);
          const answered = Promise.withResolvers<string>();
          open.set(text, answered);
          return answered.promise;
        },
        onDelivered:
          parts.next === undefined
            ? "delete"
            : (tx, { id }) => {
                more -= 1;
                const due = more > 0 ? Date.now() : null;
                tx.exec("UPDATE letter SET due_at = ?, tries = 0, text = ? WHERE id = ?", due, `then ${more}`, id);
              },
        onFailed: ({ text }) => box.failed.push(text),
        onIdle: () => {
          box.idle += 1;
        },
      }),
    };
    await work(box);
  });
}

/** The clock of the objects, which the tests move. */
let ahead = 0;
const real = Date.now.bind(Date);
function clock(): void {
  ahead = 0;
  vi.spyOn(Date, "now").mockImplementation(() => real() + ahead);
}
afterEach(() => vi.restoreAllMocks());

/** Until everything that goes on by itself has gone on. */
const settled = () => new Promise((done) => setTimeout(done, 5));

describe("a delivery", () => {
  it("takes its row away once the other has answered, and not before", () =>
    withBox(async ({ enqueue, deliveries, sent, rows, answer }) => {
      enqueue("a", "hello");
      const delivered = deliveries.deliverDue();
      expect(sent).toEqual(["hello"]);
      expect(rows()).toHaveLength(1);
      answer("hello");
      await delivered;
      expect(rows()).toEqual([]);
      expect(deliveries.nextDue).toBeNull();
    }));

  it("leaves alone what is not due", () =>
    withBox(async ({ enqueue, deliveries, sent }) => {
      enqueue("later", "later", Date.now() + 5_000);
      enqueue("never", "never", null);
      await deliveries.deliverDue();
      expect(sent).toEqual([]);
      expect(deliveries.nextDue).toBeGreaterThan(Date.now());
    }));

  it("is put off by its lease while it is under way, so that a crash repeats it", () =>
    withBox(async ({ enqueue, deliveries, rows }) => {
      enqueue("a", "hello");
      void deliveries.deliverDue();
      const [row] = rows();
      expect(row?.tries).toBe(1);
      expect(deliveries.nextDue).toBe(row?.due_at);
      expect((row?.due_at ?? 0) - Date.now()).toBeGreaterThan(POLICY.leaseMs - 1_000);
    }));

  it("is not begun twice, however often it is asked for", () =>
    withBox(async ({ enqueue, deliveries, sent, answer }) => {
      enqueue("a", "hello");
      const delivered = [deliveries.deliverDue(), deliveries.deliverDue()];
      answer("hello");
      await Promise.all(delivered);
      expect(sent).toEqual(["hello"]);
    }));
});

describe("what happens to a row while it is delivered", () => {
  it.each([
    ["is answered", "answer"],
    ["fails", "refuse"],
  ] as const)("enqueued anew, it is delivered anew, after the delivery %s", (_how, end) =>
    withBox(async (box) => {
      box.enqueue("a", "old");
      const delivered = box.deliveries.deliverDue();
      box.enqueue("a", "new");
      void box.deliveries.deliverDue();
      expect(box.sent).toEqual(["old"]);
      box[end]("old");
      await settled();
      expect(box.sent).toEqual(["old", "new"]);
      expect(box.rows()).toMatchObject([{ text: "new", tries: 1 }]);
      box.answer("new");
      await delivered;
      expect(box.rows()).toEqual([]);
    }),
  );

  it("enqueued anew for later, it stays until then", () =>
    withBox(async ({ enqueue, deliveries, rows, answer }) => {
      enqueue("a", "old");
      const delivered = deliveries.deliverDue();
      const later = Date.now() + 5_000;
      enqueue("a", "new", later);
      answer("old");
      await delivered;
      expect(rows()).toMatchObject([{ text: "new", due_at: later, tries: 0 }]);
      expect(deliveries.nextDue).toBe(later);
    }));

  it("taken back and enqueued again, it is a new one", () =>
    withBox(async ({ sql, enqueue, deliveries, rows, answer }) => {
      enqueue("a", "old");
      const delivered = deliveries.deliverDue();
      sql.exec("DELETE FROM letter");
      enqueue("a", "new", Date.now() + 5_000);
      answer("old");
      await delivered;
      expect(rows()).toMatchObject([{ text: "new" }]);
    }));

  it("taken back, it does not come back when the delivery fails", () =>
    withBox(async ({ sql, enqueue, deliveries, rows, refuse, failed }) => {
      enqueue("a", "old");
      const delivered = deliveries.deliverDue();
      sql.exec("DELETE FROM letter");
      refuse("old");
      await delivered;
      expect(failed).toEqual(["old"]);
      expect(rows()).toEqual([]);
    }));
});

describe("a delivery that fails", () => {
  it("is put off, longer each time, and holds up no other", () =>
    withBox(async ({ enqueue, deliveries, rows, refuse, answer, sent }) => {
      clock();
      enqueue("a", "bad");
      for (const wait of [1_000, 2_000, 4_000, 8_000, 8_000]) {
        enqueue("b", "good");
        const delivered = deliveries.deliverDue();
        refuse("bad");
        answer("good");
        await delivered;
        const [row, ...others] = rows();
        expect(others).toEqual([]);
        expect(Math.round(((row?.due_at ?? 0) - Date.now()) / 1_000) * 1_000).toBe(wait);
        expect(deliveries.nextDue).toBe(row?.due_at);
        ahead += wait;
      }
      expect(sent.filter((text) => text === "bad")).toHaveLength(5);
    }));

  it("never makes the alarm ring at once: its time is ahead as soon as it is tried", () =>
    withBox(async ({ enqueue, deliveries, refuse }) => {
      for (let i = 0; i < 10; i++) enqueue(`${i}`, `${i}`);
      const delivered = deliveries.deliverDue();
      for (let i = 0; i < 10; i++) {
        expect(deliveries.nextDue).toBeGreaterThan(Date.now() + 500);
        refuse(`${i}`);
        await settled();
      }
      await delivered;
      expect(deliveries.nextDue).toBeGreaterThan(Date.now() + 500);
    }));
});

describe("a delivery that hangs", () => {
  it("holds up nobody but its own row", () =>
    withBox(async ({ enqueue, deliveries, sent, answer, rows }) => {
      enqueue("a", "hangs");
      void deliveries.deliverDue();
      enqueue("b", "goes on");
      expect(deliveries.nextDue).toBeLessThanOrEqual(Date.now());
      void deliveries.deliverDue();
      answer("goes on");
      await settled();
      expect(sent).toEqual(["hangs", "goes on"]);
      expect(rows().map(({ text }) => text)).toEqual(["hangs"]);
    }));

  it("has failed once its lease is over, and still counts when it comes back", () =>
    withBox(
      async ({ enqueue, deliveries, failed, rows, answer }) => {
        enqueue("a", "slow");
        await deliveries.deliverDue();
        expect(failed).toEqual(["slow"]);
        expect(rows()).toMatchObject([{ text: "slow" }]);
        answer("slow");
        await settled();
        expect(rows()).toEqual([]);
      },
      { policy: { leaseMs: 20 } },
    ));
});

describe("many deliveries", () => {
  it("run so many at once as there is room for, the longest due first, and all of them in the end", () =>
    withBox(async ({ enqueue, deliveries, sent, answer, rows }) => {
      const now = Date.now();
      for (let i = 0; i < 20; i++) enqueue(`${i}`, `${i}`, now - i);
      const delivered = deliveries.deliverDue();
      expect(sent).toEqual(["19", "18", "17", "16"]);
      for (let i = 19; i >= 0; i--) {
        expect(deliveries.underWay).toBeLessThanOrEqual(POLICY.atOnce);
        answer(`${i}`);
        await settled();
      }
      await delivered;
      expect(sent).toEqual(Array.from({ length: 20 }, (_none, i) => `${19 - i}`));
      expect(rows()).toEqual([]);
    }));

  it("read no more of a long backlog than there is room for", () =>
    withBox(async ({ sql, enqueue, deliveries }) => {
      for (let i = 0; i < 500; i++) enqueue(`${i}`, `${i}`);
      let read = 0;
      const { exec } = sql;
      const cursors: { rowsRead: number }[] = [];
      vi.spyOn(sql, "exec").mockImplementation(((...statement: Parameters<typeof exec>) => {
        const cursor = exec.apply(sql, statement);
        cursors.push(cursor);
        return cursor;
      }) as typeof exec);
      void deliveries.deliverDue();
      expect(deliveries.nextDue).toBeGreaterThan(Date.now());
      read = cursors.reduce((sum, { rowsRead }) => sum + rowsRead, 0);
      expect(read).toBeLessThan(5 * POLICY.atOnce);
    }));

  it("tell once that nothing is under way any more", () =>
    withBox(async (box) => {
      for (let i = 0; i < 6; i++) box.enqueue(`${i}`, `${i}`);
      const delivered = box.deliveries.deliverDue();
      for (let i = 0; i < 6; i++) {
        expect(box.idle).toBe(0);
        box.answer(`${i}`);
        await settled();
      }
      await delivered;
      expect(box.idle).toBe(1);
    }));
});

it("a row that is due again by what was delivered goes on at once", () =>
  withBox(
    async ({ enqueue, deliveries, sent, answer, rows }) => {
      enqueue("a", "first");
      void deliveries.deliverDue();
      for (const text of ["first", "then 2", "then 1"]) {
        answer(text);
        await settled();
      }
      expect(sent).toEqual(["first", "then 2", "then 1"]);
      expect(rows()).toMatchObject([{ due_at: null }]);
      expect(deliveries.nextDue).toBeNull();
    },
    { next: 3 },
  ));

it.each([
  [1, 1_000],
  [2, 2_000],
  [4, 8_000],
  [5, 8_000],
  [5_000, 8_000],
])("after %i failures in a row the wait is %i ms", (failures, ms) => {
  expect(retryDelay(failures, POLICY)).toBe(ms);
});
