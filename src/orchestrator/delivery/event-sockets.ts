/**
 * Event sockets follow the event log from a sequence on. They hibernate with the object: a socket's position is in its attachment,
 * and all that it is sent is read from the log. Clients can only listen.
 *
 * A client first sends `{type: "follow", after}`, once, and after a reconnect names the last sequence that it has; null: from a little
 * before now on. It gets frames, each with the events after those of the frame before. It answers a frame that has a `receipt`, and
 * others now and then, with `{type: "ack", seq, receipt}`. A client that does not is sent a window and no more, and is disconnected
 * when there has been more for it for a while: it connects again, and goes on from there.
 */
import * as z from "zod";
import type { LiveFrame } from "../../contracts/records.ts";
import { ERROR_STATUS, errorBody, type Failure } from "../../platform/errors.ts";
import type { DefaultCaps } from "../budget/ledger.ts";
import { nodesOf } from "../registry/tree.ts";
import { eventsAfter, lastSeq } from "../store/event-log.ts";
import * as window from "./socket-window.ts";

/** Changes are collected for so long, so that a busy fleet makes one frame and not hundreds. */
const COLLECT_MS = 100;
/** Events per frame, and rows of instances that have changed without one. */
const FRAME_EVENTS = 500;
const FRAME_ROWS = 500;
/** A frame with more than one event is not longer. */
const FRAME_CHARACTERS = 250_000;
/** Events before now for a client that names no sequence. */
const RECENT_EVENTS = 200;
/** Sockets per tenant: each may hold a window and a frame in the runtime's memory. */
const MAX_SOCKETS = 50;
/** 48 random bits, and a hyphen. */
const RECEIPT_LENGTH = 13;
/** Upper bound on the characters of a client's message: both kinds have fewer than a hundred. A longer one is not even parsed. */
const MAX_FRAME_CHARACTERS = 200;
/** The subprotocol of these sockets. */
const LIVE_PROTOCOL = "madrox.live";

const Said = z.discriminatedUnion("type", [
  z.object({ type: z.literal("follow"), after: z.int().min(0).nullable() }),
  z.object({ type: z.literal("ack"), seq: z.int().min(0), receipt: z.string().max(100).nullish() }),
]);

export class EventSockets {
  readonly #ctx: DurableObjectState;
  readonly #caps: () => DefaultCaps;
  readonly #touched = new Set<string>();
  /** Rows that have changed while a socket had no room for them. An eviction loses them: rows are shown again with each event. */
  readonly #missed = new WeakMap<WebSocket, Set<string>>();
  #collecting = false;

  constructor(ctx: DurableObjectState, caps: () => DefaultCaps) {
    this.#ctx = ctx;
    this.#caps = caps;
    // Answered by the runtime, so that a client's pings do not wake the object.
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
  }

  /** Accepts a socket, or answers `limit_reached`. */
  accept(): Response {
    if (this.#ctx.getWebSockets().length >= MAX_SOCKETS) {
      const message = `${MAX_SOCKETS} sockets follow the event log, and no more can. Close one, or follow GET /events.`;
      const failure: Failure = { code: "limit_reached", message, details: { limit: "sockets" } };
      return Response.json(errorBody(failure), { status: ERROR_STATUS[failure.code] });
    }
    const { 0: client, 1: server } = new WebSocketPair();
    this.#ctx.acceptWebSocket(server);
    return new Response(null, { status: 101, webSocket: client, headers: { "sec-websocket-protocol": LIVE_PROTOCOL } });
  }

  /** A client has sent a message. A socket with an invalid one is closed, and what it sends after that is not read. */
  onMessage(socket: WebSocket, message: string | ArrayBuffer): void {
    if (socket.readyState !== WebSocket.OPEN) return;
    const refusal = this.#heard(socket, typeof message === "string" ? parsed(message) : null);
    if (refusal !== null) socket.close(1008, refusal);
  }

