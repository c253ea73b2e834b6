/**
 * The door of `npm start` on the wire: what is not in the table of rules is not there, whatever the path, method or header, and
 * what a client says of itself counts for nothing. With keys and without.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MadroxServer } from "../../scripts/local-server.ts";
import { addressOf, isPlatformPath } from "../../scripts/server/front.ts";
import { rawRequest, sendRaw } from "./raw-http.ts";

const KEY = "mdx_a-key-for-the-tests-of-the-door";
const AUTHORIZED = { Authorization: `Bearer ${KEY}` };
/** Beyond this number of failed logins a minute an address is held up. */
const FAILURES = 100;

const open = new MadroxServer({ env: { ANTHROPIC_API_KEY: "", ACCESS_KEYS: "", LOG_LEVEL: "ERROR" } });
const keyed = new MadroxServer({
  env: { ANTHROPIC_API_KEY: "", ACCESS_KEYS: JSON.stringify({ team: KEY }), LOG_LEVEL: "ERROR" },
});

beforeAll(async () => {
  await open.start();
  await keyed.start();
  await open.tool("spawn_claude", { name: "Secret of the tenant" });
});

afterAll(async () => {
  await open.stop();
  await keyed.stop();
});

/** Who asks, and where. */
const CALLERS = [
  { who: "anybody on a server without keys", server: open, headers: {} },
  { who: "somebody without a key", server: keyed, headers: {} },
  { who: "somebody with a key", server: keyed, headers: AUTHORIZED },
] as const;

/** What development servers, proxies and the platform keep there. */
const PLATFORM_TAILS = [
  "local/explorer/api/workers/durable_objects/namespaces",
  "explorer/api/storage/kv/namespaces",
  "local/r2/public/madrox-files/x",
  "local/r2/s3/madrox-files",
  "local/platform-proxy",
  "local/scheduled",
  "handler/scheduled",
  "mf/reload",
  "ProxyWorker/register-worker",
  "trace",
  "",
];
const PLATFORM_SPELLINGS = [
  "/cdn-cgi/",
  "/CDN-CGI/",
  "/Cdn-Cgi/",
  "//cdn-cgi/",
  "///cdn-cgi//",
  "/./cdn-cgi/",
  "/x/../cdn-cgi/",
  "/../cdn-cgi/",
  "/%63dn-cgi/",
  "/cdn%2dcgi/",
  "/cdn%2Dcgi%2F",
  "/%2563dn-cgi/",
  "/%25252563dn-cgi/",
  "/%2e/cdn-cgi/",
  "/tools/%2e%2e/cdn-cgi/",
  "/tools%2f..%2fcdn-cgi/",
  "/tools/..%5ccdn-cgi/",
  "/\\cdn-cgi/",
  "/cdn-cgi\\",
  "/%5ccdn-cgi%5c",
  "/;x/../cdn-cgi/",
  "/cdn-cgi;x=1/",
  "/%20cdn-cgi%20/",
  "/%00cdn-cgi/",
  "http://localhost/cdn-cgi/",
  "http://evil.example/cdn-cgi/",
  "HTTP://LOCALHOST:80/%63dn-cgi/",
];

const METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "PURGE", "FOO"];

/** Paths that somebody may serve, and Madrox does not. */
const FOREIGN_PATHS = [
  "/__cf_local/stream/x",
  "/__cf_local/imagedelivery/x",
  "/__scheduled",
  "/_next/image?url=http://evil.example/",
  "/_image?href=//evil.example/x",
  "/core/log",
  "/core/error",
  "/core/public-url",
  "/core/store-temp-file",
  "/json/version",
  "/json/list",
  "/.dev.vars",
  "/wrangler.toml",
  "/.wrangler/state/server.json",
  "/index.html",
  "/app.html",
  "/server-status",
  "/instances/..%2f..%2f.dev.vars",
  "/dashboard/assets/..%2f..%2f..%2f.dev.vars",
  "/dashboard/assets/%2e%2e/%2e%2e/wrangler.toml",
];

