/**
 * The live socket: the event log pushed from any sequence on, each event once and in order, through reconnects and evictions.
 */

import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import type { LiveFrame, TenantEvent } from "../../../src/contracts/records.ts";
import type { Position } from "../../../src/orchestrator/delivery/socket-window.ts";
import { request, send, spawn, tool, until } from "../../support/door.ts";
import { keyed, newKey } from "../../support/keyed.ts";
import { installModel } from "../../support/model.ts";
import { registry } from "../../support/objects.ts";

installModel();

const open: WebSocket[] = [];
afterEach(() => {
  for (const socket of open.splice(0)) socket.close();
});

/** A viewer, as a page is one: it keeps what it was sent. */
class Viewer {
  readonly frames: LiveFrame[] = [];
  closed: { code: number; reason: string } | null = null;
  /** Characters that came. */
  size = 0;
  readonly #socket: WebSocket;
  #heard: () => void = () => undefined;

  constructor(response: Response) {
    expect(response.status).toBe(101);
    expect(response.headers.get("sec-websocket-protocol")).toBe("madrox.live");
    const socket = response.webSocket;
    if (!socket) throw new Error("The answer brings no socket.");
    this.#socket = socket;
    open.push(socket);
    socket.addEventListener("message", ({ data }) => {
      this.size += String(data).length;
      this.frames.push(JSON.parse(String(data)));
      this.#heard();
    });
    socket.addEventListener("close", ({ code, reason }) => {
      this.closed = { code, reason };
      this.#heard();
    });
    socket.accept();
  }

  static async connect(): Promise<Viewer> {
    return new Viewer(await request("/live", { headers: { upgrade: "websocket" } }));
  }

  say(message: unknown): void {
    this.#socket.send(typeof message === "string" ? message : JSON.stringify(message));
  }

  close(): void {
    this.#socket.close();
  }

  get events(): TenantEvent[] {
    return this.frames.flatMap((frame) => frame.events);
  }

  get last(): number {
    return this.events.at(-1)?.seq ?? 0;
  }

