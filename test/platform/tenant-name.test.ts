/**
 * Names of tenants: each that is allowed works everywhere that a name goes, and each that is not is refused wherever one enters.
 */
import { env } from "cloudflare:workers";
import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { parseAccessKeys } from "../../src/auth/keys.ts";
import { configFor, configOf } from "../../src/config/config.ts";
import { newInstanceId } from "../../src/platform/ids.ts";
import { isTenantName, MAX_TENANT_NAME } from "../../src/platform/tenant-name.ts";
import { prefixOf } from "../../src/workspace/keys.ts";
import { until } from "../support/door.ts";
import { jobWith, keyed, newKey } from "../support/keyed.ts";
import { installModel, scriptModel } from "../support/model.ts";
import { login, refresh, type Tokens } from "../support/oauth.ts";
import { BUCKET } from "../support/workspace.ts";

installModel();
beforeEach(() => scriptModel(() => undefined));

const LETTERS = "abcdefghijklmnopqrstuvwxyz";
const ALPHABET = [...LETTERS, ...LETTERS.toUpperCase(), ..."0123456789_-"];

/** Names of each length and beginning at which something could end. */
const AT_THE_BORDER = [..."a0_-"].flatMap((first) => [1, 31, MAX_TENANT_NAME].map((length) => first.repeat(length)));

/** Those, names that mean something elsewhere, and names at random. */
const NAMES = [
  ...AT_THE_BORDER,
  ...["a-", "a_", "--help", "constructor", "toString", "null", "undefined", "default-", "server", "0x1", "1e9"],
  ...fc.sample(fc.string({ unit: fc.constantFrom(...ALPHABET), minLength: 2, maxLength: MAX_TENANT_NAME }), {
    numRuns: 50,
    seed: 20_261_129,
  }),
].filter((name, i, all) => all.indexOf(name) === i && name !== "__proto__");

const WRONG = [
  "",
  "x".repeat(MAX_TENANT_NAME + 1),
  "a/b",
  "a.b",
  "a b",
  "ä",
  "a\n",
  "\0",
  "..",
  "__proto__",
  "a:b",
  "a%2fb",
];

const jsonOf = (name: string, value: string) => `{${JSON.stringify(name)}:${JSON.stringify(value)}}`;

describe("a tenant's name", () => {
  it.each(NAMES)("%s is taken wherever a name enters", (name) => {
    expect(isTenantName(name)).toBe(true);
    expect(parseAccessKeys(jsonOf(name, newKey()))).toMatchObject({ ok: true, keys: [{ tenant: name }] });
    const config = configFor({ ...env, ANTHROPIC_API_KEYS: jsonOf(name, "a-key") }, name);
    expect(config.anthropicApiKey).toBe("a-key");
    const id = newInstanceId();
    expect(prefixOf("p", name, id)).toBe(`p/${name}/${id}/`);
  });

  it.each(WRONG)("%j is refused wherever a name enters", (name) => {
    expect(isTenantName(name)).toBe(false);
    const beside = `{"right":"${newKey()}",${jsonOf(name, newKey()).slice(1)}`;
    expect(parseAccessKeys(beside)).toMatchObject({ ok: false, problem: expect.stringContaining("tenant") });
    expect(() => configOf({ ...env, ANTHROPIC_API_KEYS: jsonOf(name, "a-key") })).toThrow(/ANTHROPIC_API_KEYS/);
    expect(() => prefixOf("p", name, newInstanceId())).toThrow();
  });

  it.each([...AT_THE_BORDER, "constructor"])(
    "%s works: instances, messages, files, jobs, logs and logins",
    async (tenant) => {
      const key = newKey();
      const server = keyed({ [tenant]: key });
      const of = (name: string, input: Record<string, unknown>) => server.tool(key, name, input);
      const id = String((await of("spawn_claude", { name: "Ada" })).instance_id);
      const sent = await of("send_to_instance", { instance_id: id, message: "Hello." });
      expect(sent).toMatchObject({ success: true, status: "completed" });
      const path = `${"f/".repeat(3)}${"é".repeat(100)}.txt`;
      expect(await of("write_instance_file", { instance_id: id, path, content: "words" })).toMatchObject({
        success: true,
      });
      const put = await server.request(`/instances/${id}/files/b.txt`, { method: "PUT", key, body: "more" });
      expect(put.status).toBe(201);
      const job = await jobWith(server, key, id);
      expect(await of("wait", { ids: [job], timeout_seconds: 50 })).toMatchObject({ success: true });

      const { clientId, tokens } = await login(server, key);
      const next = (await (await refresh(server, clientId, tokens.refresh_token)).json()) as Tokens;
      for (const token of [key, tokens.access_token, next.access_token]) {
        const answer = await server.mcpTool(token, "get_instance_status", { instance_id: id });
        expect(answer).toMatchObject({
          status: { instance_id: id, workspace_prefix: `claude_orchestrator/${tenant}/${id}/` },
        });
      }

      expect(await of("terminate_instance", { instance_id: id })).toMatchObject({ success: true });
      const prefix = `claude_orchestrator/${tenant}/${id}/`;
      await until(async () => (await BUCKET.list({ prefix })).objects.length === 2);
      expect(await of("retrieve_instance_file", { instance_id: id, path })).toMatchObject({ content: "words" });
      for (const there of ["/audit", "/ledger", "/spend", "/health", "/metrics"]) {
        const response = await server.request(there, { key });
        expect(response.status, there).toBe(200);
        expect((await response.text()).length, there).toBeGreaterThan(0);
      }
    },
  );
});
