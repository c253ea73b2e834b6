/**
 * Durable delivery. What one object has to bring to another is a row with a time (`due_at`), written in the transaction of its
 * cause, delivered afterwards, and tried again until the other has answered: at least once, so what is delivered has to be
 * harmless when it is repeated.
 *
 * The row carries all of it. To deliver, its time is put off by a lease, so that a crash repeats it; a failure puts it off by
 * the back-off. The lease is also the row's version: whoever enqueues the row anew sets another time and no tries, and then
 * the delivery that is under way neither removes the row nor puts it off.
 */
import { first, type Row } from "./sqlite.ts";
import { within } from "./timeout.ts";
import { inTransaction, type Tx } from "./transaction.ts";

export interface Backoff {
  /** After the first failure, in ms. */
  firstMs: number;
  /** Each further one waits so many times longer. */
  factor: number;
  /** And never longer than this. */
  ceilingMs: number;
}

export interface DeliveryPolicy extends Backoff {
  /** How long one delivery may take. It is also how long one that died with its process stays put off. */
  leaseMs: number;
  /** Deliveries under way at once: more would only queue in the runtime. */
  atOnce: number;
}

/** How long to wait after so many failures in a row (1 or more), in ms. Pure. */
export function retryDelay(failures: number, { firstMs, factor, ceilingMs }: Backoff): number {
  return Math.min(firstMs * factor ** Math.min(failures - 1, 60), ceilingMs);
}

/**
 * A table of deliveries, and which of its columns are for what. There has to be an index over `due`, which may be partial
 * (`WHERE due IS NOT NULL`).
 */
export interface DeliveryTable {
  name: string;
  key: readonly string[];
  /** What `send` gets beside the key. */
  columns: readonly string[];
  /** ms since the epoch; null: nothing to deliver (yet). */
  due: string;
  /** Counts deliveries since the row was enqueued, this one included. Null: `onDelivered` and `onFailed` see to the back-off. */
  tries: string | null;
}

export interface DeliveryParts<Item extends Row, Answer> {
  storage: DurableObjectStorage;
  table: DeliveryTable;
  policy: DeliveryPolicy;
  /** Brings one row to where it belongs. Rejects when that has failed. */
  send: (item: Item) => Promise<Answer>;
  /** The other has answered, and the row is as it was when it was sent. */
  onDelivered: "delete" | ((tx: Tx, item: Item, answer: Answer) => void);
  /** It is put off and will be tried again. */
  onFailed: (item: Item, error: unknown) => void;
  /** Nothing is under way any more: the alarm can be set to what is next. */
  onIdle: () => void;
}

/** What is due and found no room is begun by what is under way, as it ends: the alarm comes for it only after a crash. */
const CROWDED_MS = 1_000;

interface DueRow {
  key: string;
  due: number;
}

interface Claim<Item> {
  item: Item;
  key: string;
  /** The row's version, as long as nobody enqueues it anew. */
  due: number;
  tries: number | null;
}

/** The deliveries of one table. One of it for each object: what is under way is known in memory. */
export class Deliveries<Item extends Row, Answer = unknown> {
  readonly #parts: DeliveryParts<Item, Answer>;
  readonly #where: string;
  /** By the row's key. */
  readonly #underWay = new Map<string, Promise<void>>();
  /** Something may be due that found no room, or whose older version is under way: who finishes looks again. */
  #more = false;

  constructor(parts: DeliveryParts<Item, Answer>) {
    this.#parts = parts;
    this.#where = parts.table.key.map((column) => `${column} = ?`).join(" AND ");
  }

  /** How many are under way. */
  get underWay(): number {
    return this.#underWay.size;
  }

