/**
 * What every answer carries, and what no request may bring in.
 */
import { beforeEach, describe, expect, it } from "vitest";
import { withoutAgentHeaders } from "../../src/http/security-headers.ts";
import { keyed, newKey } from "../support/keyed.ts";
import { installModel, scriptModel } from "../support/model.ts";
import { ALICE } from "../support/tenants.ts";

installModel();

beforeEach(() => scriptModel(() => undefined));

describe("every answer", () => {
  it("tells browsers to trust it with nothing", async () => {
    const there = keyed({ alice: ALICE }, {}, "https://madrox.alice.workers.dev");
    const id = String((await there.tool(ALICE, "spawn_claude", { name: "Ada" })).instance_id);
    await there.tool(ALICE, "write_instance_file", { instance_id: id, path: "a.html", content: "<script>1</script>" });
    const paths = ["/health", "/tools", "/metrics", "/nope", "/events", "/authorize", `/instances/${id}/files/a.html`];
    for (const path of paths) {
      for (const key of [ALICE, newKey()]) {
        const response = await there.request(path, { key });
        await response.body?.cancel();
        const { headers } = response;
        expect(headers.get("content-security-policy"), path).toMatch(/default-src 'none'/);
        expect(headers.get("x-content-type-options"), path).toBe("nosniff");
        expect(headers.get("x-frame-options"), path).toBe("DENY");
        expect(headers.get("strict-transport-security"), path).toMatch(/^max-age=\d+/);
        expect(headers.has("referrer-policy"), path).toBe(true);
        expect(headers.get("cache-control"), path).toMatch(/no-store|no-cache/);
        expect(headers.has("x-powered-by"), path).toBe(false);
      }
    }
  });

  it("is to a request without the headers that name callers inside", async () => {
    const request = new Request("http://localhost/", {
      method: "POST",
      body: "kept",
      headers: { "X-Agents-Props": "{}", "x-agents-anything": "1", "x-other": "kept" },
    });
    const clean = withoutAgentHeaders(request);
    expect([...clean.headers.keys()].filter((name) => name.startsWith("x-agents-"))).toEqual([]);
    expect(clean.headers.get("x-other")).toBe("kept");
    expect(await clean.text()).toBe("kept");
  });
});
