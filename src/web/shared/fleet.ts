/**
 * The fleet as the page knows it: a snapshot of the tree, kept up to date by the live socket's frames. Events are held by
 * their sequence, so a frame that comes again changes nothing, and the next connection goes on after the last one.
 */
import type { LiveFrame, LogEvent, TreeNode, TreeRow } from "./records.ts";

/** Events that the page holds; older ones are asked for when somebody looks. */
const EVENTS_KEPT = 5_000;

export type Connection = "connecting" | "live" | "lost";

export interface Fleet {
  rows: ReadonlyMap<string, TreeRow>;
  /** Oldest first. */
  events: readonly LogEvent[];
  connection: Connection;
  /** The first tree is in. */
  loaded: boolean;
  truncated: boolean;
  /** Counts up whenever the socket has opened anew: whatever was read before may be old. */
  opened: number;
  /** By the first part of their kind (`question`, `job`, ...): the newest sequence. */
  latest: Readonly<Record<string, number>>;
  /** The newest sequence of each instance. */
  latestOf: ReadonlyMap<string, number>;
}

const EMPTY: Fleet = {
  rows: new Map(),
  events: [],
  connection: "connecting",
  loaded: false,
  truncated: false,
  opened: 0,
  latest: {},
  latestOf: new Map(),
};

export class FleetStore {
  #fleet = EMPTY;
  #lastSeq: number | null = null;
  readonly #listeners = new Set<() => void>();

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly fleet = (): Fleet => this.#fleet;

  /** The last event that is here; null before the first frame. */
  get lastSeq(): number | null {
    return this.#lastSeq;
  }

  connected(connection: Connection): void {
    this.#set({ connection, opened: this.#fleet.opened + (connection === "live" ? 1 : 0) });
  }

  /** A whole tree. `since`: the rows that frames brought while it was on its way, which are newer. */
  take(tree: readonly TreeNode[], truncated: boolean, since: ReadonlyMap<string, TreeRow>): void {
    const rows = new Map<string, TreeRow>();
    const add = (node: TreeNode) => {
      const { children, ...row } = node;
      rows.set(row.instance_id, row);
      for (const child of children) add(child);
    };
    for (const node of tree) add(node);
    for (const [id, row] of since) rows.set(id, row);
    this.#set({ rows, truncated, loaded: true });
  }

  /** Returns the newest sequence that is here after the frame. */
  apply(frame: LiveFrame): number {
    const fresh = frame.restart ? frame.events : frame.events.filter((event) => event.seq > (this.#lastSeq ?? 0));
    this.#lastSeq = fresh.at(-1)?.seq ?? (frame.restart || this.#lastSeq === null ? frame.last_seq : this.#lastSeq);
    const known = frame.restart ? EMPTY : this.#fleet;
    const rows = new Map(known.rows);
    for (const row of frame.instances) rows.set(row.instance_id, row);
    const latest = { ...known.latest };
    const latestOf = new Map(known.latestOf);
    for (const event of fresh) {
      latest[event.kind.split(".")[0] ?? event.kind] = event.seq;
      latestOf.set(event.instance_id, event.seq);
      if (event.kind === "instance.deleted") rows.delete(event.instance_id);
    }
    const events = fresh.length === 0 ? known.events : [...known.events, ...fresh].slice(-EVENTS_KEPT);
    this.#set({ rows, events, latest, latestOf });
    return this.#lastSeq;
  }

  #set(change: Partial<Fleet>): void {
    this.#fleet = { ...this.#fleet, ...change };
    for (const listener of this.#listeners) listener();
  }
}
