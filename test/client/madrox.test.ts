/**
 * The typed client in a Worker: against this server, and against one that fails in each documented way.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { SERVER_ERRORS } from "../../src/client/tools.ts";
import { ERROR_STATUS } from "../../src/platform/errors.ts";
import { CATALOGUE } from "../../src/tools/runtime/catalogue.ts";
import { connect, failing, gate, obey, rejected, worker } from "../support/client.ts";
import { until } from "../support/door.ts";
import { installModel, scriptModel } from "../support/model.ts";

const model = installModel();

beforeEach(() => scriptModel(() => undefined));

afterEach(() => scriptModel(() => undefined));

describe("the client's tools", () => {
  it("have a method for every tool of the catalogue", () => {
    const madrox = connect() as unknown as Record<string, unknown>;
    for (const { name } of CATALOGUE) {
      const method =
        name === "spawn_claude"
          ? "spawnInstance"
          : name.replace(/_(.)/g, (_all, letter: string) => letter.toUpperCase());
      expect(madrox[method], `${method}: run npm run client:types`).toBeTypeOf("function");
    }
    expect(SERVER_ERRORS).toEqual(ERROR_STATUS);
  });

  it("spawn, send, read and end", async () => {
    obey();
    const madrox = connect();
    const { instance_id, model: used } = await madrox.spawnInstance({ name: "Ada", role: "architect" });
    expect(used).toContain("claude");
    const sent = await madrox.sendToInstance({ instance_id, message: "say hello" });
    expect(sent.response?.response).toBe("hello");
    await madrox.sendToInstance({ instance_id, message: "say bye" });
    const rows = [];
    for await (const row of madrox.output(instance_id)) rows.push(row);
    expect(rows.map(({ type }) => type)).toEqual(["user", "response", "user", "response"]);
    const ids = [];
    for await (const record of madrox.instances({ role: "architect" })) ids.push(record.instance_id);
    expect(ids).toContain(instance_id);
    await madrox.terminateInstance({ instance_id });
    expect((await madrox.getInstanceStatus({ instance_id })).status.state).toBe("terminated");
    expect(await madrox.health()).toMatchObject({ success: true, status: "healthy" });
  });

  it("bring a workspace as a zip archive", async () => {
    const madrox = connect();
    const { instance_id } = await madrox.spawnInstance({ name: "Ada" });
    await madrox.writeInstanceFile({ instance_id, path: "a/b.txt", content: "text" });
    const zip = new Uint8Array(await (await madrox.workspaceZip(instance_id)).arrayBuffer());
    expect(new TextDecoder().decode(zip.slice(0, 2))).toBe("PK");
  });

  it("send the access key with everything", async () => {
    const { fetch, seen } = failing();
    const madrox = connect({ fetch, accessKey: "key-of-ada" });
    const { instance_id } = await madrox.spawnInstance({ name: "Ada", initial_prompt: "Hello" });
    await madrox.health();
    const { value } = await madrox.stream(instance_id).next();
    expect(value?.event).toBe("status");
    expect(seen.map(({ path }) => path)).toEqual(["/tools/execute", "/health", `/instances/${instance_id}/events`]);
    expect(seen.map(({ headers }) => headers.get("authorization"))).toEqual(seen.map(() => "Bearer key-of-ada"));
  });
});

describe("the client waiting for answers", () => {
  it("asks until there is an answer, with one message", async () => {
    const { open, opened } = gate();
    scriptModel(async () => {
      await opened;
      return { blocks: [{ type: "text", text: "late" }] };
    });
    let calls = 0;
    const madrox = connect({
      // A server that waits not at all, so that the first calls come back without the answer.
      fetch: (url, init) => {
        const body = JSON.parse(String(init.body));
        if (body.tool !== "send_to_instance") return worker(url, init);
        calls += 1;
        if (calls === 3) open();
        if (calls < 3) body.arguments.timeout_seconds = 0;
        return worker(url, { ...init, body: JSON.stringify(body) });
      },
    });
    const { instance_id } = await madrox.spawnInstance({ name: "Ada" });
    const answer = await madrox.ask(instance_id, "A question that takes its time");
    expect(answer.response).toBe("late");
    expect(calls).toBe(3);
    expect(model.callsAbout("A question that takes its time")).toHaveLength(1);
  });

  it("waits for several, and gives up when told", async () => {
    const { open, opened } = gate();
    scriptModel(async ({ lastUserText }) => {
      if (lastUserText.includes("slow")) await opened;
      return undefined;
    });
    const madrox = connect();
    const team = await Promise.all(["Ada", "Bob"].map((name) => madrox.spawnInstance({ name })));
    const sent = await Promise.all(
      team.map(({ instance_id }, i) =>
        madrox.sendToInstance({ instance_id, message: i === 0 ? "quick" : "slow", wait_for_response: false }),
      ),
    );
    const ids = sent.map(({ message_id }) => message_id);
    expect((await madrox.waitUntilDone(ids, { until: "any" })).done).toMatchObject([{ id: ids[0] }]);
    expect((await madrox.waitUntilDone(ids, { timeoutSeconds: 0 })).pending).toMatchObject([{ id: ids[1] }]);
    open();
    const all = await madrox.waitUntilDone(ids);
    expect(all).toMatchObject({ done: [{ status: "completed" }, { status: "completed" }], pending: [] });
  });

  it("does not wait for what can't go on by itself", async () => {
    const madrox = connect();
    const { instance_id } = await madrox.spawnInstance({ name: "Ada", max_cost: 0.000_001 });
    const error = await rejected(madrox.ask(instance_id, "Hello"));
    expect(error).toMatchObject({ code: "budget_exceeded", status: 402, answer: { status: "paused" } });
    const { pending } = await madrox.waitUntilDone([String(error.answer.message_id)]);
    expect(pending).toMatchObject([{ status: "paused" }]);
  });

  it("ends with its signal", async () => {
    scriptModel(() => new Promise(() => undefined));
    const madrox = connect();
    const { instance_id } = await madrox.spawnInstance({ name: "Ada" });
    const end = new AbortController();
    const waiting = madrox.ask(instance_id, "Hello", { signal: end.signal });
    await until(async () => (await madrox.getInstanceStatus({ instance_id })).status.state === "busy");
    end.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    await madrox.terminateInstance({ instance_id, force: true });
  });
});
