/**
 * `npm start` as a program: how it starts, what it says when it can't, how it ends, whom it shares its data with; and that all
 * kinds of traffic pass its listener: sockets, streams, large files, callers that go away or do not read.
 */
import { execFileSync, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { unstable_startWorker } from "wrangler";
import { MadroxServer } from "../../scripts/local-server.ts";
import { type NodeServer, serve } from "../../scripts/node-server.ts";
import { createSimulator } from "../../src/anthropic/simulator/simulator.ts";
import { Madrox } from "../../src/client/index.ts";
import { openSocket, rawRequest, sendRaw } from "./raw-http.ts";

/** The product with a build that takes a second. */
const CONFIG = "test/entry/wrangler.toml";
const QUIET = { ANTHROPIC_API_KEY: "", ACCESS_KEYS: "", LOG_LEVEL: "ERROR" };
const MEBIBYTE = 1024 * 1024;
/** How long something may take that takes no time. */
const SOON_MS = 10_000;

function server(options: ConstructorParameters<typeof MadroxServer>[0] = {}): MadroxServer {
  const made = new MadroxServer({ config: CONFIG, ...options, env: { ...QUIET, ...options.env } });
  onTestFinished(() => made.stop());
  return made;
}

/** A start that is to fail: its exit code, and what it said. */
async function failedStart(env: Record<string, string>): Promise<{ code: number | null; said: string }> {
  const child = spawn(process.execPath, ["scripts/start.ts"], {
    env: { ...process.env, MADROX_CONFIG: CONFIG, MADROX_STATE: temporary(), ...QUIET, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (said += chunk.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, said };
}

function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), "madrox-start-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The processes of a group with their commands. */
function processesOf(group: number): { pid: number; command: string }[] {
  return execFileSync("ps", ["-eo", "pid=,pgid=,args="], { encoding: "utf8" })
    .split("\n")
    .flatMap((line) => {
      const [, pid, pgid, command = ""] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? [];
      return Number(pgid) === group ? [{ pid: Number(pid), command }] : [];
    });
}

const runtimeOf = (group: number) =>
  processesOf(group).find(({ command }) => /workerd serve/.test(command) && !command.startsWith("/bin/sh"))?.pid;

describe("a start", () => {
  it("builds nothing, says so, and says little when nothing has changed", async () => {
    await server().start();
    const again = server();
    await again.start();
    expect(again.log).toContain("nothing that it is made of has changed");
    expect(again.log).not.toContain("Building");
    expect(again.log.trim().split("\n").length).toBeLessThan(15);
  });

  it("builds anew when a source has changed", async () => {
    const folder = temporary();
    const write = (version: number) =>
      writeFileSync(
        join(folder, "worker.ts"),
        `export default { fetch: () => Response.json({ version: ${version} }) };`,
      );
    const config = join(folder, "wrangler.toml");
    writeFileSync(config, 'name = "changing"\nmain = "worker.ts"\ncompatibility_date = "2026-11-01"\n');
    const served = async () => {
      const changing = server({ config });
      await changing.start();
      const answer = await fetch(`${changing.url}/health`);
      await changing.stop();
      return [await answer.json(), changing.log.includes("Building")];
    };
    write(1);
    expect(await served()).toEqual([{ version: 1 }, true]);
    expect(await served()).toEqual([{ version: 1 }, false]);
    write(2);
    expect(await served()).toEqual([{ version: 2 }, true]);
    write(1);
    expect(await served()).toEqual([{ version: 1 }, false]);
  });

  it("passes on what the configuration binds: the stores, the limits, the pages", async () => {
    const madrox = server({ config: "wrangler.toml" });
    await madrox.start();
    const { instance_id: id } = await madrox.tool("spawn_claude", { name: "Ada" });
    await madrox.tool("write_instance_file", { instance_id: id, path: "a.txt", content: "kept in R2" });
    await madrox.tool("terminate_instance", { instance_id: id });
    expect(await madrox.tool("retrieve_instance_file", { instance_id: id, path: "a.txt" })).toMatchObject({
      content: "kept in R2",
    });
    expect(readdirSync(join(madrox.state, "v3")).toSorted()).toEqual(["cache", "do", "kv", "r2", "ratelimit"]);
    const page = await fetch(`${madrox.url}/dashboard`);
    expect([page.status, page.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
    const [script = ""] = /\/dashboard\/assets\/[^"]+\.js/.exec(await page.text()) ?? [];
    const asset = await fetch(madrox.url + script);
    expect([asset.status, asset.headers.get("cache-control")]).toEqual([200, expect.stringContaining("immutable")]);
  });

  it.each([
    ["a port that is none", { ORCHESTRATOR_PORT: "80801" }, "ORCHESTRATOR_PORT is 80801"],
    ["an address of others, without keys", { ORCHESTRATOR_HOST: "0.0.0.0" }, "only serves this machine"],
    [
      "an address that the machine doesn't have",
      { ORCHESTRATOR_HOST: "203.0.113.7", ACCESS_KEYS: '{"a":"b"}' },
      "203.0.113.7",
    ],
    ["keys that are none", { ORCHESTRATOR_PORT: "18399", ACCESS_KEYS: '{"team":"short"}' }, "ACCESS_KEYS"],
    ["a configuration that is not there", { MADROX_CONFIG: "test/none.toml", ORCHESTRATOR_PORT: "18399" }, "none.toml"],
  ])("ends with a word about %s", async (_what, env: Record<string, string>, word) => {
    const { code, said } = await failedStart(env);
    expect(code).toBeGreaterThan(0);
    expect(said).toContain(word);
    expect(said).not.toMatch(/^ {4}at /m);
  });

  it("ends with a word about a port that somebody else has", async () => {
    const other = createServer();
    await new Promise<void>((listening) => other.listen(0, "127.0.0.1", listening));
    onTestFinished(() => void other.close());
    const { port } = other.address() as { port: number };
    const { code, said } = await failedStart({ ORCHESTRATOR_PORT: String(port) });
    expect([code, said]).toEqual([2, expect.stringContaining(`Port ${port} is taken`)]);
  });

  it("leaves data alone that another server uses, and takes them over when that is gone", async () => {
    const first = server();
    await first.start();
    const { code, said } = await failedStart({ ORCHESTRATOR_PORT: "18399", MADROX_STATE: first.state });
    expect([code, said]).toEqual([2, expect.stringMatching(/Another server, at http:\S+ \(process \d+\), uses /)]);
    await first.kill();
    const second = server({ state: first.state });
    await second.start();
    expect(second.log).toContain("Madrox is ready");
  });

  it("uses the data of `wrangler dev`, and the other way round", async () => {
    const madrox = server();
    const dev = async <T>(use: (url: string) => Promise<T>): Promise<T> => {
      const worker = await unstable_startWorker({
        config: CONFIG,
        bindings: { ANTHROPIC_API_KEY: { type: "plain_text", value: "" } },
        dev: { server: { hostname: "127.0.0.1", port: 0 }, inspector: false, watch: false, persist: madrox.state },
      });
      try {
        await worker.ready;
        return await use(String(await worker.url).replace(/\/$/, ""));
      } finally {
        await worker.dispose();
      }
    };
    const ended = async (url: string, name: string) => {
      const client = new Madrox({ url });
      const { instance_id } = await client.spawnInstance({ name });
      await client.writeInstanceFile({ instance_id, path: "a.txt", content: name });
      await client.terminateInstance({ instance_id });
      return instance_id;
    };
    const contentOf = async (url: string, instance_id: string) =>
      (await new Madrox({ url }).retrieveInstanceFile({ instance_id, path: "a.txt" })).content;

    const ada = await dev((url) => ended(url, "Ada"));
    await madrox.start();
    expect(await contentOf(madrox.url, ada)).toBe("Ada");
    const bob = await ended(madrox.url, "Bob");
    await madrox.end("SIGTERM");
    expect(await dev((url) => contentOf(url, bob))).toBe("Bob");
  });
});

describe("an end", () => {
  /** A model that answers when it is told to. */
  async function slowModel(): Promise<{ env: Record<string, string>; asked: Promise<void>; answer: () => void }> {
    const asked = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    const simulator = createSimulator();
    const model: NodeServer = await serve(async (request) => {
      asked.resolve();
      await go.promise;
      return simulator.handle(request);
    });
    onTestFinished(() => model.close());
    return {
      env: { ANTHROPIC_API_KEY: "a-key-for-tests", ANTHROPIC_BASE_URL: model.url },
      asked: asked.promise,
      answer: () => go.resolve(),
    };
  }

  it.each([
    ["SIGTERM", "the server's process", (pid: number) => pid],
    ["SIGINT", "all of the terminal's processes", (pid: number) => -pid],
  ] as const)(
    "by %s to %s lets a request under way finish, and is one without a fault",
    async (signal, _to, target) => {
      const model = await slowModel();
      const madrox = server({ env: model.env });
      await madrox.start();
      const { instance_id } = await madrox.tool("spawn_claude", { name: "Ada" });
      const sent = madrox.tool("send_to_instance", { instance_id, message: "Hello" });
      await model.asked;
      const group = madrox.pid;
      const code = madrox.end(signal, target(group));
      await pause(300);
      model.answer();
      expect(await sent).toMatchObject({ status: "completed" });
      expect(await code).toBe(0);
      expect(processesOf(group)).toEqual([]);
    },
  );

  it("does not wait for a stream that goes on for ever", async () => {
    const madrox = server();
    await madrox.start();
    const { instance_id } = await madrox.tool("spawn_claude", { name: "Ada" });
    const stream = await fetch(`${madrox.url}/instances/${instance_id}/events`);
    const began = Date.now();
    expect(await madrox.end("SIGTERM")).toBe(0);
    expect(Date.now() - began).toBeLessThan(SOON_MS);
    await stream.body?.cancel().catch(() => undefined);
  });

  it.skipIf(process.platform === "win32")(
    "by SIGKILL of the server's process alone leaves no runtime behind",
    async () => {
      const madrox = server();
      await madrox.start();
      const group = madrox.pid;
      expect(runtimeOf(group)).toBeGreaterThan(0);
      await madrox.end("SIGKILL");
      await expect.poll(() => processesOf(group), { timeout: SOON_MS }).toEqual([]);
    },
  );

  it("of the runtime alone is followed by a new one, on the same data", async () => {
    const madrox = server();
    await madrox.start();
    const { instance_id } = await madrox.tool("spawn_claude", { name: "Ada" });
    process.kill(runtimeOf(madrox.pid) ?? Number.NaN, "SIGKILL");
    await expect
      .poll(async () => (await fetch(`${madrox.url}/instances/${instance_id}`).catch(() => null))?.status, {
        timeout: SOON_MS,
      })
      .toBe(200);
    expect(madrox.log).toContain("It is started again");
  });
});

describe("through the listener", () => {
  let madrox: MadroxServer;
  let id: string;

  beforeAll(async () => {
    madrox = new MadroxServer({ config: CONFIG, env: { ...QUIET, SIMULATOR_CHUNK_DELAY_MS: "150" } });
    await madrox.start();
    ({ instance_id: id } = (await madrox.tool("spawn_claude", { name: "Ada" })) as { instance_id: string });
  });
  afterAll(() => madrox.stop());

  /** Stores random bytes as a file; returns its path and its hash. */
  async function stored(name: string, bytes: number): Promise<{ path: string; hash: string }> {
    const content = randomBytes(bytes);
    const path = `/instances/${id}/files/${name}`;
    const response = await fetch(madrox.url + path, { method: "PUT", body: content });
    expect(response.status).toBe(201);
    return { path, hash: createHash("sha256").update(content).digest("hex") };
  }

  it("a WebSocket talks both ways", async () => {
    const socket = new WebSocket(`${madrox.url.replace("http", "ws")}/live`, ["madrox.live"]);
    onTestFinished(() => socket.close());
    await new Promise((opened) => socket.addEventListener("open", opened));
    expect(socket.protocol).toBe("madrox.live");
    const frames: { events: { kind: string }[] }[] = [];
    socket.addEventListener("message", ({ data }) => frames.push(JSON.parse(String(data))));
    socket.send(JSON.stringify({ type: "follow", after: null }));
    await expect.poll(() => frames.length).toBeGreaterThan(0);
    await madrox.tool("write_instance_file", { instance_id: id, path: "seen.txt", content: "live" });
    const before = frames.length;
    await madrox.tool("spawn_claude", { name: "Bob" });
    await expect.poll(() => frames.length).toBeGreaterThan(before);
  });

  it("a socket is refused where there is none", async () => {
    const upgrade = {
      Upgrade: "websocket",
      "Sec-WebSocket-Version": "13",
      "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    };
    for (const [path, status] of [
      ["/cdn-cgi/local/explorer/api", 404],
      ["/nothing", 404],
    ] as const) {
      const text = rawRequest("GET", path, upgrade).replace("Connection: close", "Connection: close, Upgrade");
      expect((await sendRaw(madrox.url, text)).status, path).toBe(status);
    }
  });

  it("a stream comes as it is written, and not at its end", async () => {
    const client = new Madrox({ url: madrox.url });
    const arrivals: number[] = [];
    let completed = 0;
    await client.sendToInstance({ instance_id: id, message: "Say a few words.", wait_for_response: false });
    for await (const { event, data } of client.stream(id)) {
      if (event === "text") arrivals.push(Date.now());
      if (data.kind === "message.completed") completed = Date.now();
      if (completed) break;
    }
    expect(arrivals.length).toBeGreaterThan(1);
    expect(completed - (arrivals[0] ?? completed)).toBeGreaterThan(100);
  });

  it("a large file goes in and comes out whole, in pieces too", async () => {
    const { path, hash } = await stored("large.bin", 40 * MEBIBYTE);
    const all = Buffer.from(await (await fetch(madrox.url + path)).arrayBuffer());
    expect(createHash("sha256").update(all).digest("hex")).toBe(hash);
    const part = await fetch(madrox.url + path, { headers: { range: "bytes=1000000-1000099" } });
    expect([part.status, Buffer.from(await part.arrayBuffer())]).toEqual([206, all.subarray(1_000_000, 1_000_100)]);
  });

  it("a body without a length, and one that waits for leave, are taken", async () => {
    const chunked = rawRequest("PUT", `/instances/${id}/files/chunked.txt`, { "Transfer-Encoding": "chunked" });
    expect((await sendRaw(madrox.url, `${chunked}5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n`)).status).toBe(201);
    expect(await (await fetch(`${madrox.url}/instances/${id}/files/chunked.txt`)).text()).toBe("hello world");

    const socket = openSocket(madrox.url);
    onTestFinished(() => void socket.destroy());
    const head = rawRequest("PUT", `/instances/${id}/files/waited.txt`, {
      "Content-Length": "5",
      Expect: "100-continue",
    });
    socket.write(head);
    const [leave] = (await once(socket, "data")) as [Buffer];
    expect(leave.toString()).toMatch(/^HTTP\/1\.1 100 Continue\r\n/);
    socket.write("hello");
    let said = leave.toString();
    socket.on("data", (chunk: Buffer) => (said += chunk.toString()));
    await once(socket, "end");
    expect(said).toMatch(/HTTP\/1\.1 201 /);
  });

  it("HEAD says what GET would, without it, on a connection that goes on", async () => {
    const path = `/instances/${id}/files/chunked.txt`;
    const head = rawRequest("HEAD", path).replace("Connection: close\r\n", "");
    const { head: first, body } = await sendRaw(madrox.url, head + rawRequest("GET", path));
    expect(first).toMatch(/^HTTP\/1\.1 200[\s\S]*content-length: 11/i);
    expect(body).toMatch(/^HTTP\/1\.1 200[\s\S]*\r\n\r\nhello world$/);
  });

  it("a caller that goes away in the middle of a body has changed nothing", async () => {
    const socket = openSocket(madrox.url);
    socket.on("error", () => undefined);
    socket.write(rawRequest("PUT", `/instances/${id}/files/half.bin`, { "Content-Length": String(MEBIBYTE) }));
    socket.write(Buffer.alloc(MEBIBYTE / 2));
    await pause(200);
    socket.resetAndDestroy();
    await pause(200);
    expect((await fetch(`${madrox.url}/instances/${id}/files/half.bin`)).status).toBe(404);
    expect((await fetch(`${madrox.url}/health`)).status).toBe(200);
  });

  it.runIf(process.platform === "linux")("callers that do not read hold up no memory", async () => {
    const CALLERS = 16;
    const { path } = await stored("unread.bin", 40 * MEBIBYTE);
    const runtime = runtimeOf(madrox.pid) ?? Number.NaN;
    const resident = () =>
      Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${runtime}/status`, "utf8"))?.[1]) / 1024;
    const before = resident();
    const sockets = Array.from({ length: CALLERS }, () => openSocket(madrox.url));
    onTestFinished(() => sockets.forEach((socket) => void socket.destroy()));
    for (const socket of sockets) {
      socket.write(rawRequest("GET", path));
      socket.once("readable", () => undefined);
      socket.pause();
    }
    await pause(2_000);
    expect((await fetch(`${madrox.url}/health`)).status).toBe(200);
    expect(resident() - before).toBeLessThan((CALLERS * 40) / 3);
  });

  it("headers without end are refused", async () => {
    const { status } = await sendRaw(madrox.url, rawRequest("GET", "/health", { "X-Long": "x".repeat(4 * MEBIBYTE) }));
    expect([0, 400, 431]).toContain(status);
    expect((await fetch(`${madrox.url}/health`)).status).toBe(200);
  });
});
