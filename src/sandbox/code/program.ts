/**
 * A JavaScript or TypeScript program of a workspace, from its source to its end: its modules are collected, types are taken
 * out, and it runs in a sandbox that reaches nothing but the workspace's files.
 */

import type { Outcome } from "../outcome.ts";
import { absolutePath, inWorkspace } from "../paths.ts";
import { codeOf, type PosixFiles } from "../posix-files.ts";
import { Semaphore } from "../semaphore.ts";
import { collect, type Modules } from "./modules.ts";
import type { FileCalls } from "./quickjs/sandbox.ts";

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

/**
 * What the programs of one call may compute together, in rounds of loops of the engine: one to four seconds. An isolate does one
 * thing at a time, so this is also how long the others in it may have to wait.
 */
const FUEL = 200_000_000;

/** Programs of an isolate that are there at once: each has 16 MB from the start, and up to 48. */
const sandboxes = new Semaphore(2);

/** Runs the programs of one call: what they may compute is for all of them together. */
export class Program {
  readonly #files: PosixFiles;
  #fuel = FUEL;

  constructor(files: PosixFiles) {
    this.#files = files;
  }

  /** Whatever the program does wrong is in the outcome. Throws only when there is no place for it in time. */
  async run(request: ProgramRequest): Promise<Outcome> {
    return sandboxes.run(request.signal, async () => {
      let modules: Modules;
      try {
        modules = await collect(this.#files, request);
      } catch (error) {
        return { stdout: "", stderr: `${messageOf(error)}\n`, exitCode: 1, stopped: null };
      }
      const { Sandbox } = await import("./quickjs/sandbox.ts");
      const sandbox = await Sandbox.create({
        modules,
        files: this.#calls(request.cwd),
        argv: request.argv,
        env: request.env,
        cwd: request.cwd,
        fuel: this.#fuel,
      });
      try {
        return await sandbox.run(request);
      } finally {
        this.#fuel = Math.max(0, sandbox.fuel);
      }
    });
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
