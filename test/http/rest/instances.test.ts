/**
 * The routes over instances: what they show, page by page.
 */
import { beforeEach, describe, expect, it } from "vitest";
import { newInstanceId } from "../../../src/platform/ids.ts";
import { VERSION } from "../../../src/platform/version.ts";
import { CATALOGUE } from "../../../src/tools/runtime/catalogue.ts";
import { jsonSchemaOf } from "../../../src/tools/runtime/tool.ts";
import { type Json, request, send, spawn, tool } from "../../support/door.ts";
import { installModel, scriptModel } from "../../support/model.ts";
import { get, idsOn, type Page, page } from "../../support/pages.ts";
import { overRest, refusedBy } from "../../support/refusals.ts";

installModel();

beforeEach(() => scriptModel(() => undefined));

describe("the routes of instances", () => {
  it("list the catalogue", async () => {
    const { answer } = await get("/tools");
    expect(answer.tools).toEqual(
      CATALOGUE.map((listed) => ({
        name: listed.name,
        title: listed.title,
        description: listed.description,
        input_schema: jsonSchemaOf(listed.input),
        output_schema: jsonSchemaOf(listed.output),
        annotations: listed.annotations,
      })),
    );
  });

  it("tell how the server is, and count its instances", async () => {
    const before = await get("/health");
    expect(before).toMatchObject({ http: 200, answer: { success: true, status: "healthy", version: VERSION } });
    const id = await spawn();
    await spawn();
    await tool("terminate_instance", { instance_id: id });
    const { answer: after } = await get("/health");
    expect(after.total_instances).toBe(Number(before.answer.total_instances) + 2);
    expect(after.active_instances).toBe(Number(before.answer.active_instances) + 1);
  });

  it("give an instance as the tool gives it", async () => {
    const id = await spawn({ role: "debugger" });
    await send(id, "Look at this.");
    const [rest, byTool] = [await get(`/instances/${id}`), await overRest("get_instance_status", { instance_id: id })];
    const still = ({ answer }: { answer: Json }) => ({
      ...answer,
      status: { ...(answer.status as object), uptime_seconds: 0 },
    });
    expect(still(rest)).toEqual(still(byTool));
    expect(rest).toMatchObject({ http: 200, answer: { status: { instance_id: id, role: "debugger" } } });
  });

  it("page through the instances, each once and in the order of their spawning", async () => {
    const parent = await spawn();
    const children: string[] = [];
    for (let i = 0; i < 7; i++) children.push(await spawn({ parent_instance_id: parent }));
    const found: string[] = [];
    const sizes: number[] = [];
    let cursor: string | null = null;
    do {
      const next: Page = await page({ parent_id: parent, limit: 3, ...(cursor === null ? {} : { cursor }) });
      found.push(...idsOn(next));
      sizes.push(idsOn(next).length);
      // One that is spawned meanwhile comes last, and moves no other.
      if (cursor === null) children.push(await spawn({ parent_instance_id: parent }));
      cursor = next.next_cursor;
    } while (cursor !== null);
    expect(found).toEqual(children);
    expect(sizes).toEqual([3, 3, 2]);
  });

  it("end a list that fills its last page exactly", async () => {
    const parent = await spawn();
    await spawn({ parent_instance_id: parent });
    await spawn({ parent_instance_id: parent });
    expect((await page({ parent_id: parent, limit: 2 })).next_cursor).toBeNull();
  });

  it("filter by parent, state and role, and by all at once", async () => {
    const parent = await spawn();
    const under = { parent_instance_id: parent };
    const architect = await spawn({ ...under, role: "architect" });
    const debug = await spawn({ ...under, role: "debugger" });
    const gone = await spawn({ ...under, role: "architect" });
    await tool("terminate_instance", { instance_id: gone });
    const ids = async (query: Record<string, string>) => idsOn(await page({ parent_id: parent, ...query }));
    expect(await ids({})).toEqual([architect, debug, gone]);
    expect(await ids({ state: "terminated" })).toEqual([gone]);
    expect(await ids({ state: "idle" })).toEqual([architect, debug]);
    expect(await ids({ role: "architect" })).toEqual([architect, gone]);
    expect(await ids({ role: "architect", state: "idle" })).toEqual([architect]);
    expect(await ids({ role: "data_analyst" })).toEqual([]);
    expect(idsOn(await page({ parent_id: architect }))).toEqual([]);
  });

  it("keep the totals whole, whatever is filtered", async () => {
    const [all, none] = [await page({ limit: 1 }), await page({ parent_id: newInstanceId() })];
    expect(none.status).toMatchObject({ instances: {}, total_instances: all.status.total_instances });
  });

  it.each([
    "limit=0",
    "limit=-1",
    "limit=1e9",
    "limit=501",
    "limit=1.5",
    "limit=ten",
    "limit=",
    "limit=%",
    "state=sleepy",
    "state=",
    "role=wizard",
    "parent_id=Ada",
    "cursor=17",
    "cursor=",
    "colour=red",
    "__proto__=1",
  ])("refuse the query %s", async (query) => {
    const response = await request(`/instances?${query}`);
    const refusal = await refusedBy(response);
    expect(refusal.error).toBe("invalid_input");
    expect(refusal.message).toContain(query.split("=")[0]);
  });

  it("examine an instance, used or not, working or ended", async () => {
    const id = await spawn();
    const check = async () => {
      const response = await request(`/instances/${id}/health`, { method: "POST" });
      return { http: response.status, ...((await response.json()) as Json) };
    };
    const fine = { http: 200, success: true, instance_id: id, state: "idle", healthy: true, health_score: 1 };
    expect(await check()).toMatchObject({ ...fine, checks: { reachable: true, working: false } });
    await send(id, "Hello.");
    expect(await check()).toMatchObject({ ...fine, checks: { queue_depth: 0, turn_started_at: null } });
    await tool("terminate_instance", { instance_id: id });
    expect(await check()).toMatchObject({ http: 200, success: true, state: "terminated", healthy: false });
  });

  it.each([
    ["GET", (id: string) => `/instances/${id}`],
    ["POST", (id: string) => `/instances/${id}/health`],
  ])("know no instance that isn't there (%s)", async (method, pathOf) => {
    expect((await refusedBy(await request(pathOf(newInstanceId()), { method }))).error).toBe("not_found");
    for (const id of ["Ada", "%00", "%E0%A4%A", "x".repeat(3_000), "inst_"]) {
      const response = await request(pathOf(id), { method });
      await refusedBy(response);
      expect(response.status).toBeLessThan(500);
    }
  });
});