  /** Waits until it holds of what was heard. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      await new Promise<void>((heard) => {
        this.#heard = heard;
      });
    }
  }
}

async function logged(): Promise<TenantEvent[]> {
  const events: TenantEvent[] = [];
  for (;;) {
    const before = events[0] ? `&before=${events[0].seq}` : "";
    const response = await request(`/events?limit=500${before}`, { headers: { accept: "application/json" } });
    const page = (await response.json()) as { events: TenantEvent[] };
    if (page.events.length === 0) return events;
    events.unshift(...page.events.reverse());
  }
}

describe("a viewer", () => {
  it("gets every event once and in order, through reconnects and an eviction of the object", async () => {
    const id = await spawn();
    const first = await Viewer.connect();
    first.say({ type: "follow", after: 0 });
    await first.until(() => first.events.some((event) => event.kind === "instance.spawned"));
    await send(id, "One.");
    await first.until(() => first.events.some((event) => event.kind === "message.completed"));
    first.close();

    await send(id, "Two, while nobody looks.");
    const second = await Viewer.connect();
    second.say({ type: "follow", after: first.last });
    await second.until(() => second.events.some((event) => event.kind === "message.completed"));
    await evictDurableObject(registry());
    await send(id, "Three, to a socket that was asleep.");
    await second.until(() => second.events.filter((event) => event.kind === "message.completed").length === 2);

    expect([...first.events, ...second.events]).toEqual(await logged());
  });

  it("gets the present rows of the instances concerned, and of those above them", async () => {
    const parent = await spawn({ name: "Parent", max_cost: 2 });
    const child = await spawn({ name: "Child", parent_instance_id: parent });
    const viewer = await Viewer.connect();
    viewer.say({ type: "follow", after: null });
    await viewer.until(() => viewer.frames.length > 0);
    const before = viewer.frames.length;
    await send(child, "Work.");
    await viewer.until(() =>
      viewer.events.some(({ kind, instance_id }) => kind === "message.completed" && instance_id === child),
    );
    const rows = viewer.frames.slice(before).flatMap((frame) => frame.instances);
    const last = (id: string) => rows.findLast((row) => row.instance_id === id);
    expect(last(child)).toMatchObject({ name: "Child", state: "idle", parent_instance_id: parent });
    expect(last(parent)?.subtree_cost).toBe(last(child)?.cost);
    expect(last(parent)).toMatchObject({ cost: 0, max_cost: 2 });
    await tool("set_limits", { instance_id: parent, max_cost: 3 });
    await viewer.until(() => viewer.frames.at(-1)?.instances.some((row) => row.max_cost === 3) === true);
  });

  it("that names no sequence begins a little before now; one that names an unknown sequence is told so", async () => {
    await spawn();
    const [newest] = (await logged()).slice(-1);
    const fresh = await Viewer.connect();
    fresh.say({ type: "follow", after: null });
    await fresh.until(() => fresh.frames.length > 0);
    expect(fresh.frames[0]).toMatchObject({ restart: false, last_seq: newest?.seq });
    expect(fresh.last).toBe(newest?.seq);
    const lost = await Viewer.connect();
    lost.say({ type: "follow", after: 1_000_000_000 });
    await lost.until(() => lost.frames.length > 0);
    expect(lost.frames[0]).toMatchObject({ restart: true });
    expect(lost.last).toBe(newest?.seq);
  });

  it("that does not confirm is sent a window and no more, and goes on when it does", async () => {
    await runInDurableObject(registry(), async (_object, state) => {
      state.storage.sql.exec(
        `INSERT INTO event (at, instance_id, instance_seq, kind, data)
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000)
         SELECT i, 'inst_none', i, 'test.filled', '{}' FROM n`,
      );
    });
    const viewer = await Viewer.connect();
    viewer.say({ type: "follow", after: 0 });
    await viewer.until(() => viewer.events.length >= 5_000);
    expect(viewer.events.length).toBe(5_000);
    viewer.say({ type: "ack", seq: viewer.last });
    const all = await logged();
    await viewer.until(() => viewer.events.length >= all.length);
    expect(viewer.events).toEqual(all);
  });

  it.each([
    ["no JSON", "nonsense"],
    ["another type", '{"type":"terminate"}'],
    ["no sequence", '{"type":"follow","after":-1}'],
    ["far too much", `{"type":"follow","after":0,"more":[${"[],".repeat(100_000)}1]}`],
  ])("that says %s is sent away", async (_what, said) => {
    const viewer = await Viewer.connect();
    viewer.say(said);
    await viewer.until(() => viewer.closed !== null);
    expect(viewer.closed).toMatchObject({ code: 1008 });
  });
});

/** Makes the log longer by events of about `size` characters. */
async function fill(count: number, size: number): Promise<void> {
  await runInDurableObject(registry(), async (_object, state) => {
    state.storage.sql.exec(
      `INSERT INTO event (at, instance_id, instance_seq, kind, data)
       WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
       SELECT i, 'inst_none', i, 'test.filled', ? FROM n`,
      count,
      JSON.stringify({ text: "x".repeat(size) }),
    );
  });
}

const newest = async () => (await logged()).at(-1)?.seq ?? 0;

/** Has something happen, which every socket hears of. */
async function happen(): Promise<void> {
  await spawn();
}

describe("a socket that is not read", () => {
  /** Ahead of the real clock, in ms. */
  let skew = 0;
  beforeAll(() => {
    const real = Date.now.bind(Date);
    vi.spyOn(Date, "now").mockImplementation(() => real() + skew);
  });
  afterAll(() => {
    vi.mocked(Date.now).mockRestore();
  });

  it("follows once: thousands of frames bring no more than one", async () => {
    await fill(4_000, 100);
    const viewer = await Viewer.connect();
    for (let i = 0; i < 3_000; i++) viewer.say({ type: "follow", after: 0 });
    await viewer.until(() => viewer.closed !== null);
    expect(viewer.closed).toEqual({ code: 1008, reason: expect.stringContaining("follow was said before") });
    expect(viewer.size).toBeLessThan(2_000_000);
  });

  it.each([
    ["before anything was followed", false],
    ["more often than it is sent something", true],
  ])("may not confirm %s", async (_what, followed) => {
    const viewer = await Viewer.connect();
    if (followed) viewer.say({ type: "follow", after: null });
    for (let i = 0; i < 200; i++) viewer.say({ type: "ack", seq: i });
    await viewer.until(() => viewer.closed !== null);
    expect(viewer.closed).toMatchObject({ code: 1008 });
  });

  it("is sent a window of characters and no more, whatever happens and whatever it confirms blindly", async () => {
    const from = await newest();
    await fill(3_000, 2_000);
    const viewer = await Viewer.connect();
    viewer.say({ type: "follow", after: from });
    await viewer.until(() => viewer.size > 900_000);
    for (let i = 0; i < 15; i++) viewer.say({ type: "ack", seq: from + 3_000, receipt: `guess ${i}` });
    for (let i = 0; i < 5; i++) {
      await happen();
      await new Promise((done) => setTimeout(done, 150));
    }
    expect(viewer.size).toBeLessThan(1_300_000);
    expect(viewer.closed).toBeNull();
  });

  it("gets all of it, once and in order, when it sends each receipt back", async () => {
    const from = await newest();
    await fill(3_000, 2_000);
    const viewer = await Viewer.connect();
    let answered = 0;
    viewer.say({ type: "follow", after: from });
    await viewer.until(() => {
      for (; answered < viewer.frames.length; answered++) {
        const { receipt } = viewer.frames[answered] ?? {};
        if (receipt) viewer.say({ type: "ack", seq: viewer.last, receipt });
      }
      return viewer.events.length >= 3_000 || viewer.closed !== null;
    });
    expect(viewer.closed).toBeNull();
    expect(viewer.events.map(({ seq }) => seq)).toEqual(Array.from({ length: 3_000 }, (_, i) => from + 1 + i));
    for (const frame of viewer.frames) expect(JSON.stringify(frame).length).toBeLessThan(260_000);
  });

  it("is let go after a minute in which there was more for it, and told where to go on", async () => {
    const from = await newest();
    await fill(1_000, 2_000);
    const viewer = await Viewer.connect();
    viewer.say({ type: "follow", after: from });
    await viewer.until(() => viewer.size > 900_000);
    await happen();
    await until(async () => (await heldSockets()) > 0);
    skew += 61_000;
    await happen();
    await viewer.until(() => viewer.closed !== null);
    expect(viewer.closed).toEqual({ code: 1013, reason: expect.stringContaining("last seq") });
    const again = await Viewer.connect();
    again.say({ type: "follow", after: viewer.last });
    await again.until(() => again.events.length > 0);
    expect(again.events[0]?.seq).toBe(viewer.last + 1);
  });

  it("takes one of fifty places", async () => {
    const viewers: Viewer[] = [];
    let refused: Response | undefined;
    for (let i = 0; i < 60 && !refused; i++) {
      const response = await request("/live", { headers: { upgrade: "websocket" } });
      if (response.status === 101) viewers.push(new Viewer(response));
      else refused = response;
    }
    expect(viewers.length).toBeLessThanOrEqual(50);
    expect(refused?.status).toBe(429);
    expect(await refused?.json()).toMatchObject({ success: false, error: "limit_reached" });
    for (const viewer of viewers) viewer.close();
    await until(async () => {
      const response = await request("/live", { headers: { upgrade: "websocket" } });
      if (response.status !== 101) return false;
      new Viewer(response).close();
      return true;
    });
  });
});

function heldSockets(): Promise<number> {
  return runInDurableObject(registry(), (_object, state) => {
    const positions = state.getWebSockets().map((socket) => socket.deserializeAttachment() as Position | null);
    return positions.filter((position) => position?.heldSince != null).length;
  });
}

describe("the route /live", () => {
  it("says what it is to a plain request", async () => {
    const response = await request("/live");
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ success: false, error: "invalid_input" });
  });

  it("takes the access key as a subprotocol, and shows a tenant its own log only", async () => {
    const [alice, bob] = [newKey(), newKey()];
    const server = keyed({ ann: alice, ben: bob });
    const asked = (key: string) =>
      server.request("/live", {
        headers: {
          upgrade: "websocket",
          "sec-websocket-protocol": `madrox.live, madrox.key.${btoa(key).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}`,
        },
      });
    expect((await asked(newKey())).status).toBe(401);
    expect((await server.request("/live", { headers: { upgrade: "websocket" } })).status).toBe(401);
    const viewers = [new Viewer(await asked(alice)), new Viewer(await asked(bob))];
    for (const viewer of viewers) viewer.say({ type: "follow", after: 0 });
    const { instance_id } = await server.tool(alice, "spawn_claude", { name: "Ann's" });
    const [anns, bens] = viewers as [Viewer, Viewer];
    await anns.until(() => anns.events.some((event) => event.instance_id === instance_id));
    await bens.until(() => bens.frames.length > 0);
    expect(bens.events).toEqual([]);
  });
});