/** What only a platform, a proxy or a development server may say. */
const FORGED: Readonly<Record<string, string>> = {
  "MF-Original-URL": "http://localhost/health",
  "MF-Route-Override": "core:entry",
  "MF-Custom-Fetch-Service": "core:entry",
  "MF-Custom-Node-Service": "core:entry",
  "MF-Proxy-Shared-Secret": "x",
  "MF-Loopback-Secret": "x",
  "MF-Op": "GET",
  "MF-Op-Secret": "00",
  "MF-Op-Target": "[0]",
  "MF-CF-Blob": '{"clientIp":"8.8.8.8:1","miniflare":{"controlOp":{"name":"sqlQuery","args":["select 1"]}}}',
  "MF-Namespace": "x",
  "MF-Access-Blob": "{}",
  "MF-Sec-Fetch-Mode": "navigate",
  "X-Forwarded-For": "8.8.8.8",
  "X-Forwarded-Host": "evil.example",
  "X-Forwarded-Proto": "https",
  "X-Forwarded-Port": "1",
  Forwarded: "for=8.8.8.8;host=evil.example;proto=https",
  "X-Real-IP": "8.8.8.8",
  "True-Client-IP": "8.8.8.8",
  "CF-Connecting-IP": "8.8.8.8",
  "CF-Connecting-IPv6": "2001:db8::1",
  "CF-Pseudo-IPv4": "8.8.8.8",
  CF_Connecting_IP: "8.8.8.8",
  "CF-Worker": "evil.example",
  "CF-Ray": "1",
  "CF-EW-Via": "15",
  "CDN-Loop": "cloudflare; loops=9",
  Via: "1.1 evil",
  "X-Original-URL": "/health",
  "X-Rewrite-URL": "/health",
  "x-agents-internal": "1",
};

