/**
 * Event sockets follow the event log from a sequence on. They hibernate with the object: a socket's position is in its attachment,
 * and all that it is sent is read from the log. Clients can only listen.
 *
 * A client first sends `{type: "follow", after}`, and after a reconnect names the last sequence that it has; null: from a little
 * before now on. It gets frames, each with the events after those of the frame before, and `ack`s a sequence now and then. A slow
 * client is not sent more than a window ahead.
 */
import * as z from "zod";
import type { LiveFrame } from "../../contracts/records.ts";
import type { DefaultCaps } from "../budget/ledger.ts";
import { nodesOf } from "../registry/tree.ts";
import { eventsAfter, lastSeq } from "../store/event-log.ts";

/** Changes are collected for so long, so that a busy fleet makes one frame and not hundreds. */
const COLLECT_MS = 100;
/** Events per frame. */
const FRAME_EVENTS = 500;
/** Events that a client may be sent beyond what it has confirmed. */
const WINDOW_EVENTS = 5_000;
/** Events before now for a client that names no sequence. */
const RECENT_EVENTS = 200;
/** Upper bound on the characters of a client's message: both kinds have less than fifty. A longer one is not even parsed. */
const MAX_FRAME_CHARACTERS = 200;
/** The subprotocol of these sockets. */
const LIVE_PROTOCOL = "madrox.live";

const Said = z.discriminatedUnion("type", [
  z.object({ type: z.literal("follow"), after: z.int().min(0).nullable() }),
  z.object({ type: z.literal("ack"), seq: z.int().min(0) }),
]);

/** A socket's position: the last sequence that it was sent, and the last that it has confirmed. Before `follow` it has none. */
interface Position {
  after: number;
  acked: number;
}

export class EventSockets {
  readonly #ctx: DurableObjectState;
  readonly #caps: () => DefaultCaps;
  readonly #touched = new Set<string>();
  #collecting = false;

  constructor(ctx: DurableObjectState, caps: () => DefaultCaps) {
    this.#ctx = ctx;
    this.#caps = caps;
    // Answered by the runtime, so that a client's pings do not wake the object.
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
  }

  /** Accepts a socket. */
  accept(): Response {
    const { 0: client, 1: server } = new WebSocketPair();
    this.#ctx.acceptWebSocket(server);
    return new Response(null, { status: 101, webSocket: client, headers: { "sec-websocket-protocol": LIVE_PROTOCOL } });
  }

  /** A client has sent a message. A socket with an invalid one is closed. */
  onMessage(socket: WebSocket, message: string | ArrayBuffer): void {
    const said = Said.safeParse(typeof message === "string" ? parsed(message) : null);
    if (!said.success) {
      socket.close(1008, "Only follow and ack can be said here.");
      return;
    }
    const position = positionOf(socket);
    if (said.data.type === "ack") {
      if (!position) return;
      socket.serializeAttachment({
        ...position,
        acked: Math.max(position.acked, Math.min(said.data.seq, position.after)),
      });
      this.#send([socket], []);
      return;
    }
    const last_seq = lastSeq(this.#ctx.storage.sql);
    const { after } = said.data;
    const unknown = after !== null && after > last_seq;
    const start = after === null || unknown ? Math.max(0, last_seq - RECENT_EVENTS) : after;
    socket.serializeAttachment({ after: start, acked: start } satisfies Position);
    this.#send([socket], [], unknown ? "restart" : "start");
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

  /** Sends each socket what it does not have yet. Sockets at the same position share the query and the text. */
  #send(sockets: readonly WebSocket[], touched: readonly string[], greeting?: "start" | "restart"): void {
    const { sql } = this.#ctx.storage;
    const positions = new Map<number, { socket: WebSocket; position: Position }[]>();
    for (const socket of sockets) {
      const position = positionOf(socket);
      if (position) positions.set(position.after, [...(positions.get(position.after) ?? []), { socket, position }]);
    }
    for (const [from, sharing] of positions) {
      let ready = sharing;
      let after = from;
      for (let nth = 0; ready.length > 0; nth++) {
        const page = eventsAfter(sql, { after, instance_id: null, limit: FRAME_EVENTS });
        const ids = new Set([...(nth === 0 ? touched : []), ...page.events.map((event) => event.instance_id)]);
        const instances = nodesOf(sql, [...ids], this.#caps());
        if (page.events.length === 0 && instances.length === 0 && !(greeting && nth === 0)) break;
        const frame: LiveFrame = {
          type: "events",
          restart: greeting === "restart" && nth === 0,
          events: page.events,
          instances,
          last_seq: page.last_seq,
        };
        after = page.events.at(-1)?.seq ?? after;
        const text = JSON.stringify(frame);
        for (const { socket, position } of ready) {
          socket.serializeAttachment({ after, acked: position.acked } satisfies Position);
          if (socket.readyState === WebSocket.OPEN) socket.send(text);
        }
        if (page.events.length < FRAME_EVENTS) break;
        ready = ready.filter(({ position }) => after - position.acked < WINDOW_EVENTS);
      }
    }
  }
}

function positionOf(socket: WebSocket): Position | null {
  return socket.deserializeAttachment() as Position | null;
}

function parsed(text: string): unknown {
  if (text.length > MAX_FRAME_CHARACTERS) return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
