/**
 * The client where its users run it beside Node: in pages of the server's own origin and of others, in a page's worker, and in
 * a Worker of Cloudflare's runtime; what a page gets that may not use the server; and real connections that break.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { unstable_startWorker } from "wrangler";
import { MadroxServer } from "../../scripts/local-server.ts";
import { type NodeServer, serve } from "../../scripts/node-server.ts";
import { Madrox, type MadroxEvent } from "../../src/client/index.ts";
import { openBrowser } from "./browser.ts";
import { moduleFor, PROGRAMS, ROOT, SAID, type Target } from "./programs.ts";

const KEY = "mdx_a-key-for-the-tests-of-the-client";
/** How long a page may take before a test gives up; nothing is measured by it. */
const PATIENCE_MS = 60_000;

const folder = realpathSync(mkdtempSync(join(tmpdir(), "madrox-client-")));
const client = join(folder, "node_modules", "madrox", "dist", "client");
/** The servers that pages are for, by the folder of the pages. */
const targets: Record<string, Target> = {};
let pages: NodeServer;
let open: MadroxServer;
let keyed: MadroxServer;
let browser: Browser;

/** The site of the pages, under another name of this machine. */
const siteAs = (host: string) => pages.url.replace("127.0.0.1", host);

/** `/<target>/page.html?<n>` runs a program in the page, `worker.html?<n>` in a worker of it. What it says ends up in `result`. */
function site({ pathname, search }: URL): Response {
  const [, name = "", file = ""] = /^\/([a-z]+)\/(.+)$/.exec(pathname) ?? [];
  const target = targets[name];
  const program = PROGRAMS[Number(search.slice(1)) - 1];
  const script = (text: string) => new Response(text, { headers: { "content-type": "text/javascript" } });
  const html = (text: string) => new Response(`<!doctype html>${text}`, { headers: { "content-type": "text/html" } });
  const told = (how: string) => `.then(({ run }) => run()).then(${how}, (error) => (${how})("failed: " + error))`;
  if (/^client\/[a-z]+\.js$/.test(file))
    return script(readFileSync(join(client, file.slice("client/".length)), "utf8"));
  switch (target && program ? file : "") {
    case "program.js":
      return script(moduleFor(program as string, target as Target));
    case "program-of-worker.js":
      return script(moduleFor(program as string, target as Target, "./client/index.js"));
    case "worker.js":
      return script(`import("./program-of-worker.js${search}")${told("postMessage")};`);
    case "page.html":
      return html(`<script type="importmap">{ "imports": { "madrox/client": "./client/index.js" } }</script>
        <script type="module">import("./program.js${search}")${told("(said) => { globalThis.result = said; }")};</script>`);
    case "worker.html":
      return html(`<script>
        new Worker("worker.js${search}", { type: "module" }).onmessage = ({ data }) => { globalThis.result = data; };</script>`);
    default:
      return html("");
  }
}

async function resultOf(page: Page, url: string): Promise<string> {
  await page.goto(url);
  const result = await page.waitForFunction(() => (globalThis as { result?: string }).result, null, {
    timeout: PATIENCE_MS,
  });
  return String(await result.jsonValue());
}

async function instancesOf(server: MadroxServer): Promise<unknown> {
  const response = await fetch(`${server.url}/instances`, { headers: { authorization: `Bearer ${KEY}` } });
  return ((await response.json()) as { status: { total_instances: number } }).status.total_instances;
}

