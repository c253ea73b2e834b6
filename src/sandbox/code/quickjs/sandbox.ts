/**
 * A JavaScript engine of its own for one program: QuickJS in WebAssembly, in an instance that nothing else uses and that is
 * dropped at the end. All that it can reach is what is handed to it here. How much it computes is metered (see
 * scripts/meter-quickjs.ts), its memory and its stack are bounded, and so is what it writes.
 */
import variant from "@jitl/quickjs-wasmfile-release-sync";
import {
  newQuickJSWASMModuleFromVariant,
  newVariant,
  type QuickJSContext,
  type QuickJSDeferredPromise,
  type QuickJSHandle,
  type QuickJSRuntime,
} from "quickjs-emscripten-core";
import { bytesOfLatin1, latin1 } from "../../latin1.ts";
import type { Outcome } from "../../outcome.ts";
import { codeOf, type PosixFiles } from "../../posix-files.ts";
import { type Modules, resolveSpecifier } from "../modules.ts";
import { GLOBALS, isLibraryModule, librarySource } from "./library.ts";
import engine from "./quickjs.wasm";

/** What a program may do with files. Paths as it wrote them. */
export type FileCalls = Pick<
  PosixFiles,
  "read" | "write" | "append" | "list" | "stat" | "makeFolder" | "remove" | "move"
>;

export interface SandboxOptions {
  modules: Modules;
  files: FileCalls;
  argv: readonly string[];
  env: Readonly<Record<string, string>>;
  cwd: string;
  /** What it may compute, in units of the meter. */
  fuel: number;
}

const MEMORY_BYTES = 32 * 1024 * 1024;
const STACK_BYTES = 256 * 1024;
/** Of both streams together, in characters. */
const MAX_OUTPUT = 1_000_000;
/** For making the engine itself, before the program's own meter begins. */
const START_FUEL = 1_000_000_000;
/** In front of why a specifier means nothing, in place of a module's name. */
const UNRESOLVED = "unresolved: ";
/** Calls of a program to its host that are under way at once. */
const MAX_CALLS = 1_000;

export class Sandbox {
  readonly #context: QuickJSContext;
  readonly #runtime: QuickJSRuntime;
  readonly #options: SandboxOptions;
  readonly #meter: WebAssembly.Global;
  readonly #calls = new Set<Promise<void>>();
  readonly #sleeps = new Map<number, () => void>();
  readonly #written = { 1: "", 2: "" };
  /** Functions of the library, in the engine. */
  #reportUncaught: QuickJSHandle | undefined;
  #finish: QuickJSHandle | undefined;
  #exitCode: number | null = null;
  #stopped: string | null = null;

  private constructor(runtime: QuickJSRuntime, meter: WebAssembly.Global, options: SandboxOptions) {
    this.#runtime = runtime;
    this.#context = runtime.newContext();
    this.#meter = meter;
    this.#options = options;
  }

  static async create(options: SandboxOptions): Promise<Sandbox> {
    let meter: WebAssembly.Global | undefined;
    const instantiateWasm = (imports: WebAssembly.Imports, done: (instance: WebAssembly.Instance) => void) => {
      const instance = new WebAssembly.Instance(engine, imports);
      meter = instance.exports.fuel as WebAssembly.Global;
      meter.value = BigInt(START_FUEL);
      done(instance);
      return instance.exports;
    };
    const quickjs = await newQuickJSWASMModuleFromVariant(
      newVariant(variant, { emscriptenModule: { instantiateWasm } as Record<string, unknown> }),
    );
    if (!meter) throw new Error("The engine was made without its meter.");
    const runtime = quickjs.newRuntime();
    runtime.setMemoryLimit(MEMORY_BYTES);
    runtime.setMaxStackSize(STACK_BYTES);
    return new Sandbox(runtime, meter, options);
  }

