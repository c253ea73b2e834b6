/**
 * The OpenAPI document against the server that it describes.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { OpenApi } from "../../../src/http/openapi/document.ts";
import { EXAMPLE_INSTANCE, EXAMPLE_MESSAGE, EXAMPLES } from "../../../src/http/openapi/examples.ts";
import { ERROR_STATUS } from "../../../src/platform/errors.ts";
import { CATALOGUE } from "../../../src/tools/runtime/catalogue.ts";
import { request, spawn } from "../../support/door.ts";
import { installModel, scriptModel } from "../../support/model.ts";

installModel();
beforeEach(() => scriptModel(() => undefined));
afterEach(() => scriptModel(() => undefined));

const document = async () => (await (await request("/openapi.json")).json()) as OpenApi;

const post = (path: string, body: unknown) =>
  request(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

/** What a value is made of: the names of its fields and the types of its leaves. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shapeOf);
  if (typeof value !== "object" || value === null) return value === null ? "null" : typeof value;
  // Says of itself that it is simulated; a model's answer does not.
  const entries = Object.entries(value).filter(([name]) => name !== "simulated");
  return Object.fromEntries(
    entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, inner]) => [name, shapeOf(inner)]),
  );
}

describe("the OpenAPI document", () => {
  it("has every tool, and only operations that are served", async () => {
    const { paths } = await document();
    for (const { name } of CATALOGUE) expect(paths[`/tools/${name}`]?.post?.operationId).toBe(name);
    for (const [path, methods] of Object.entries(paths)) {
      const there = path.replace("{id}", EXAMPLE_INSTANCE).replace("{path}", "a").replace("{name}", "a");
      const response = await request(there, { method: "PATCH" });
      expect(response.status, path).toBe(405);
      const allow = response.headers.get("allow")?.toLowerCase().split(", ");
      expect(allow, path).toEqual(expect.arrayContaining(Object.keys(methods)));
    }
  });

  it("names each operation once, and each error code with its status", async () => {
    const { paths, components } = await document();
    const ids = Object.values(paths).flatMap((methods) => Object.values(methods).map(({ operationId }) => operationId));
    expect(new Set(ids).size).toBe(ids.length);
    for (const [code, status] of Object.entries(ERROR_STATUS)) {
      expect(components.responses[`Error${status}`]?.description).toContain(code);
    }
  });

  it("shows examples that are so", async () => {
    const { paths } = await document();
    let instance = "";
    const live = (value: unknown) =>
      JSON.parse(
        JSON.stringify(value)
          .replaceAll(EXAMPLE_MESSAGE, `msg_${instance.slice("inst_".length)}_1`)
          .replaceAll(EXAMPLE_INSTANCE, instance),
      );
    for (const { tool, request: example, answer } of EXAMPLES) {
      const response = await post(`/tools/${tool}`, live(example));
      const got = (await response.json()) as Record<string, unknown>;
      if (tool === "spawn_claude") instance = String(got.instance_id);
      expect(shapeOf(got), tool).toEqual(shapeOf(answer));
      expect(response.status).toBe(200);
      const operation = paths[`/tools/${tool}`]?.post;
      expect(operation?.requestBody?.content["application/json"]?.example).toEqual(example);
    }
  });

  it("is a page to read, in which nothing runs", async () => {
    const response = await request("/docs");
    expect(response.headers.get("content-security-policy")).toMatch(/^default-src 'none'; style-src 'nonce-[^']+';/);
    const page = await response.text();
    expect(page).not.toMatch(/<script|https?:\/\/(?!localhost)/);
    for (const { name } of CATALOGUE) expect(page).toContain(`/tools/${name}`);
  });

  it("comes with a picture of the server", async () => {
    for (const path of ["/favicon.ico", "/favicon.svg"]) {
      const response = await request(path);
      expect(response.headers.get("content-type")).toBe("image/svg+xml");
      expect(await response.text()).toMatch(/^<svg/);
    }
  });
});

describe("a tool by its path", () => {
  it("answers as over /tools/execute", async () => {
    const id = await spawn();
    const answer = await (await post("/tools/get_instance_status", { instance_id: id })).json();
    expect(answer).toMatchObject({ success: true, status: { instance_id: id } });
    expect((await post("/tools/no_such_tool", {})).status).toBe(404);
    expect((await post("/tools/spawn_claude", {})).status).toBe(400);
    expect((await request("/tools/spawn_claude")).status).toBe(405);
  });

  it("honours the idempotency key of the header", async () => {
    const init = {
      method: "POST",
      headers: { "content-type": "application/json", "idempotency-key": crypto.randomUUID() },
      body: JSON.stringify({ name: "Once" }),
    };
    const [first, second] = [await request("/tools/spawn_claude", init), await request("/tools/spawn_claude", init)];
    expect(await second.json()).toEqual(await first.json());
  });
});
