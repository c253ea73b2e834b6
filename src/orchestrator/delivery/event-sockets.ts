/**
 * Viewers: sockets that follow the event log from a sequence on. They hibernate with the object: where a viewer is stands in
 * its socket's attachment, and everything that it is sent is read from the log. They can only listen.
 *
 * A viewer says `{type: "follow", after}` first, and after every reconnect with the last sequence that it has; null: from a
 * little before now on. It is sent frames, each with the events after the one before, and `ack`s a sequence now and then: a
 * slow one is not sent more than a window ahead.
 */
import * as z from "zod";
import type { LiveFrame } from "../../contracts/records.ts";
import type { DefaultCaps } from "../budget/ledger.ts";
import { nodesOf } from "../registry/tree.ts";
import { eventsAfter, lastSeq } from "../store/event-log.ts";

/** Changes are collected for so long: a busy fleet makes one frame and not hundreds. */
const COLLECT_MS = 100;
/** Events in one frame, at most. */
const FRAME_EVENTS = 500;
/** Events that a viewer is sent beyond what it has confirmed, at most. */
const WINDOW_EVENTS = 5_000;
/** Events before now that a viewer gets which names no sequence. */
const RECENT_EVENTS = 200;
/** Characters of a viewer's frame: both kinds have less than fifty. A longer one is not even parsed. */
const MAX_FRAME_CHARACTERS = 200;
/** The subprotocol of these sockets. */
const LIVE_PROTOCOL = "madrox.live";

const Said = z.discriminatedUnion("type", [
  z.object({ type: z.literal("follow"), after: z.int().min(0).nullable() }),
  z.object({ type: z.literal("ack"), seq: z.int().min(0) }),
]);

/** Where a viewer is: the last sequence that it was sent, and that it has confirmed. Before its `follow` it has none. */
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
    // Answered by the runtime, so that a viewer's sign of life wakes nobody.
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
  }

  /** Takes a viewer in. */
  accept(): Response {
    const { 0: client, 1: server } = new WebSocketPair();
    this.#ctx.acceptWebSocket(server);
    return new Response(null, { status: 101, webSocket: client, headers: { "sec-websocket-protocol": LIVE_PROTOCOL } });
  }

  /** A viewer has said something; one that says what it should not is sent away. */
  onMessage(socket: WebSocket, message: string | ArrayBuffer): void {
    const said = Said.safeParse(typeof message === "string" ? parsed(message) : null);
    if (!said.success) {
      socket.close(1008, "Only follow and ack can be said here.");
      return;
    }
    const place = positionOf(socket);
    if (said.data.type === "ack") {
      if (!place) return;
      socket.serializeAttachment({ ...place, acked: Math.max(place.acked, Math.min(said.data.seq, place.after)) });
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

  /** Something was logged, or (with ids) instances look different. Viewers hear of it soon. */
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

  /** Sends each socket what it does not have yet; viewers at the same place share the reading and the text. */
  #send(sockets: readonly WebSocket[], touched: readonly string[], greeting?: "start" | "restart"): void {
    const { sql } = this.#ctx.storage;
    const places = new Map<number, { socket: WebSocket; place: Position }[]>();
    for (const socket of sockets) {
      const place = positionOf(socket);
      if (place) places.set(place.after, [...(places.get(place.after) ?? []), { socket, place }]);
    }
    for (const [from, viewers] of places) {
      let ready = viewers;
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
        for (const { socket, place } of ready) {
          socket.serializeAttachment({ after, acked: place.acked } satisfies Position);
          if (socket.readyState === WebSocket.OPEN) socket.send(text);
        }
        if (page.events.length < FRAME_EVENTS) break;
        ready = ready.filter(({ place }) => after - place.acked < WINDOW_EVENTS);
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
