/**
 * A JavaScript or TypeScript program of a workspace, from its source to its end: its modules are collected, types are taken
 * out, and it runs in a sandbox that reaches nothing but the workspace's files.
 */

import { computeShare } from "../compute-share.ts";
import { FairSemaphore, type Permit } from "../fair-semaphore.ts";
import type { Outcome } from "../outcome.ts";
import { absolutePath, inWorkspace } from "../paths.ts";
import { codeOf, type PosixFiles } from "../posix-files.ts";
import { collect, type Modules } from "./modules.ts";
import type { FileCalls } from "./quickjs/file-calls.ts";

export interface ProgramRequest {
  /** A file, seen from `cwd`, or code of its own. */
  source: { path: string } | { code: string; typescript: boolean };
  cwd: string;
  argv: readonly string[];
  env: Readonly<Record<string, string>>;
  /** ms of waiting and computing after which it is stopped. */
  timeoutMs: number;
  signal: AbortSignal;
}

/** What the programs of one call may compute together, in rounds of loops of the engine: one to four seconds. */
const FUEL = 200_000_000;
const UNITS_PER_MS = 100_000;
/** What making an engine takes, and collecting its memory. */
const ENGINE_MS = 10;

/**
 * Programs of an isolate that are there, and of these the ones that do not wait: each has 6 MB from the start, and up to 32. One
 * that waits and has no more than `LIGHT_BYTES` leaves its place to others.
 */
const programs = new FairSemaphore({ permits: 12, perTenant: 4, loanMs: 120_000 });
const running = new FairSemaphore({ permits: 2, perTenant: 1, loanMs: 120_000 });
const LIGHT_BYTES = 8 * 1024 * 1024;

/** Runs the programs of one call: what they may compute is for all of them together. */
export class Program {
  readonly #files: PosixFiles;
  readonly #tenant: string;
  #fuel = FUEL;

  constructor(files: PosixFiles, tenant: string) {
    this.#files = files;
    this.#tenant = tenant;
  }

  /** Whatever the program does wrong is in the outcome. Throws only when there is no place for it in time. */
  async run(request: ProgramRequest): Promise<Outcome> {
    const run = (permit: Permit) => this.#run(request, permit);
    const { signal } = request;
    return programs.run(this.#tenant, signal, () => running.run(this.#tenant, signal, run));
  }

  async #run(request: ProgramRequest, permit: Permit): Promise<Outcome> {
    let modules: Modules;
    try {
      modules = await collect(this.#files, request);
    } catch (error) {
      return { stdout: "", stderr: `${messageOf(error)}\n`, exitCode: 1, stopped: null };
    }
    const { Sandbox } = await import("./quickjs/sandbox.ts");
    const { signal } = request;
    await computeShare.turn(this.#tenant, signal);
    let since = Date.now();
    let rested = this.#fuel;
    const sandbox = await Sandbox.create({
      modules,
      files: this.#calls(request.cwd),
      argv: request.argv,
      env: request.env,
      cwd: request.cwd,
      fuel: this.#fuel,
      pause: async (units) => {
        rested -= units;
        await computeShare.rest(this.#tenant, { ms: units / UNITS_PER_MS, since }, signal);
        since = Date.now();
      },
      idle: (waiting, bytes) => (bytes > LIGHT_BYTES ? waiting() : permit.without(waiting)),
    });
    try {
      return await sandbox.run(request);
    } finally {
      this.#fuel = sandbox.fuel;
      computeShare.account(this.#tenant, { ms: ENGINE_MS + Math.max(0, rested - this.#fuel) / UNITS_PER_MS, since });
    }
  }

  #calls(cwd: string): FileCalls {
    const files = this.#files;
    const at = (path: string) => {
      const inside = inWorkspace(absolutePath(cwd, path));
      if (inside === null)
        throw Object.assign(new Error(`EACCES: only the workspace can be reached, open '${path}'`), { code: "EACCES" });
      return inside;
    };
    return {
      read: (path) => files.read(at(path)),
      write: (path, bytes) => files.write(at(path), bytes),
      append: (path, bytes) => files.append(at(path), bytes),
      list: (path) => files.list(at(path)),
      stat: (path) => files.stat(at(path)),
      makeFolder: (path, parents) => files.makeFolder(at(path), parents),
      remove: (path, options) => files.remove(at(path), options),
      move: (from, to) => files.move(at(from), at(to)),
    };
  }
}

function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return codeOf(error) === null && error instanceof SyntaxError ? `SyntaxError: ${text}` : text;
}
