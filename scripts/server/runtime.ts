/**
 * The process of `workerd`. It lives as long as this one: however this process ends, the runtime ends too.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { runtime } from "./wrangler-parts.ts";

/** How long requests under way may take once the server is to stop. Streams and waiting calls go on for ever. */
const GRACE_MS = 3_000;

const POSIX = process.platform !== "win32";

/** Becomes the runtime, which leaves Ctrl-C to this process: it goes to every process of the terminal. */
const RUNTIME_SHELL = `trap "" INT; exec "$0" "$@"`;
/** Ends the runtime when the pipe from this process breaks, because nothing else would after a SIGKILL. */
const WATCHING_SHELL = `trap "" INT; read -r _ || kill -KILL "$0"`;

export class Runtime {
  readonly #child: ChildProcess;
  /** Settles when the process is gone: with how it ended, in words. */
  readonly ended: Promise<string>;
  #isEnded = false;
  /** Settles when nothing watches the process any more, after its end. */
  readonly #unwatched: Promise<void>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.ended = new Promise((done) => {
      child.once("error", (error) => done(error.message));
      child.once("exit", (code, signal) => {
        this.#isEnded = true;
        done(signal ? `by ${signal}` : `with ${code}`);
      });
    });
    this.#unwatched = POSIX && child.pid !== undefined ? watched(child.pid, this.ended) : Promise.resolve();
  }

  /** Starts the runtime with this configuration. Resolves when it listens, or with its end. */
  static async start(configuration: Readable): Promise<Runtime> {
    const { program } = runtime();
    const args = ["serve", "--binary", "--experimental", "--control-fd=3", "-"];
    const command = POSIX ? ["/bin/sh", "-c", RUNTIME_SHELL, program] : [program];
    const child = spawn(command[0] as string, [...command.slice(1), ...args], {
      stdio: ["pipe", "inherit", "inherit", "pipe"],
      env: { ...process.env, TZ: "UTC" },
      windowsHide: true,
    });
    const started = new Runtime(child);
    // It may end before it has read all.
    child.stdin?.on("error", () => configuration.destroy());
    if (child.stdin) configuration.pipe(child.stdin);
    await Promise.race([listening(child.stdio[3] as Readable), started.ended]);
    return started;
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Lets requests under way finish for a few seconds, then ends the process. */
  async stop(): Promise<void> {
    if (this.#isEnded) return;
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.kill(), GRACE_MS);
    await this.ended;
    clearTimeout(timer);
    await this.#unwatched;
  }

  /** Ends the process at once. */
  kill(): void {
    this.#child.kill("SIGKILL");
  }
}

/** Has the process ended when this one is no more. Resolves when it has ended, and so has what watched it. */
async function watched(pid: number, ended: Promise<unknown>): Promise<void> {
  const shell = spawn("/bin/sh", ["-c", WATCHING_SHELL, String(pid)], { stdio: ["pipe", "ignore", "ignore"] });
  const gone = new Promise<void>((done) => shell.once("close", () => done()));
  shell.stdin?.on("error", () => undefined);
  await ended;
  shell.stdin?.end("\n");
  await gone;
}

/** The runtime reports each socket: `{"event":"listen","socket":"front","port":8001}`. There is one. */
async function listening(control: Readable): Promise<void> {
  for await (const line of createInterface(control)) {
    if ((JSON.parse(line) as { event: string }).event === "listen") return;
  }
}