describe.each(CALLERS)("$who", ({ server, headers }) => {
  const send = (method: string, target: string, more: Readonly<Record<string, string>> = {}) =>
    sendRaw(server.url, rawRequest(method, target, { ...headers, ...more }));

  it("finds nothing below /cdn-cgi/, in no spelling and by no method", async () => {
    const answered: string[] = [];
    const tries = [
      ...PLATFORM_SPELLINGS.flatMap((spelling) => PLATFORM_TAILS.map((tail) => ["GET", spelling + tail] as const)),
      ...METHODS.map((method) => [method, `/cdn-cgi/${PLATFORM_TAILS[0]}`] as const),
    ];
    for (const [method, target] of tries) {
      const { status, body } = await send(method, target);
      if (![400, 404, 501].includes(status) || /namespaces|Local Explorer|Secret/.test(body)) {
        answered.push(`${method} ${target}: ${status} ${body.slice(0, 80)}`);
      }
    }
    expect(answered).toEqual([]);
  });

  it("finds nothing at a path that the table of rules does not have, whatever the method and headers say", async () => {
    const answered: string[] = [];
    const tries = [
      ...FOREIGN_PATHS.flatMap((path) => METHODS.map((method) => [method, path, {}] as const)),
      ...Object.entries(FORGED).map(([name, value]) => ["GET", "/nothing-here", { [name]: value }] as const),
      ["GET", "/nothing-here", FORGED] as const,
    ];
    for (const [method, target, more] of tries) {
      const { status, body } = await send(method, target, more);
      // Preflights are answered for every path, and say nothing of it. 501: the runtime doesn't know the method.
      const allowed = [400, 401, 403, 404, 405, 501, ...(method === "OPTIONS" ? [204] : [])];
      if (!allowed.includes(status)) answered.push(`${method} ${target}: ${status} ${body.slice(0, 80)}`);
    }
    expect(answered).toEqual([]);
  });

  it("gets the same answer with forged headers as without", async () => {
    const different: string[] = [];
    for (const path of [
      "/instances",
      "/audit/head",
      "/tools",
      "/.well-known/oauth-authorization-server",
      "/nothing-here",
    ]) {
      const plain = await send("GET", path);
      for (const [name, value] of [...Object.entries(FORGED), ["all", ""] as const]) {
        const forged = await send("GET", path, name === "all" ? FORGED : { [name]: value });
        if (forged.status !== plain.status || timeless(forged.body) !== timeless(plain.body)) {
          different.push(`${path} with ${name}: ${forged.status}, not ${plain.status}: ${forged.body.slice(0, 80)}`);
        }
      }
    }
    expect(different).toEqual([]);
  });

  it("gets no answer of substance to a request that is none", async () => {
    const close = "Connection: close\r\n\r\n";
    const tries: Record<string, string> = {
      "no host": `GET /tools HTTP/1.1\r\n${close}`,
      "no host, HTTP/1.0": "GET /tools HTTP/1.0\r\n\r\n",
      "two hosts": `GET /tools HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n${close}`,
      "a host with a path": `GET /tools HTTP/1.1\r\nHost: localhost/tools?\r\n${close}`,
      "a host with a user": `GET /tools HTTP/1.1\r\nHost: evil.example@localhost\r\n${close}`,
      "a host with a fragment": `GET /tools HTTP/1.1\r\nHost: localhost#evil.example\r\n${close}`,
      "a backslash in front": `GET \\tools HTTP/1.1\r\nHost: localhost\r\n${close}`,
      "no path": `OPTIONS * HTTP/1.1\r\nHost: localhost\r\n${close}`,
      "a space before the colon": `GET /tools HTTP/1.1\r\nHost: localhost\r\nCF-Connecting-IP : 127.0.0.1\r\n${close}`,
      "a folded header": `GET /tools HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\n CF-Connecting-IP: 127.0.0.1\r\n${close}`,
      "two lengths": `POST /tools HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nContent-Length: 5\r\n${close}12345`,
      "the PROXY protocol": `PROXY TCP4 8.8.8.8 127.0.0.1 1 2\r\nGET /tools HTTP/1.1\r\nHost: localhost\r\n${close}`,
      "a NUL": `GET /tools\0 HTTP/1.1\r\nHost: localhost\r\n${close}`,
      "another version": `GET /tools HTTP/3.7\r\nHost: localhost\r\n${close}`,
    };
    const statuses = await Promise.all(
      Object.entries(tries).map(async ([what, text]) => [what, (await sendRaw(server.url, text)).status] as const),
    );
    expect(statuses.filter(([, status]) => status !== 0 && status !== 400)).toEqual([]);
    // The runtime has no answer to a tunnel but that it failed. It reaches nothing.
    const tunnel = await sendRaw(server.url, "CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    expect(tunnel.status).toBeGreaterThanOrEqual(400);
    const inner = await sendRaw(server.url, "CONNECT workerd-capnp:1 HTTP/1.1\r\nHost: workerd-capnp\r\n\r\n");
    expect(inner.status).toBeGreaterThanOrEqual(400);
  });

  it("has each of the requests on one connection looked at", async () => {
    const inside = rawRequest("GET", "/cdn-cgi/local/explorer/api/", headers);
    const first = rawRequest("GET", "/health", headers).replace("Connection: close\r\n", "");
    const { body } = await sendRaw(server.url, first + first + inside);
    expect(body.match(/HTTP\/1\.1 (\d+)/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 404"]);
  });
});

describe("a server without keys", () => {
  it("does not answer under another name, whatever else the request says of its address", async () => {
    const elsewhere = { Host: "rebound.example" };
    for (const forged of [{}, ...Object.entries(FORGED).map(([name, value]) => ({ [name]: value })), FORGED]) {
      const { status } = await sendRaw(open.url, rawRequest("GET", "/instances", { ...elsewhere, ...forged }));
      expect(status, JSON.stringify(forged)).toBe(401);
    }
    // The request line's host is not the one that counts: a browser sends its own as `Host`.
    const absolute = rawRequest("GET", "http://localhost/instances", elsewhere);
    expect((await sendRaw(open.url, absolute)).status).toBe(401);
  });

  it("is not there for other machines", async () => {
    const outside = Object.values(networkInterfaces())
      .flatMap((all) => all ?? [])
      .find(({ internal, family }) => !internal && family === "IPv4");
    if (!outside) return;
    const there = open.url.replace("127.0.0.1", outside.address);
    expect((await sendRaw(there, rawRequest("GET", "/instances"))).status).toBe(0);
  });
});

describe("an address", () => {
  it("is held up after too many failed logins, however many addresses it claims, and its owner never", async () => {
    const wrong = (i: number) =>
      sendRaw(
        keyed.url,
        rawRequest("GET", "/tools", {
          Authorization: `Bearer mdx_wrong-${i}`,
          "CF-Connecting-IP": `203.0.113.${i}`,
          "X-Forwarded-For": `203.0.113.${i}`,
          "X-Real-IP": `203.0.113.${i}`,
          "MF-CF-Blob": `{"clientIp":"203.0.113.${i}:1"}`,
        }),
      );
    const statuses: number[] = [];
    // A new minute may begin in between: then it counts from the start.
    for (let i = 0; i < 2 * FAILURES + 20 && !statuses.includes(429); i++) statuses.push((await wrong(i)).status);
    expect(statuses).toContain(429);
    expect(new Set(statuses)).toEqual(new Set([401, 429]));
    const owner = await sendRaw(
      keyed.url,
      rawRequest("GET", "/tools", { ...AUTHORIZED, "CF-Connecting-IP": "8.8.8.8" }),
    );
    expect(owner.status).toBe(200);
  });
});

describe.runIf(process.platform === "linux")("the processes of a server", () => {
  it("listen on one port: there is no way past the door", () => {
    expect(portsOf(keyed.pid)).toEqual([Number(new URL(keyed.url).port)]);
  });
});

describe("the listener", () => {
  it("takes the peer's address from the connection, and from nothing else", () => {
    expect(addressOf("127.0.0.1:50412")).toBe("127.0.0.1");
    expect(addressOf("[::1]:50412")).toBe("::1");
    expect(addressOf("[::ffff:10.0.0.1]:50412")).toBe("::ffff:10.0.0.1");
    for (const none of [undefined, "", "127.0.0.1", "unix:", "::1"]) expect(() => addressOf(none)).toThrow();
  });

  it.each(["/cdn-cgi-bin", "/tools/cdn-cgi", "/instances/inst_x/files/cdn-cgi/a.txt", "/", "/%", "/dashboard"])(
    "has nothing against %s",
    (path) => {
      expect(isPlatformPath(path)).toBe(false);
    },
  );
});

/** An answer without its figures: an instance is a second older in the next. */
function timeless(body: string): string {
  return body.replace(/\d+(\.\d+)?/g, "0");
}

/** The TCP ports on which the processes of a group listen. */
function portsOf(group: number): number[] {
  const inodes = new Set<string>();
  const pids = execFileSync("ps", ["-eo", "pid=,pgid="], { encoding: "utf8" })
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number))
    .filter(([, pgid]) => pgid === group)
    .map(([pid]) => pid);
  for (const pid of pids) {
    for (const fd of readdirSync(`/proc/${pid}/fd`)) {
      try {
        const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
        if (inode) inodes.add(inode);
      } catch {
        // It was closed while we looked.
      }
    }
  }
  const LISTEN = "0A";
  return ["tcp", "tcp6"]
    .flatMap((table) => readFileSync(`/proc/net/${table}`, "utf8").trim().split("\n").slice(1))
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === LISTEN && inodes.has(fields[9] ?? ""))
    .map((fields) => Number.parseInt(fields[1]?.split(":")[1] ?? "", 16))
    .sort((a, b) => a - b);
}
