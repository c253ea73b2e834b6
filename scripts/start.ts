/**
 * `npm start`: the server on this machine, at ORCHESTRATOR_HOST and ORCHESTRATOR_PORT, with the settings of the environment
 * and of .dev.vars. It serves what a deploy would upload, in the same runtime, with Miniflare's stand-ins for what the platform
 * binds, and with a listener of its own in the platform's place: see server/.
 */
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { dirname, join, relative, resolve } from "node:path";
import type { Readable } from "node:stream";
import { json, text } from "node:stream/consumers";
import { type Address, addressOf, problemWith, reachableIp, urlOf } from "./server/address.ts";
import { Lock } from "./server/lock.ts";
import type { Asked, Prepared } from "./server/prepare.ts";
import { Runtime } from "./server/runtime.ts";

/** A runtime that ends by itself is started again, but not for ever: so often within a minute. */
const RESTARTS = 5;
const RESTARTS_MS = 60_000;

const COMPILED = join(import.meta.dirname, "..", ".wrangler", "build", "compiled");

const config = process.env.MADROX_CONFIG || "wrangler.toml";
const state = resolve(process.env.MADROX_STATE || join(dirname(config), ".wrangler", "state"));

const given = addressOf(process.env);
if (typeof given === "string") stop(given);
const address: Address = given;
const url = urlOf(address);
const problem = await problemWith(address);
if (problem) stop(problem);

mkdirSync(state, { recursive: true });
const lock = Lock.take(join(state, "server.lock"));
if (!lock) stop(`${taken()} Stop that one, or point MADROX_STATE to another folder.`);
writeFileSync(join(state, "server.json"), JSON.stringify({ pid: process.pid, url }));

const { prepared, runtime } = await started();
let server = runtime;
if (server.isEnded) stop(`The runtime ended ${await server.ended}. What it said stands above.`);
let stopping = false;
process.once("exit", () => server.kill());
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => void end());
watch(server);

const health = await ask("/health");
if (health.message) {
  stopping = true;
  await server.stop();
  stop(health.message);
}
console.log(`
Madrox is ready.
  Page   ${url}/dashboard
  MCP    ${url}/mcp
  REST   ${url}/tools
  Access ${prepared.keys ? "with the keys of ACCESS_KEYS" : "from this machine, without a key"}
  Model  ${prepared.model ? "Claude, with your ANTHROPIC_API_KEY" : "the built-in simulator (no ANTHROPIC_API_KEY is set; nothing is spent)"}
`);

/** A runtime with the settings as they are now: see server/prepare.ts. Its configuration goes from pipe to pipe, and is not kept. */
async function started(): Promise<{ prepared: Prepared; runtime: Runtime }> {
  const asked: Asked = { config, state };
  const script = join(import.meta.dirname, "server", "prepare.ts");
  const child = spawn(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", script, JSON.stringify(asked)],
    // Wrangler is large: compiled code saves a fifth of a second.
    { env: { NODE_COMPILE_CACHE: COMPILED, ...process.env }, stdio: ["ignore", "inherit", "inherit", "pipe", "pipe"] },
  );
  const exit = new Promise<number>((ended) => child.once("exit", (code) => ended(code ?? 1)));
  const prepared = await text(child.stdio[3] as Readable);
  if (prepared === "") process.exit(await exit);
  const runtime = await Runtime.start(child.stdio[4] as Readable);
  return { prepared: JSON.parse(prepared) as Prepared, runtime };
}

/** Starts the runtime again when it ends by itself: what it keeps survives that. */
function watch(watched: Runtime, ends: readonly number[] = []): void {
  void watched.ended.then(async (how) => {
    if (stopping) return;
    const recent = [...ends, Date.now()].filter((at) => at > Date.now() - RESTARTS_MS);
    if (recent.length > RESTARTS) stop(`The runtime ended ${how}, again and again. What it said stands above.`);
    console.error(`The runtime ended ${how}. It is started again, and goes on where it was.`);
    server = (await started()).runtime;
    if (stopping) server.kill();
    watch(server, recent);
  });
}

/** Asked for a second time, it ends at once. */
async function end(): Promise<void> {
  if (stopping) server.kill();
  stopping = true;
  await server.stop();
  lock?.release();
  process.exit(0);
}

/** What the server answers on a path, under a name that it always knows. */
function ask(path: string): Promise<{ message?: string }> {
  return new Promise((done, failed) => {
    const asking = request(
      {
        host: reachableIp(address),
        port: address.port,
        path,
        headers: { host: `localhost:${address.port}` },
        agent: false,
      },
      async (answer) => done((await json(answer)) as { message?: string }),
    );
    asking.once("error", failed);
    asking.end();
  });
}

function taken(): string {
  const folder = relative("", state) || state;
  try {
    const other = JSON.parse(readFileSync(join(state, "server.json"), "utf8")) as { pid: number; url: string };
    return `Another server, at ${other.url} (process ${other.pid}), uses ${folder}.`;
  } catch {
    return `Another server uses ${folder}.`;
  }
}

function stop(message: string): never {
  console.error(message);
  process.exit(2);
}