beforeAll(async () => {
  mkdirSync(client, { recursive: true });
  const tsc = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  execFileSync(process.execPath, [tsc, "-p", "tsconfig.client.json", "--outDir", client], { cwd: ROOT });
  const { exports, type } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as Record<string, unknown>;
  writeFileSync(
    join(folder, "node_modules", "madrox", "package.json"),
    JSON.stringify({ name: "madrox", type, exports }),
  );

  pages = await serve(async (request) => site(new URL(request.url)));
  const env = { ANTHROPIC_API_KEY: "", LOG_LEVEL: "ERROR", MAX_INSTANCES: "1000" };
  open = new MadroxServer({ env });
  keyed = new MadroxServer({
    env: { ...env, ACCESS_KEYS: JSON.stringify({ team: KEY }), ALLOWED_ORIGINS: siteAs("app.example") },
  });
  await Promise.all([open.start(), keyed.start()]);
  targets.open = { url: open.url };
  targets.keyed = { url: keyed.url, accessKey: KEY };
  browser = await openBrowser({ hosts: "*.example" });
});

afterAll(async () => {
  await browser?.close();
  await Promise.all([open?.stop(), keyed?.stop(), pages?.close()]);
  rmSync(folder, { recursive: true, force: true });
});

describe("a program of the README", () => {
  const numbers = PROGRAMS.map((_program, i) => i + 1);
  const everywhere = (places: readonly (readonly [where: string, address: () => string])[]) =>
    places.flatMap(([where, address]) => numbers.map((n) => [n, where, address] as const));

  it.each(
    everywhere([
      ["a page of this machine, without a key", () => `${siteAs("localhost")}/open/page.html`],
      ["a page of an origin that ALLOWED_ORIGINS names", () => `${siteAs("app.example")}/keyed/page.html`],
      ["a worker of such a page", () => `${siteAs("app.example")}/keyed/worker.html`],
    ]),
  )("runs (%i) in %s", async (n, _where, address) => {
    const page = await browser.newPage();
    expect(await resultOf(page, `${address()}?${n}`)).toMatch(SAID);
    await page.close();
  });

  it.each(numbers)("runs (%i) in a page of the server's own origin", async (n) => {
    const page = await browser.newPage();
    await page.route(`${keyed.url}/keyed/**`, async (route) => {
      const response = site(new URL(route.request().url()));
      await route.fulfill({ contentType: response.headers.get("content-type") ?? "", body: await response.text() });
    });
    expect(await resultOf(page, `${keyed.url}/keyed/page.html?${n}`)).toMatch(SAID);
    await page.close();
  });

  it("runs in a Worker", async () => {
    const target = { url: keyed.url, accessKey: KEY };
    for (const n of numbers) writeFileSync(join(folder, `program-${n}.js`), moduleFor(PROGRAMS[n - 1] ?? "", target));
    const imports = numbers.map((n) => `import { run as run${n} } from "./program-${n}.js";`).join("\n");
    const entrypoint = join(folder, "worker.js");
    writeFileSync(
      entrypoint,
      `${imports}
       const programs = [${numbers.map((n) => `run${n}`).join(", ")}];
       export default { fetch: async (request) => new Response(await programs[Number(new URL(request.url).search.slice(1)) - 1]()) };`,
    );
    const worker = await unstable_startWorker({
      name: "user-of-madrox",
      entrypoint,
      compatibilityDate: "2026-11-01",
      dev: { server: { hostname: "127.0.0.1", port: 0 }, inspector: false, watch: false, persist: false },
    });
    try {
      await worker.ready;
      for (const n of numbers) {
        const response = await fetch(new URL(`/?${n}`, await worker.url));
        expect(await response.text()).toMatch(SAID);
      }
    } finally {
      await worker.dispose();
    }
  });
});