  /** When the next delivery is due, in ms since the epoch, or null: what an object's alarm is set from. */
  get nextDue(): number | null {
    const { atOnce } = this.#parts.policy;
    const now = Date.now();
    const isFull = this.#underWay.size >= atOnce;
    const isBusy = ({ due, key }: DueRow) => due <= now && (isFull || this.#underWay.has(key));
    const [next] = this.#dueRows(1);
    if (next === undefined) return null;
    if (!isBusy(next)) return next.due;
    const other = isFull ? undefined : this.#dueRows(atOnce + 1).find((row) => !isBusy(row));
    return Math.min(other?.due ?? Infinity, now + CROWDED_MS);
  }

  #dueRows(limit: number): DueRow[] {
    const { storage, table } = this.#parts;
    const { name, key, due } = table;
    const query = `SELECT ${key.join(", ")}, ${due} AS due FROM ${name} WHERE ${due} IS NOT NULL ORDER BY ${due} LIMIT ${limit}`;
    return storage.sql
      .exec<Row>(query)
      .toArray()
      .map((row) => ({ key: this.#idOf(row), due: Number(row.due) }));
  }

  /**
   * Delivers what is due, the longest due first. Resolves when that has been delivered, has failed, or has taken longer than
   * its lease. Rejects only when the storage itself is broken. May be called at any time; nothing is sent twice by that.
   */
  async deliverDue(): Promise<void> {
    let begun: Iterable<Promise<void>> = this.#begin();
    while (this.#more && this.#underWay.size > 0) {
      await Promise.race(this.#underWay.values());
      begun = [...this.#underWay.values()];
    }
    await Promise.all(begun);
  }

  #begin(): Promise<void>[] {
    return this.#claim().map((claim) => {
      const delivery = this.#deliver(claim);
      this.#underWay.set(claim.key, delivery);
      return delivery;
    });
  }

  /** Puts off as many of the rows that are due as there is room for. */
  #claim(): Claim<Item>[] {
    const { storage, table, policy } = this.#parts;
    const { name, due, tries } = table;
    const now = Date.now();
    const room = policy.atOnce - this.#underWay.size;
    const isUnderWay = (item: Item) => this.#underWay.has(this.#idOf(item));
    // No further than there is room: behind it there may be thousands.
    let rows = this.#due(now, room + 1);
    if (rows.some(isUnderWay)) rows = this.#due(now, policy.atOnce + 1);
    const free = rows.filter((item) => !isUnderWay(item));
    this.#more = free.length > room || free.length < rows.length;
    const claims = free.slice(0, room).map((item): Claim<Item> => {
      const before = tries === null ? null : Number(item[tries]);
      return { item, key: this.#idOf(item), due: now + policy.leaseMs, tries: before === null ? null : before + 1 };
    });
    if (claims.length === 0) return claims;
    const counted = tries === null ? "" : `, ${tries} = ${tries} + 1`;
    inTransaction(storage, (tx) => {
      for (const claim of claims)
        tx.exec(`UPDATE ${name} SET ${due} = ?${counted} WHERE ${this.#where}`, claim.due, ...this.#keyOf(claim));
    });
    return claims;
  }

  #due(now: number, limit: number): Item[] {
    const { storage, table } = this.#parts;
    const { name, key, columns, due, tries } = table;
    const wanted = new Set([...key, ...columns, ...(tries === null ? [] : [tries])]);
    const query = `SELECT ${[...wanted].join(", ")} FROM ${name} WHERE ${due} <= ? ORDER BY ${due}, ${key.join(", ")} LIMIT ${limit}`;
    return storage.sql.exec<Item>(query, now).toArray();
  }

  /** Never rejects. */
  async #deliver(claim: Claim<Item>): Promise<void> {
    const { policy, onFailed, onIdle } = this.#parts;
    // A delivery that comes back after its lease counts all the same; nobody waits for it.
    const inTime = await within(this.#attempt(claim), policy.leaseMs);
    this.#underWay.delete(claim.key);
    if (!inTime) this.#fail(claim, new Error(`Not answered within ${policy.leaseMs} ms.`));
    try {
      if (this.#more) this.#begin();
      if (this.#underWay.size === 0) onIdle();
    } catch (broken) {
      onFailed(claim.item, broken);
    }
  }

  async #attempt(claim: Claim<Item>): Promise<void> {
    try {
      this.#settle(claim, await this.#parts.send(claim.item));
    } catch (error) {
      this.#fail(claim, error);
    }
  }

  #settle(claim: Claim<Item>, answer: Answer): void {
    const { storage, table, onDelivered } = this.#parts;
    const [version, values] = this.#versionOf(claim);
    if (onDelivered === "delete") {
      storage.sql.exec(`DELETE FROM ${table.name} WHERE ${version}`, ...values);
    } else if (first(storage.sql, `SELECT 1 AS one FROM ${table.name} WHERE ${version}`, ...values)) {
      inTransaction(storage, (tx) => onDelivered(tx, claim.item, answer));
      // It may have left the row with something more to deliver.
      this.#more = true;
    }
  }

  #fail(claim: Claim<Item>, error: unknown): void {
    const { storage, table, policy, onFailed } = this.#parts;
    onFailed(claim.item, error);
    const [version, values] = this.#versionOf(claim);
    const due = Date.now() + retryDelay(claim.tries ?? 1, policy);
    try {
      storage.sql.exec(`UPDATE ${table.name} SET ${table.due} = ? WHERE ${version}`, due, ...values);
      claim.due = due;
    } catch (broken) {
      // The object is lost, and the next one delivers once the lease is over.
      onFailed(claim.item, broken);
    }
  }

  #idOf(row: Row): string {
    return JSON.stringify(this.#parts.table.key.map((column) => row[column]));
  }

  #keyOf({ item }: Claim<Item>): SqlStorageValue[] {
    return this.#parts.table.key.map((column) => item[column] ?? null);
  }

  /** The row, as long as it is the one that was sent. */
  #versionOf(claim: Claim<Item>): [condition: string, values: SqlStorageValue[]] {
    const { due, tries } = this.#parts.table;
    const condition = `${this.#where} AND ${due} = ?${tries === null ? "" : ` AND ${tries} = ?`}`;
    return [condition, [...this.#keyOf(claim), claim.due, ...(claim.tries === null ? [] : [claim.tries])]];
  }
}
