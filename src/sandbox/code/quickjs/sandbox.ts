/**
 * A program in an engine of its own, from its first line to its end. All that it can reach is what is handed to it here. What it
 * computes and what it writes are bounded, and its memory and stack are (see engine.ts).
 */
import type { QuickJSDeferredPromise, QuickJSHandle } from "quickjs-emscripten-core";
import type { Outcome } from "../../outcome.ts";
import { codeOf } from "../../posix-files.ts";
import { type Modules, resolveSpecifier } from "../modules.ts";
import { Engine, OutOfFuel } from "./engine.ts";
import { type FileCalls, fileCall } from "./file-calls.ts";
import { END, GLOBALS, isLibraryModule, librarySource } from "./library.ts";

export interface SandboxOptions {
  modules: Modules;
  files: FileCalls;
  argv: readonly string[];
  env: Readonly<Record<string, string>>;
  cwd: string;
  /** What it may compute, in units of the meter. */
  fuel: number;
  /** Lets others compute. `units`: what the program computed since the last time. */
  pause(units: number): Promise<void>;
  /** Waits for what brings the program on, which takes a while. `bytes`: the memory that it holds meanwhile. */
  idle(waiting: () => Promise<void>, bytes: number): Promise<void>;
}

/** Of both streams together, in characters. */
const MAX_OUTPUT = 1_000_000;
/** In front of why a specifier means nothing, in place of a module's name. */
const UNRESOLVED = "unresolved: ";
/** Calls of a program to its host that are under way at once. */
const MAX_CALLS = 1_000;

/** The program has ended or was stopped, while it was computing. */
class Ended extends Error {}

export class Sandbox {
  readonly #options: SandboxOptions;
  #engine: Engine | undefined;
  readonly #calls = new Set<Promise<void>>();
  /** Answers to calls that the program has not got yet: it may be suspended when they come. */
  #answers: (() => void)[] = [];
  readonly #sleeps = new Map<number, () => void>();
  readonly #written = { 1: "", 2: "" };
  /** A function of the library, in the engine. */
  #reportUncaught: QuickJSHandle | undefined;
  #exitCode: number | null = null;
  #stopped: string | null = null;

  private constructor(options: SandboxOptions) {
    this.#options = options;
  }

