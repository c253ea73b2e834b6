/**
 * The client's streams: each event once, over connections that break anywhere.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connect, cutAfter, followTo, obey, rejected, worker } from "../support/client.ts";
import { request } from "../support/door.ts";
import { installModel, scriptModel } from "../support/model.ts";

installModel();

beforeEach(() => scriptModel(() => undefined));

afterEach(() => scriptModel(() => undefined));

describe("the client's stream of events", () => {
  it("brings what an instance says as it happens", async () => {
    obey();
    const madrox = connect();
    const { instance_id } = await madrox.spawnInstance({ name: "Ada" });
    const { message_id } = await madrox.sendToInstance({ instance_id, message: "say hello there" });
    const events = await followTo(madrox, instance_id, message_id);
    const text = events.filter(({ event }) => event === "text").map(({ data }) => data.text);
    expect(text.join("")).toBe("hello there");
    expect(events.map(({ event }) => event)).toContain("output");
  });

  it("brings each event once over connections that break anywhere", async () => {
    obey();
    const madrox = connect();
    const { instance_id } = await madrox.spawnInstance({ name: "Ada" });
    await madrox.sendToInstance({ instance_id, message: "say one" });
    const { message_id } = await madrox.sendToInstance({ instance_id, message: "say two, and ünïcödé" });
    const whole = await followTo(madrox, instance_id, message_id);

    for (const bytes of [150, 333, 700]) {
      const after: (string | null)[] = [];
      const broken = connect({
        fetch: async (url, init) => {
          after.push(new Headers(init.headers).get("last-event-id"));
          const response = await worker(url, init);
          return new Response(cutAfter(bytes + after.length * 40, response), response);
        },
      });
      expect(await followTo(broken, instance_id, message_id)).toEqual(whole);
      expect(after.length).toBeGreaterThan(2);
      expect(after[0]).toBeNull();
      expect(after.at(-1)).not.toBeNull();
    }
  });

  it("goes on after an event that is known", async () => {
    const madrox = connect();
    const { instance_id } = await madrox.spawnInstance({ name: "Ada" });
    const { message_id } = await madrox.sendToInstance({ instance_id, message: "Hello" });
    const whole = await followTo(madrox, instance_id, message_id);
    const second = whole[1];
    const { value } = await madrox.stream(instance_id, { after: whole[0]?.id ?? "" }).next();
    expect(value).toEqual(second);
  });

  it("ends with its instance", async () => {
    const madrox = connect();
    const { instance_id } = await madrox.spawnInstance({ name: "Ada" });
    await madrox.sendToInstance({ instance_id, message: "Hello" });
    await madrox.terminateInstance({ instance_id });
    const kinds = [];
    for await (const { data } of madrox.stream(instance_id)) kinds.push(data.kind);
    expect(kinds).toContain("message.completed");
    expect(kinds.at(-1)).toBe("instance.stopped");
  });

  it("says what the server refuses, and gives up on one that is gone", async () => {
    const gone = await request("/instances/inst_none/events");
    expect(gone.status).toBe(400);
    expect(await rejected(connect().stream("inst_none").next())).toMatchObject({ code: "invalid_input", status: 400 });
    const dead = connect({ retries: 1, fetch: () => Promise.reject(new TypeError("connection refused")) });
    expect(await rejected(dead.events().next())).toMatchObject({ code: "network_error" });
  });

  it("follows the event log of all", async () => {
    const madrox = connect();
    const { instance_id: instanceId } = await madrox.spawnInstance({ name: "Ada" });
    const { value } = await madrox.events({ instanceId }).next();
    expect(value).toMatchObject({ event: "instance.spawned", data: { instance_id: instanceId } });
  });
});
