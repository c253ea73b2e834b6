/**
 * Failed logins, and keys that call too often.
 */
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { type Keyed, keyed, newAddress, newKey } from "../support/keyed.ts";
import { installModel, scriptModel } from "../support/model.ts";
import { login, postToken } from "../support/oauth.ts";
import { ALICE, READER, server } from "../support/tenants.ts";

installModel();

beforeEach(() => scriptModel(() => undefined));

describe("failed logins", () => {
  it("are held up after a hundred of an address, and a right key never is", async () => {
    const from = newAddress();
    const statuses: number[] = [];
    for (let i = 0; i < 1000; i++) {
      const response = await server.request("/tools", { key: `mdx_wrong_${i}_${crypto.randomUUID()}`, from });
      statuses.push(response.status);
      if (response.status === 429) {
        expect(response.headers.get("retry-after")).toBe("60");
        expect(await response.json()).toMatchObject({ error: "limit_reached" });
      }
    }
    expect(new Set(statuses)).toEqual(new Set([401, 429]));
    expect(statuses.indexOf(429)).toBeGreaterThanOrEqual(100);
    expect((await server.request("/tools", { key: ALICE, from })).status).toBe(200);
    expect((await server.request("/tools", { key: newKey() })).status).toBe(401);
  });

  it("of one IPv6 network are one address's", async () => {
    const counted: string[] = [];
    const counting = keyed(
      { alice: ALICE },
      { LOGIN_RATE: { limit: async ({ key }) => ({ success: counted.push(key) > 0 }) } },
    );
    for (const from of ["2001:db8:1:2::1", "2001:db8:1:2:3:4:5:6", "2001:db8::1", "198.51.100.7"])
      await counting.request("/tools", { key: newKey(), from });
    expect(counted).toEqual(["2001:db8:1:2", "2001:db8:1:2", "2001:db8:0:0", "198.51.100.7"]);
  });
});

/** Calls a tool so often, in one request of a client that speaks MCP 2025-03-26, the one revision with batches. */
function postBatch(at: Keyed, messages: number): Promise<Response> {
  const call = { method: "tools/call", params: { name: "get_instance_status", arguments: { limit: 1 } } };
  return at.request("/mcp", {
    method: "POST",
    key: ALICE,
    headers: {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "mcp-protocol-version": "2025-03-26",
    },
    body: JSON.stringify(Array.from({ length: messages }, (_, id) => ({ jsonrpc: "2.0", id, ...call }))),
  });
}

describe("a key", () => {
  it("that calls too often is told to wait, under its name and not as itself", async () => {
    const counted: string[] = [];
    const limited = keyed(
      { alice: ALICE },
      { KEY_RATE: { limit: async ({ key }) => ({ success: counted.push(key) <= 2 }) } },
    );
    const statuses = [];
    for (let i = 0; i < 3; i++) statuses.push((await limited.request("/tools", { key: ALICE })).status);
    expect(statuses).toEqual([200, 200, 429]);
    expect(new Set(counted)).toEqual(new Set([expect.stringMatching(/^[0-9a-f]{8}$/)]));
  });

  it.each([1, 2, 100])("that calls with a batch of %i messages over MCP has called so often", async (messages) => {
    let counted = 0;
    const counting = keyed({ alice: ALICE }, { KEY_RATE: { limit: async () => ({ success: ++counted > 0 }) } });
    const response = await postBatch(counting, messages);
    expect(response.status).toBe(200);
    expect((await response.text()).match(/structuredContent/g)).toHaveLength(messages);
    expect(counted).toBe(messages);
  });

  it("runs nothing of a batch that goes over its limit, or of one that is too long", async () => {
    let left = 50;
    const limited = keyed({ alice: ALICE }, { KEY_RATE: { limit: async () => ({ success: left-- > 0 }) } });
    const [over, long] = [await postBatch(limited, 51), await postBatch(server, 101)];
    expect(over.status).toBe(429);
    expect(over.headers.get("retry-after")).toBe("60");
    expect(await over.json()).toMatchObject({ error: "limit_reached" });
    expect(long.status).toBe(413);
    expect(await long.text()).not.toContain("structuredContent");
  });

  it("is in no log line and no answer, and neither is a token", async () => {
    const lines: string[] = [];
    for (const level of ["log", "warn", "error", "debug", "info"] as const) {
      const spy = vi.spyOn(console, level).mockImplementation((...words) => void lines.push(words.join(" ")));
      onTestFinished(() => spy.mockRestore());
    }
    const loud = keyed({ alice: ALICE, bob: { key: READER, scopes: ["read"] } }, { LOG_LEVEL: "DEBUG" });
    const { tokens, code } = await login(loud, ALICE);
    const wrong = newKey();
    const answers = [
      await loud.tool(ALICE, "get_instance_status", {}),
      await loud.tool(ALICE, "no_such_tool", {}),
      await loud.tool(READER, "spawn_claude", { name: "Ada" }),
      await loud.tool(tokens.access_token, "get_instance_status", {}),
      await loud.tool(wrong, "get_instance_status", {}),
      await (await postToken(loud, { grant_type: "refresh_token", refresh_token: tokens.access_token })).json(),
    ];
    expect(lines.join("\n")).toContain("tool.called");
    const seen = lines.join("\n") + JSON.stringify(answers);
    for (const secret of [ALICE, READER, wrong, tokens.access_token, tokens.refresh_token, code])
      expect(seen).not.toContain(secret);
  });
});
