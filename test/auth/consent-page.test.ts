/**
 * The consent page, as a person and a browser meet it.
 */
import { describe, expect, it } from "vitest";
import { keyed, newKey } from "../support/keyed.ts";
import { authorizePath, comesBackWith, decide, newPkce, pageOf, register } from "../support/oauth.ts";
import { KEY, KEYS, page, server } from "../support/oauth-server.ts";

describe("the consent page", () => {
  it("shows who asks for what, and where the answer goes", async () => {
    const { html, status } = await page({ scope: "read" }, { client_name: "Claude" });
    expect(status).toBe(200);
    expect(html).toContain("<strong>Claude</strong>");
    expect(html).toContain("nobody has checked it");
    expect(html).toMatch(/Access is sent to: <strong>localhost<\/strong>/);
    expect(html).toContain("on your own computer");
    expect(html.match(/value="(read|operate|admin)" checked/g)).toEqual(['value="read" checked']);
    expect(html).toContain('name="viewport"');
  });

  it("takes what a client says about itself as text", async () => {
    const { html } = await page({}, { client_name: `<script>alert(1)</script>"'\u202e${"long ".repeat(100)}` });
    expect(html).not.toContain("<script");
    expect(html).toContain("&lt;script&gt;");
    expect(html).not.toContain("\u202e");
    expect(html).not.toContain("long ".repeat(30));
  });

  it("can't be framed, runs nothing, and sends its form nowhere else", async () => {
    const { headers } = await page();
    const csp = headers.get("content-security-policy") ?? "";
    expect(csp).toMatch(
      /^default-src 'none'; style-src 'nonce-[\w-]+'; form-action 'self' http:\/\/localhost:7777; base-uri 'none'; frame-ancestors 'none'$/,
    );
    expect(headers.get("x-frame-options")).toBe("DENY");
    expect(headers.get("cache-control")).toBe("no-store");
    const cookie = headers.get("set-cookie") ?? "";
    expect(cookie).toMatch(/^__Host-.*; Secure; HttpOnly; SameSite=Lax/);
  });

  it("can't be answered by another page, in another browser, or twice", async () => {
    const asked = await page();
    const foreign = await decide(server, asked, { key: KEY }, { origin: "https://evil.example" });
    expect(foreign.status).toBe(403);
    for (const stolen of [
      { handle: asked.handle, cookie: "" },
      { handle: asked.handle, cookie: (await page()).cookie },
      { handle: "", cookie: asked.cookie },
      { handle: "x".repeat(43), cookie: asked.cookie },
    ]) {
      const response = await decide(server, stolen, { key: KEY });
      expect(response.status).toBe(400);
      expect(response.headers.has("location")).toBe(false);
    }
    expect(comesBackWith(await decide(server, asked, { key: KEY })).code).toBeTruthy();
    const again = await decide(server, asked, { key: KEY });
    expect(again.status).toBe(400);
    expect(again.headers.has("location")).toBe(false);
  });

  it("asks again after a wrong key, and counts it as a failed login", async () => {
    const counted: string[] = [];
    const counting = keyed(KEYS, { LOGIN_RATE: { limit: async ({ key }) => ({ success: counted.push(key) > 0 }) } });
    const clientId = await register(counting);
    const pkce = await newPkce();
    const first = await pageOf(await counting.request(authorizePath(clientId, pkce)));
    counted.length = 0;
    const wrong = await decide(counting, first, { key: newKey(), scopes: ["read"] });
    expect(wrong.status).toBe(403);
    expect(counted).toHaveLength(1);
    const second = await pageOf(wrong);
    expect(second.html).toContain("no access key of this server");
    expect(second.html.match(/value="\w+" checked/g)).toEqual(['value="read" checked']);
    expect(comesBackWith(await decide(counting, second, { key: KEY }))).toMatchObject({ state: "the-state" });
  });

  it("sends a refusal back to the client, without a key", async () => {
    const asked = await page();
    expect(comesBackWith(await decide(server, asked, { decision: "deny" }))).toMatchObject({
      error: "access_denied",
      state: "the-state",
      iss: "http://localhost",
    });
  });
});
