/**
 * A JavaScript engine of its own for one program: QuickJS in WebAssembly, in an instance that nothing else uses and that is
 * dropped at the end. How much it computes is metered (see scripts/meter-quickjs.ts), in slices: after each one the engine is
 * suspended, wherever it is, until its host goes on or stops it (JavaScript Promise Integration). Its memory is bounded.
 *
 * The one file that knows what lies below quickjs-emscripten's interface, which has no calls that may be suspended.
 */
import variant from "@jitl/quickjs-wasmfile-release-sync";
import {
  newQuickJSWASMModuleFromVariant,
  newVariant,
  type QuickJSContext,
  type QuickJSHandle,
  type QuickJSRuntime,
} from "quickjs-emscripten-core";
import wasm from "./quickjs.wasm";

/** Pages of 64 KiB: what the engine begins with (its stack is 5 MiB of it), and all that it and the program ever have. */
const FIRST_PAGES = 96;
const MAX_PAGES = 512;
const STACK_BYTES = 256 * 1024;
/** Units of the meter. A million rounds of loops are 3 to 20 ms. */
const SLICE = 1_000_000;
/**
 * For one call that can't be suspended. Those that the library makes only convert: no value is larger than the memory, and a
 * byte takes a few units. What may run code of the program is brief.
 */
const CONVERSION_FUEL = 200_000_000;
const BRIEF_FUEL = 1_000_000;

/** The program has computed as much as it may. */
export class OutOfFuel extends Error {}

export interface EngineOptions {
  /** What the program may compute, in units of the meter. */
  fuel: number;
  /** Called after each slice, with what was computed since the last call. The engine goes on when it resolves, and never when it rejects. */
  pause(units: number): Promise<void>;
}

type WasmFunction = (...args: unknown[]) => unknown;
type Result = { value: QuickJSHandle; error?: undefined } | { value?: undefined; error: QuickJSHandle };

/** What is called here of the library's inside. */
interface Inside {
  ctx: { value: number };
  rt: { value: number };
  memory: {
    module: Record<string, WasmFunction>;
    newHeapCharPointer(text: string): { value: { ptr: number; strlen: number }; dispose(): void };
    newMutablePointerArray(length: number): { value: { ptr: number }; dispose(): void };
    heapValueHandle(pointer: number): QuickJSHandle;
  };
  ffi: {
    QTS_ResolveException(context: number, pointer: number): number;
    QTS_FreeValuePointer(context: number, pointer: number): void;
  };
}

/** JavaScript Promise Integration, which the types of WebAssembly do not have yet. */
interface PromiseIntegration {
  Suspending: new (run: WasmFunction) => WasmFunction;
  promising(run: WasmFunction): (...args: unknown[]) => Promise<unknown>;
}
const { Suspending, promising } = WebAssembly as unknown as PromiseIntegration;

/** Of QuickJS's flags: the code is a module. */
const EVAL_MODULE = 1;

export class Engine {
  readonly #options: EngineOptions;
  readonly #memory: WebAssembly.Memory;
  readonly #meter: WebAssembly.Global;
  readonly #suspendable = new Map<WasmFunction, (...args: unknown[]) => Promise<unknown>>();
  #runtime: QuickJSRuntime | undefined;
  #context: QuickJSContext | undefined;
  /** Beyond what is on the meter. */
  #left: number;
  #slice = 0;
  #callFuel = CONVERSION_FUEL;
  #suspended = false;
  #exhausted = false;

  private constructor(options: EngineOptions, memory: WebAssembly.Memory, meter: WebAssembly.Global) {
    this.#options = options;
    this.#memory = memory;
    this.#meter = meter;
    this.#left = options.fuel;
  }

