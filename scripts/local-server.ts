/**
 * The server as a user starts it, in a process of its own with a state of its own: for the demo, and for tests that kill it
 * and start it again on the same state.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface StartOptions {
  /** A wrangler configuration; the product's own unless given. */
  config?: string;
  /** Makes the state to start on, in an empty folder; nothing unless given. */
  prepare?: (state: string) => void;
  /** Beside the environment of this process. */
  env?: Record<string, string>;
  /** The folder of what the server stores. It stays; unless given it is a new one, which goes with the server. */
  state?: string;
}

/** Characters of the server's output that are kept, for when it fails. */
const LOG_KEPT = 50_000;

export class MadroxServer {
  readonly #options: StartOptions;
  readonly #state: string;
  #child: ChildProcess | undefined;
  #port = 0;
  log = "";

  constructor(options: StartOptions = {}) {
    this.#options = options;
    this.#state = options.state ?? mkdtempSync(join(tmpdir(), "madrox-"));
    options.prepare?.(this.#state);
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** The folder that holds what the server stores. */
  get state(): string {
    return this.#state;
  }

  /** The process, and the group of those that it started. Throws while the server is down. */
  get pid(): number {
    if (!this.#child?.pid) throw new Error("The server is not running.");
    return this.#child.pid;
  }

  /** Memory of all its processes, in MiB. Linux only: NaN elsewhere. */
  residentMiB(): number {
    if (process.platform !== "linux") return Number.NaN;
    let kib = 0;
    for (const entry of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
      try {
        const after = readFileSync(`/proc/${entry}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
        if (Number(after[2]) !== this.pid) continue;
        kib += Number(readFileSync(`/proc/${entry}/status`, "utf8").match(/^VmRSS:\s+(\d+) kB$/m)?.[1] ?? 0);
      } catch {
        // It ended while we looked.
      }
    }
    return kib / 1024;
  }

  /** Starts the server on its state and waits until it says that it is ready, without sending it a request of its own. */
  async start(): Promise<void> {
    this.#port ||= await freePort();
    const child = spawn(process.execPath, ["scripts/start.ts"], {
      // A group of its own: it starts workerd, and both have to go when the group is killed.
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...process.env,
        ...this.#options.env,
        ORCHESTRATOR_PORT: String(this.#port),
        MADROX_STATE: this.#state,
        ...(this.#options.config ? { MADROX_CONFIG: this.#options.config } : {}),
      },
    });
    this.#child = child;
    await new Promise<void>((ready, failed) => {
      const read = (chunk: Buffer) => {
        this.log = (this.log + chunk.toString()).slice(-LOG_KEPT);
        if (chunk.toString().includes("Madrox is ready")) ready();
      };
      child.stdout?.on("data", read);
      child.stderr?.on("data", read);
      child.once("exit", (code) => failed(new Error(`the server ended with ${code}:\n${this.log.slice(-2000)}`)));
    });
  }

  /** SIGKILL for the whole group, as when the machine's power goes. */
  async kill(): Promise<void> {
    if (this.#child?.pid) await this.end("SIGKILL", -this.#child.pid);
  }

  /** Ends the server by a signal to its own process, or to its group (a negative target). Returns its exit code; null: killed. */
  async end(signal: NodeJS.Signals, target = this.pid): Promise<number | null> {
    const child = this.#child;
    if (!child) throw new Error("The server is not running.");
    this.#child = undefined;
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    const ended = new Promise<number | null>((gone) => child.once("exit", gone));
    process.kill(target, signal);
    return await ended;
  }

  async stop(): Promise<void> {
    await this.kill();
    if (!this.#options.state) rmSync(this.#state, { recursive: true, force: true });
  }

  async tool(name: string, input: Record<string, unknown>): Promise<Record<string, unknown>> {
    const response = await fetch(`${this.url}/tools/execute`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ tool: name, arguments: input }),
    });
    return (await response.json()) as Record<string, unknown>;
  }
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((listening) => probe.listen(0, "127.0.0.1", listening));
  const { port } = probe.address() as { port: number };
  await new Promise((closed) => probe.close(closed));
  return port;
}
