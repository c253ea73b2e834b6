/**
 * The server as a user starts it, in a process of its own with a state of its own: for the demo, and for tests that kill it
 * and start it again on the same state.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
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
}

/** Characters of the server's output that are kept, for when it fails. */
const LOG_KEPT = 50_000;

export class MadroxServer {
  readonly #options: StartOptions;
  readonly #state = mkdtempSync(join(tmpdir(), "madrox-"));
  #child: ChildProcess | undefined;
  #port = 0;
  log = "";

  constructor(options: StartOptions = {}) {
    this.#options = options;
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

  /** Starts the server on its state and waits until it says that it is ready, without sending it a request of its own. */
  async start(): Promise<void> {
    this.#port ||= await freePort();
    const child = spawn(process.execPath, ["scripts/start.ts"], {
      // A group of its own: wrangler starts workerd, and both have to go when the group is killed.
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...process.env,
        ...this.#options.env,
        ORCHESTRATOR_PORT: String(this.#port),
        MADROX_STATE: this.#state,
        MADROX_WATCH: "false",
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
    const child = this.#child;
    this.#child = undefined;
    if (!child?.pid) return;
    const ended = new Promise<void>((gone) => child.once("exit", () => gone()));
    process.kill(-child.pid, "SIGKILL");
    await ended;
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#state, { recursive: true, force: true });
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