  /** Something was logged, or (with ids) the rows of instances have changed: the sockets get a frame soon. */
  changed(...instanceIds: string[]): void {
    if (this.#ctx.getWebSockets().length === 0) return;
    for (const id of instanceIds) this.#touched.add(id);
    if (this.#collecting) return;
    this.#collecting = true;
    setTimeout(() => {
      this.#collecting = false;
      const touched = [...this.#touched];
      this.#touched.clear();
      this.#send(this.#ctx.getWebSockets(), touched);
    }, COLLECT_MS);
  }

  /** Why a message is refused, or null. */
  #heard(socket: WebSocket, message: unknown): string | null {
    const said = Said.safeParse(message);
    if (!said.success) return "Only follow and ack can be said here.";
    const position = positionOf(socket);
    if (said.data.type === "follow") {
      if (position) return "follow was said before: open another socket to follow from elsewhere.";
      this.#follow(socket, said.data.after);
      return null;
    }
    const heard = position && window.afterHearing(position);
    if (!heard) return position ? "You say more than you are sent: ack once a frame at most." : "follow comes first.";
    const { seq, receipt = null } = said.data;
    const next = window.afterAck(heard, { seq, receipt });
    keep(socket, next);
    // One that had room has everything already.
    if (!window.hasRoom(heard) && window.hasRoom(next)) this.#send([socket], []);
    return null;
  }

  #follow(socket: WebSocket, after: number | null): void {
    const last_seq = lastSeq(this.#ctx.storage.sql);
    const unknown = after !== null && after > last_seq;
    keep(socket, window.startAt(after === null || unknown ? Math.max(0, last_seq - RECENT_EVENTS) : after, 1));
    this.#send([socket], [], unknown ? "restart" : "start");
  }

  /** Sends each socket what it does not have yet, as far as it has room. Sockets at the same position share the query and the text. */
  #send(sockets: readonly WebSocket[], touched: readonly string[], greeting?: "start" | "restart"): void {
    const groups: Group[] = [];
    const shared = new Map<number, Group>();
    for (const socket of sockets) {
      const position = positionOf(socket);
      if (!position || socket.readyState !== WebSocket.OPEN) continue;
      if (!window.hasRoom(position)) {
        this.#hold(socket, position, touched);
        continue;
      }
      const { after } = position;
      const missed = this.#missed.get(socket);
      this.#missed.delete(socket);
      const known = missed ? undefined : shared.get(after);
      if (known) {
        known.sockets.push(socket);
        continue;
      }
      const group = { sockets: [socket], after, ids: new Set([...(missed ?? []), ...touched]) };
      groups.push(group);
      if (!missed) shared.set(after, group);
    }
    for (const group of groups) this.#sendGroup(group, greeting);
  }

  #sendGroup(group: Group, greeting?: "start" | "restart"): void {
    const { sql } = this.#ctx.storage;
    const ids = [...group.ids];
    let { sockets, after } = group;
    for (let nth = 0; sockets.length > 0; nth++) {
      const page = eventsAfter(sql, { after, instance_id: null, limit: FRAME_EVENTS });
      const rows = ids.splice(0, FRAME_ROWS);
      const frame = this.#frame(page, rows, greeting === "restart" && nth === 0);
      if (frame.events.length === 0 && frame.instances.length === 0 && !(greeting && nth === 0)) return;
      after = frame.events.at(-1)?.seq ?? after;
      for (const socket of sockets) send(socket, frame.text, after);
      if (after >= page.last_seq && ids.length === 0) return;
      sockets = sockets.filter((socket) => {
        const position = positionOf(socket);
        if (!position) return false;
        if (!window.hasRoom(position)) this.#hold(socket, position, ids);
        return window.hasRoom(position);
      });
    }
  }

  #frame(page: ReturnType<typeof eventsAfter>, rows: readonly string[], restart: boolean) {
    let { events } = page;
    for (;;) {
      const ids = new Set([...rows, ...events.map((event) => event.instance_id)]);
      const instances = nodesOf(this.#ctx.storage.sql, [...ids], this.#caps());
      const frame: LiveFrame = { type: "events", restart, events, instances, last_seq: page.last_seq };
      const text = JSON.stringify(frame);
      if (text.length <= FRAME_CHARACTERS || events.length <= 1) return { events, instances, text };
      events = events.slice(0, Math.ceil(events.length / 2));
    }
  }

  /** There is more for a socket without room. After a while it is closed. */
  #hold(socket: WebSocket, position: window.Position, rows: readonly string[]): void {
    const now = Date.now();
    if (window.isGivenUp(position, now)) {
      socket.close(
        1013,
        "Nothing was confirmed for a minute: connect again, and follow from the last seq that you have.",
      );
      return;
    }
    keep(socket, window.held(position, now));
    const missed = this.#missed.get(socket) ?? new Set();
    for (const id of rows) missed.add(id);
    this.#missed.set(socket, missed);
  }
}

/** Sockets that are sent the same. */
interface Group {
  sockets: WebSocket[];
  after: number;
  /** Rows that have changed, whether or not an event says so. */
  ids: ReadonlySet<string>;
}

function send(socket: WebSocket, text: string, after: number): void {
  const position = positionOf(socket);
  if (!position || socket.readyState !== WebSocket.OPEN) return;
  const receipt = window.wantsReceipt(position, text.length) ? crypto.randomUUID().slice(0, RECEIPT_LENGTH) : null;
  const whole = receipt === null ? text : `${text.slice(0, -1)},"receipt":"${receipt}"}`;
  keep(socket, window.afterFrame(position, whole.length, after, receipt));
  socket.send(whole);
}

function positionOf(socket: WebSocket): window.Position | null {
  return socket.deserializeAttachment() as window.Position | null;
}

function keep(socket: WebSocket, position: window.Position): void {
  socket.serializeAttachment(position);
}

function parsed(text: string): unknown {
  if (text.length > MAX_FRAME_CHARACTERS) return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
