/**
 * The live socket: the event log pushed from any sequence on, each event once and in order, through reconnects and evictions.
 */

import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, it } from "vitest";
import type { LiveFrame, TenantEvent } from "../../../src/contracts/records.ts";
import { request, send, spawn, tool } from "../../support/door.ts";
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
  closed: { code: number } | null = null;
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
      this.frames.push(JSON.parse(String(data)));
      this.#heard();
    });
    socket.addEventListener("close", ({ code }) => {
      this.closed = { code };
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
    expect(viewer.closed).toEqual({ code: 1008 });
  });
});

describe("the live door", () => {
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