  /** What is left to compute, in units of the meter. */
  get fuel(): number {
    return Number(this.#meter.value);
  }

  /** Runs the program to its end, or until it is stopped. Once. */
  async run({ timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal }): Promise<Outcome> {
    const timer = setTimeout(() => this.#stop(`Stopped: it took longer than ${timeoutMs / 1000} s.`), timeoutMs);
    const abort = () => this.#stop("Stopped: the call was stopped.");
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
    this.#meter.value = BigInt(this.#options.fuel);
    try {
      await this.#live();
    } catch (error) {
      this.#trapped(error);
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
    const context = this.#context;
    this.#runtime.setInterruptHandler(() => this.#over);
    this.#runtime.setModuleLoader(
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
    const globals = this.#evaluate(librarySource(GLOBALS) ?? "", GLOBALS);
    if (!globals) return;
    await this.#drain();
    this.#report(globals);
    if (this.#over) return;
    const { entry, sources } = this.#options.modules;
    const program = this.#evaluate(sources.get(entry) ?? "", entry);
    if (!program) return;
    await this.#drain();
    this.#report(program);
    if (this.#over || !this.#finish) return;
    // What was registered to be done at the end: tests.
    const finished = this.#context.callFunction(this.#finish, this.#context.undefined);
    if (finished.error) return this.#uncaught(finished.error);
    await this.#drain();
    this.#report(finished.value);
    if (this.#over) return;
    const status = context.getPromiseState(finished.value);
    this.#exitCode = status.type === "fulfilled" ? statusOf(context.getNumber(status.value)) : 1;
  }

  /** Works off what waits, until there is nothing left to wait for. */
  async #drain(): Promise<void> {
    for (;;) {
      const ran = this.#runtime.executePendingJobs();
      if (ran.error) {
        this.#uncaught(ran.error);
        return;
      }
      if (this.#over || this.#calls.size === 0) return;
      await Promise.race(this.#calls);
    }
  }

  /** The promise of a module's evaluation, or undefined when it could not begin. */
  #evaluate(code: string, name: string): QuickJSHandle | undefined {
    const result = this.#context.evalCode(code, name, { type: "module" });
    if (!result.error) return result.value;
    this.#uncaught(result.error);
    return undefined;
  }

  /** A program that failed, or waits for what nothing will bring. */
  #report(promise: QuickJSHandle): void {
    if (this.#over) return;
    const state = this.#context.getPromiseState(promise);
    if (state.type === "rejected") this.#uncaught(state.error);
    else if (state.type === "pending") {
      this.#written[2] += "Warning: the program waits for a promise that nothing will settle.\n";
      this.#exitCode = 13;
    }
  }

  #uncaught(error: QuickJSHandle): void {
    if (this.#over) return;
    if (this.#reportUncaught) this.#context.callFunction(this.#reportUncaught, this.#context.undefined, error);
    if (this.#over) return;
    this.#written[2] += `Uncaught ${JSON.stringify(this.#context.dump(error))}\n`;
    this.#exitCode = 1;
  }

  #trapped(error: unknown): void {
    if (this.fuel < 0) this.#stopped ??= "Stopped: it computed for too long. There is time for about two seconds.";
    else if (!this.#over)
      this.#stopped = `Stopped: the engine failed (${error instanceof Error ? error.message : String(error)}).`;
  }

  #stop(why: string): void {
    if (this.#over) return;
    this.#stopped = why;
    for (const wake of this.#sleeps.values()) wake();
  }

  #installHost(): void {
    const context = this.#context;
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
    define("onEnd", (finish) => {
      this.#finish = finish?.dup();
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
      if (!this.#over) promise.resolve(this.#context.newString(JSON.stringify(answer)));
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
    const { files } = this.#options;
    const path = String(args[0]);
    const options = (args[1] ?? {}) as { recursive?: boolean; force?: boolean };
    switch (operation) {
      case "sleep":
        return this.#sleep(Number(args[0]), Number(args[1]));
      case "read": {
        const bytes = await files.read(path);
        return args[1] === true
          ? new TextDecoder("utf-8", { fatal: false, ignoreBOM: true }).decode(bytes)
          : latin1(bytes);
      }
      case "write":
        return files.write(path, bytesOfLatin1(String(args[1])));
      case "append":
        return files.append(path, bytesOfLatin1(String(args[1])));
      case "list":
        return files.list(path);
      case "stat": {
        const { folder, size, modified } = await files.stat(path);
        return { folder, size, modified: modified.getTime() };
      }
      case "makeFolder":
        return files.makeFolder(path, args[1] === true);
      case "remove":
        return files.remove(path, { recursive: options.recursive === true, force: options.force === true });
      case "move":
        return files.move(path, String(args[1]));
      default:
        throw new Error(`${operation} is not known.`);
    }
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