describe("a page that may not use the server", () => {
  it.each([
    ["with the right key", () => `${siteAs("evil.example")}/keyed/page.html?1`, () => keyed],
    ["on a server without keys", () => `${siteAs("evil.example")}/open/page.html?1`, () => open],
  ])("reads nothing and changes nothing, %s", async (_name, address, server) => {
    const before = await instancesOf(server());
    const page = await browser.newPage();
    expect(await resultOf(page, address())).toMatch(/^failed: MadroxError: .* gave no answer \(Failed to fetch\)/);
    // What a browser sends without asking first.
    const there = `${server().url}/tools/execute`;
    const answered = page.waitForResponse(there);
    await page.evaluate((action) => {
      const form = Object.assign(document.createElement("form"), { method: "POST", enctype: "text/plain", action });
      const name = '{"tool":"spawn_claude","arguments":{"name":"Mallory';
      form.append(Object.assign(document.createElement("input"), { name, value: '"}}' }));
      document.documentElement.append(form);
      form.submit();
    }, there);
    expect((await answered).status()).toBe(403);
    expect(await instancesOf(server())).toBe(before);
    await page.close();
  });

  it("gets nothing under a name that leads to the server and is not its own", async () => {
    for (const server of [open, keyed]) {
      const page = await browser.newPage({ extraHTTPHeaders: { authorization: `Bearer ${KEY}` } });
      const there = `${server.url.replace("127.0.0.1", "rebound.example")}/instances`;
      const response = await page.goto(there);
      expect(await response?.json()).toMatchObject({ success: false });
      expect(response?.status()).toBe(server === open ? 401 : 403);
      await page.close();
    }
  });
});

describe("over a connection that breaks", () => {
  /**
   * A way to the open server on which the first connections break, each after so many bytes of what comes back: none means
   * at once, before anything was sent on. Returns its URL, and how many connections there were.
   */
  async function breaking(...after: number[]) {
    let count = 0;
    const way = createServer((near) => {
      const bytes = after[count++];
      near.on("error", () => undefined);
      if (bytes === 0) return void near.resetAndDestroy();
      const far = connect(Number(new URL(open.url).port), "127.0.0.1");
      let left = bytes ?? Number.POSITIVE_INFINITY;
      far.on("data", (piece) => {
        near.write(piece.subarray(0, left));
        left -= piece.length;
        if (left <= 0) near.destroySoon();
      });
      near.on("data", (piece) => far.write(piece));
      near.on("close", () => far.destroy());
      far.on("close", () => near.destroy());
      far.on("error", () => near.destroy());
    });
    await new Promise<void>((listening) => way.listen(0, "127.0.0.1", listening));
    onTestFinished(() => void way.close());
    return { url: `http://127.0.0.1:${(way.address() as AddressInfo).port}`, connections: () => count };
  }

  it.each([
    ["at once", 0],
    ["when the server has done it", 1],
    ["in the middle of the answer", 400],
  ])("a change is made once: %s", async (_when, bytes) => {
    const { url, connections } = await breaking(bytes, bytes);
    const before = Number(await instancesOf(open));
    const { instance_id } = await new Madrox({ url }).spawnInstance({ name: "Once" });
    expect(instance_id).toMatch(/^inst_/);
    expect(connections()).toBe(3);
    expect(await instancesOf(open)).toBe(before + 1);
  });

  it("a stream brings each event once", async () => {
    const direct = new Madrox({ url: open.url });
    const { instance_id } = await direct.spawnInstance({ name: "Ada" });
    await direct.ask(instance_id, "Hello");
    await direct.terminateInstance({ instance_id });
    const followed = async (madrox: Madrox) => {
      const events: MadroxEvent[] = [];
      for await (const event of madrox.stream(instance_id)) events.push(event);
      return events;
    };
    const { url, connections } = await breaking(0, 300, 700, 1100);
    expect(await followed(new Madrox({ url }))).toEqual(await followed(direct));
    expect(connections()).toBeGreaterThan(4);
  });

  it("a server that is not there is named", async () => {
    const { url } = await serveAndLeave();
    await expect(new Madrox({ url, retries: 1 }).health()).rejects.toMatchObject({
      code: "network_error",
      message: expect.stringContaining(url),
    });
  });
});

/** A URL at which nobody listens any more. */
async function serveAndLeave(): Promise<{ url: string }> {
  const gone = await serve(async () => new Response());
  await gone.close();
  return gone;
}