  static async create(options: EngineOptions): Promise<Engine> {
    const memory = new WebAssembly.Memory({ initial: FIRST_PAGES, maximum: MAX_PAGES });
    let engine: Engine | undefined;
    const instantiateWasm = (imports: WebAssembly.Imports, done: (instance: { exports: object }) => void) => {
      const refill = new Suspending(() => engine?.pause());
      const instance = new WebAssembly.Instance(wasm, { ...imports, meter: { refill } });
      engine = new Engine(options, memory, instance.exports.fuel as WebAssembly.Global);
      done({ exports: engine.#counted(instance.exports) });
      return instance.exports;
    };
    const quickjs = await newQuickJSWASMModuleFromVariant(
      newVariant(variant, { wasmMemory: memory, emscriptenModule: { instantiateWasm } as Record<string, unknown> }),
    );
    if (!engine) throw new Error("The engine was made without its meter.");
    engine.#runtime = quickjs.newRuntime({ maxStackSizeBytes: STACK_BYTES });
    engine.#context = engine.#runtime.newContext();
    // What making the engine took is not the program's.
    engine.#nextSlice();
    return engine;
  }

  get runtime(): QuickJSRuntime {
    if (!this.#runtime) throw new Error("The engine is not ready.");
    return this.#runtime;
  }

  get context(): QuickJSContext {
    if (!this.#context) throw new Error("The engine is not ready.");
    return this.#context;
  }

  /** Bytes of its memory. It never gets smaller. */
  get memoryBytes(): number {
    return this.#memory.buffer.byteLength;
  }

  /** What is left to compute, in units of the meter. */
  get fuel(): number {
    return Math.max(0, this.#left + Number(this.#meter.value));
  }

  /** Evaluates a module: its promise, or the error with which it could not begin. Rejects when the program is stopped. */
  async evaluate(code: string, name: string): Promise<Result> {
    const { ctx, memory, ffi } = this.context as unknown as Inside;
    const source = memory.newHeapCharPointer(code);
    const file = memory.newHeapCharPointer(name);
    const { ptr, strlen } = source.value;
    const pointer = await this.#run("_QTS_Eval", ctx.value, ptr, strlen, file.value.ptr, 0, EVAL_MODULE);
    source.dispose();
    file.dispose();
    const error = ffi.QTS_ResolveException(ctx.value, pointer);
    if (error === 0) return { value: memory.heapValueHandle(pointer) };
    ffi.QTS_FreeValuePointer(ctx.value, pointer);
    return { error: memory.heapValueHandle(error) };
  }

  /** Works off the jobs of promises. The error is one that a job threw. Rejects when the program is stopped. */
  async runJobs(): Promise<{ error: QuickJSHandle | null }> {
    const { memory } = this.context as unknown as Inside;
    const { rt } = this.runtime as unknown as Inside;
    const context = memory.newMutablePointerArray(1);
    const pointer = await this.#run("_QTS_ExecutePendingJob", rt.value, -1, context.value.ptr);
    context.dispose();
    const result = memory.heapValueHandle(pointer);
    // How many there were, or what was thrown.
    if (this.context.typeof(result) !== "number") return { error: result };
    result.dispose();
    return { error: null };
  }

  /** For what may run code of the program in a call that can't be suspended. Throws when that takes long. */
  brief<T>(work: () => T): T {
    this.#callFuel = BRIEF_FUEL;
    try {
      return work();
    } finally {
      this.#callFuel = CONVERSION_FUEL;
    }
  }

  /** A call of the engine that may be suspended. Nothing else may be called of it until it is over. */
  async #run(name: string, ...args: number[]): Promise<number> {
    const { memory } = this.context as unknown as Inside;
    const counted = memory.module[name];
    const run = counted && this.#suspendable.get(counted);
    if (!run) throw new Error(`The engine has no ${name}.`);
    if (this.#exhausted) throw new OutOfFuel();
    return (await run(...args)) as number;
  }

  /** The exports of the instance, each with fuel of its own: a call from here can't be suspended. What it takes is the program's. */
  #counted(exports: WebAssembly.Exports): object {
    return Object.fromEntries(
      Object.entries(exports).map(([name, exported]) => {
        if (typeof exported !== "function") return [name, exported];
        const run = exported as WasmFunction;
        const counted: WasmFunction = (...args) => this.#call(run, args);
        this.#suspendable.set(counted, promising(run));
        return [name, counted];
      }),
    );
  }

  #call(run: WasmFunction, args: unknown[]): unknown {
    if (this.#suspended) throw new Error("The engine is suspended.");
    const before = Number(this.#meter.value);
    const fuel = this.#callFuel;
    this.#meter.value = BigInt(fuel);
    try {
      return run(...args);
    } finally {
      const after = Number(this.#meter.value);
      // It wanted to be suspended, and failed. A program may even catch that, but not go on.
      if (after < 0) this.#exhausted = true;
      this.#meter.value = BigInt(this.#exhausted ? -1 : before - (fuel - after));
    }
  }

  /** Called by the code of the engine when nothing is on the meter. */
  private async pause(): Promise<void> {
    if (this.#exhausted) throw new OutOfFuel();
    this.#suspended = true;
    const over = -Number(this.#meter.value);
    await this.#options.pause(this.#slice + over);
    this.#left -= over;
    if (this.#left <= 0) {
      this.#exhausted = true;
      throw new OutOfFuel();
    }
    this.#nextSlice();
    this.#suspended = false;
  }

  #nextSlice(): void {
    this.#slice = Math.min(SLICE, this.#left);
    this.#left -= this.#slice;
    this.#meter.value = BigInt(this.#slice);
  }
}
