/**
 * The same key gives one effect, whatever dies between the effect and its answer.
 */
import { abortAllDurableObjects } from "cloudflare:test";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { watchCommits } from "../support/commits.ts";
import { output, send, spawn, status, tool } from "../support/door.ts";
import { installModel, scriptModel } from "../support/model.ts";
import { objectOf, registry } from "../support/objects.ts";
import { named, restsByItsAlarm, script } from "../support/three-tools.ts";

installModel();

beforeAll(() => {
  scriptModel(script);
});

afterAll(() => {
  scriptModel(() => undefined);
});

describe("the same idempotency key", () => {
  const key = () => crypto.randomUUID();

  it("gives one turn when the send is repeated, over and over and at once", async () => {
    const id = await spawn();
    const idempotency_key = key();
    const answers = await Promise.all([1, 2, 3].map(() => send(id, "Once.", { idempotency_key })));
    const again = await send(id, "Once.", { idempotency_key });
    for (const answer of answers) expect(answer).toEqual(again);
    expect((await output(id)).map((row) => row.type)).toEqual(["user", "response"]);
    expect(await status(id)).toMatchObject({ request_count: 1 });
  });

  it("gives one turn when the object died between the effect and the answer", async () => {
    const id = await spawn();
    await output(id);
    const idempotency_key = key();
    const trap = await watchCommits(objectOf(id), 1);
    const first = await send(id, "Once.", { idempotency_key, wait_for_response: false });
    expect(trap.sprung).toBe(true);
    await abortAllDurableObjects();
    const second = await send(id, "Once.", { idempotency_key, wait_for_response: false });
    expect(second.success).toBe(true);
    await restsByItsAlarm(id, 1);
    if (first.success) expect(second.message_id).toBe(first.message_id);
    expect((await output(id)).map((row) => row.type)).toEqual(["user", "response"]);
  });

  it("may come in the header, and counts for the message that it came with", async () => {
    const id = await spawn();
    const header = { "idempotency-key": key() };
    const first = await tool("send_to_instance", { instance_id: id, message: "Once." }, header);
    const second = await tool("send_to_instance", { message: "Once.", instance_id: id }, header);
    expect(second).toEqual(first);
    expect(await output(id)).toHaveLength(2);
  });

  it.each<[string, (key: string, variant: string) => Promise<Record<string, unknown>>]>([
    [
      "send_to_instance",
      async (idempotency_key, variant) => send(await shared("sent to"), `Say ${variant}.`, { idempotency_key }),
    ],
    ["spawn_claude", (idempotency_key, variant) => tool("spawn_claude", { name: variant, idempotency_key })],
    [
      "terminate_instance",
      async (idempotency_key, variant) =>
        tool("terminate_instance", {
          instance_id: await shared("ended"),
          force: variant === "another",
          idempotency_key,
        }),
    ],
  ])("with another request is a conflict: %s", async (_name, call) => {
    const idempotency_key = key();
    expect(await call(idempotency_key, "one")).toMatchObject({ success: true });
    expect(await call(idempotency_key, "another")).toMatchObject({ success: false, error: "conflict" });
    expect(await call(idempotency_key, "one")).toMatchObject({ success: true });
  });

  const instances = new Map<string, Promise<string>>();
  const shared = (use: string) => {
    const known = instances.get(use) ?? spawn({ name: use });
    instances.set(use, known);
    return known;
  };

  it("spawns one instance, also at once and after a crash between the effect and the answer", async () => {
    const idempotency_key = key();
    const name = `once ${idempotency_key}`;
    const trap = await watchCommits(registry(), 1);
    await tool("spawn_claude", { name, idempotency_key });
    expect(trap.sprung).toBe(true);
    await abortAllDurableObjects();
    const answers = await Promise.all([1, 2, 3].map(() => tool("spawn_claude", { name, idempotency_key })));
    expect(new Set(answers.map((answer) => answer.instance_id)).size).toBe(1);
    expect(await named(name)).toHaveLength(1);
  });

  it("terminates once, and answers a repeated call with the same list", async () => {
    const id = await spawn();
    await send(id, "Hello.");
    const idempotency_key = key();
    const trap = await watchCommits(registry(), 1);
    await tool("terminate_instance", { instance_id: id, idempotency_key });
    expect(trap.sprung).toBe(true);
    await abortAllDurableObjects();
    const answers = await Promise.all(
      [1, 2].map(() => tool("terminate_instance", { instance_id: id, idempotency_key })),
    );
    for (const answer of answers) expect(answer).toMatchObject({ success: true, terminated: [id] });
    expect(await send(id, "Still there?")).toMatchObject({ error: "conflict" });
  });
});