  static async create(options: SandboxOptions): Promise<Sandbox> {
    const sandbox = new Sandbox(options);
    sandbox.#engine = await Engine.create({
      fuel: options.fuel,
      pause: async (units) => {
        await options.pause(units);
        if (sandbox.#over) throw new Ended();
      },
    });
    return sandbox;
  }

  /** What is left to compute, in units of the meter. */
  get fuel(): number {
    return this.#running.fuel;
  }

  get #running(): Engine {
    if (!this.#engine) throw new Error("The sandbox has no engine yet.");
    return this.#engine;
  }

  /** Runs the program to its end, or until it is stopped. Once. */
  async run({ timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal }): Promise<Outcome> {
    const timer = setTimeout(() => this.#stop(`Stopped: it took longer than ${timeoutMs / 1000} s.`), timeoutMs);
    const abort = () => this.#stop("Stopped: the call was stopped.");
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
    try {
      await this.#live();
    } catch (error) {
      if (error instanceof OutOfFuel)
        this.#stopped ??= "Stopped: it computed for too long. There is time for about two seconds.";
      else if (!this.#over)
        this.#stopped = `Stopped: the engine failed (${error instanceof Error ? error.message : String(error)}).`;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
      for (const wake of this.#sleeps.values()) wake();
    }
    const exitCode = this.#stopped === null ? (this.#exitCode ?? 0) : 124;
    return { stdout: this.#written[1], stderr: this.#written[2], exitCode, stopped: this.#stopped };
  }

  get #over(): boolean {
    return this.#stopped !== null || this.#exitCode !== null;
  }

  async #live(): Promise<void> {
    const { runtime } = this.#running;
    runtime.setInterruptHandler(() => this.#over);
    runtime.setModuleLoader(
      (name) => {
        const source = librarySource(name) ?? this.#options.modules.sources.get(name);
        if (source !== undefined) return source;
        const why = name.startsWith(UNRESOLVED) ? name.slice(UNRESOLVED.length) : `Cannot find module '${name}'`;
        return { error: new Error(why) };
      },
      (importer, specifier) => {
        if (isLibraryModule(importer)) return specifier;
        try {
          return resolveSpecifier(specifier, importer);
        } catch (error) {
          // An error here would reach the program without its words; the loader above gives it back whole.
          return UNRESOLVED + (error instanceof Error ? error.message : String(error));
        }
      },
    );
    this.#installHost();
    const { entry, sources } = this.#options.modules;
    await this.#module(librarySource(GLOBALS) ?? "", GLOBALS);
    await this.#module(sources.get(entry) ?? "", entry);
    await this.#module(librarySource(END) ?? "", END);
  }

  /** Evaluates a module, and what it leaves to be done. Does nothing once the program is over. */
  async #module(source: string, name: string): Promise<void> {
    if (this.#over) return;
    const evaluated = await this.#running.evaluate(source, name);
    if (evaluated.error) return this.#uncaught(evaluated.error);
    await this.#drain();
    if (this.#over) return;
    // A program that failed, or waits for what nothing will bring.
    const state = this.#running.context.getPromiseState(evaluated.value);
    if (state.type === "rejected") this.#uncaught(state.error);
    else if (state.type === "pending") {
      this.#written[2] += "Warning: the program waits for a promise that nothing will settle.\n";
      this.#exitCode = 13;
    }
  }

  /** Works off what waits, until there is nothing left to wait for. */
  async #drain(): Promise<void> {
    for (;;) {
      for (const answer of this.#answers.splice(0)) answer();
      const { error } = await this.#running.runJobs();
      if (error) return this.#uncaught(error);
      if (this.#answers.length > 0) continue;
      if (this.#over || this.#calls.size === 0) return;
      const next = () => Promise.race(this.#calls);
      // Files answer at once; only when it sleeps is there a while to wait.
      if (this.#sleeps.size < this.#calls.size) await next();
      else await this.#options.idle(next, this.#running.memoryBytes);
    }
  }

  #uncaught(error: QuickJSHandle): void {
    if (this.#over) return;
    const { context } = this.#running;
    const report = this.#reportUncaught;
    // Showing it may run the program's code once more.
    this.#running.brief(() => {
      if (report) context.callFunction(report, context.undefined, error);
      if (this.#over) return;
      this.#written[2] += `Uncaught ${JSON.stringify(context.dump(error))}\n`;
      this.#exitCode = 1;
    });
  }

  #stop(why: string): void {
    if (this.#over) return;
    this.#stopped = why;
    for (const wake of this.#sleeps.values()) wake();
  }

  #installHost(): void {
    const { context } = this.#running;
    const { env, cwd, modules } = this.#options;
    const argv = [modules.entry, ...this.#options.argv];
    const host = context.newObject();
    const define = (name: string, run: (...args: QuickJSHandle[]) => QuickJSHandle | undefined) => {
      context.setProp(host, name, context.newFunction(name, run));
    };
    context.setProp(host, "facts", context.newString(JSON.stringify({ argv, env, cwd })));
    define("out", (stream, text) => {
      this.#write(stream && context.getNumber(stream) === 2 ? 2 : 1, text ? context.getString(text) : "");
      return undefined;
    });
    define("exit", (code) => {
      if (!this.#over) this.#exitCode = code ? statusOf(context.getNumber(code)) : 0;
      return undefined;
    });
    define("onUncaught", (report) => {
      this.#reportUncaught = report?.dup();
      return undefined;
    });
    define("wake", (id) => {
      if (id) this.#sleeps.get(context.getNumber(id))?.();
      return undefined;
    });
    define("call", (operation, args) => {
      const promise = context.newPromise();
      if (operation && args) this.#begin(promise, context.getString(operation), context.getString(args));
      return promise.handle;
    });
    context.setProp(context.global, "__host", host);
  }

  #write(stream: 1 | 2, text: string): void {
    const left = MAX_OUTPUT - this.#written[1].length - this.#written[2].length;
    if (this.#stopped === null) this.#written[stream] += text.slice(0, Math.max(0, left));
    if (text.length > left) this.#stop(`Stopped: it wrote more than ${MAX_OUTPUT} characters.`);
  }

  #begin(promise: QuickJSDeferredPromise, operation: string, json: string): void {
    const settle = (answer: object) => {
      this.#answers.push(() => {
        if (!this.#over) promise.resolve(this.#running.context.newString(JSON.stringify(answer)));
      });
    };
    if (this.#calls.size >= MAX_CALLS) {
      settle({ error: `More than ${MAX_CALLS} calls are under way.`, code: "EAGAIN" });
      return;
    }
    const call = this.#perform(operation, JSON.parse(json) as unknown[]).then(
      (value) => settle({ value: value ?? null }),
      (error: unknown) =>
        settle({ error: error instanceof Error ? error.message : String(error), code: codeOf(error) }),
    );
    const entry: Promise<void> = call.finally(() => this.#calls.delete(entry));
    this.#calls.add(entry);
  }

  async #perform(operation: string, args: unknown[]): Promise<unknown> {
    if (operation === "sleep") return this.#sleep(Number(args[0]), Number(args[1]));
    return fileCall(this.#options.files, operation, args);
  }

  #sleep(ms: number, id: number): Promise<void> {
    return new Promise((wake) => {
      const done = () => {
        clearTimeout(timer);
        this.#sleeps.delete(id);
        wake();
      };
      const timer = setTimeout(done, Math.min(ms, 2 ** 31 - 1));
      this.#sleeps.set(id, done);
    });
  }
}

/** A status as a system has it, whatever a program says. */
function statusOf(code: number): number {
  return Number.isInteger(code) ? code & 0xff : 1;
}
