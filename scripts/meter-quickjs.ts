/**
 * Makes `src/sandbox/code/quickjs/quickjs.wasm` from the build of QuickJS in node_modules: the same code with a meter in it.
 *
 * QuickJS asks its host now and then whether to go on, but not inside what is native: `Array(4e9).indexOf(1)` is one step that
 * takes minutes. And where this runs, the clock stands still while code computes. So every round of every loop takes one
 * unit from an exported global, and so do each 64 bytes that are copied or filled; below 0 the code calls a function of the
 * host, which fills it up again or throws. How much a program may compute is then a number, the same on every machine, and
 * it computes in slices: the host's function may suspend it (JavaScript Promise Integration).
 *
 * Run it after a change of the package's version: `node scripts/meter-quickjs.ts`. With --check it only says whether the file is
 * what it would make.
 */
import { readFileSync, writeFileSync } from "node:fs";

/** The exported global: i64, what is left. */
const METER = "fuel";
/** The imported function, without parameters and results, that is called when nothing is left. */
const REFILL = { module: "meter", name: "refill" };

/** Pages of 64 KiB that the memory has at least. */
const FIRST_PAGES = 96;

const SECTION = {
  custom: 0,
  type: 1,
  import: 2,
  function: 3,
  global: 6,
  export: 7,
  start: 8,
  element: 9,
  code: 10,
} as const;
const I32 = 0x7f;
const I64 = 0x7e;

/** Reads a module's bytes in order. */
class Reader {
  at = 0;
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get done(): boolean {
    return this.at >= this.bytes.length;
  }

  byte(): number {
    const byte = this.bytes[this.at];
    if (byte === undefined) throw new Error("The module ends in the middle.");
    this.at += 1;
    return byte;
  }

  /** An unsigned LEB128 number below 2^32. */
  u32(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  }

  skipLeb(): void {
    while (this.byte() >= 0x80);
  }

  take(length: number): Uint8Array {
    const taken = this.bytes.subarray(this.at, this.at + length);
    this.at += length;
    return taken;
  }
}

function u32(value: number): number[] {
  const low = value & 0x7f;
  return value < 0x80 ? [low] : [low | 0x80, ...u32(Math.floor(value / 128))];
}

function withLength(bytes: ArrayLike<number>): number[] {
  return [...u32(bytes.length), ...Array.from(bytes)];
}

/** Moves past one instruction's operands. */
function skipOperands(code: Reader, opcode: number): void {
  if (opcode >= 0x45 && opcode <= 0xc4) return;
  if (opcode >= 0x28 && opcode <= 0x3e) {
    code.skipLeb();
    code.skipLeb();
    return;
  }
  switch (opcode) {
    case 0x00: // unreachable
    case 0x01: // nop
    case 0x05: // else
    case 0x0b: // end
    case 0x0f: // return
    case 0x1a: // drop
    case 0x1b: // select
      return;
    case 0x02: // block
    case 0x03: // loop
    case 0x04: // if
    case 0x0c: // br
    case 0x0d: // br_if
    case 0x10: // call
    case 0x20: // local.get
    case 0x21:
    case 0x22:
    case 0x23: // global.get
    case 0x24:
    case 0x3f: // memory.size
    case 0x40: // memory.grow
    case 0x41: // i32.const
    case 0x42: // i64.const
      code.skipLeb();
      return;
    case 0x0e: // br_table
      for (let left = code.u32() + 1; left > 0; left--) code.skipLeb();
      return;
    case 0x11: // call_indirect
      code.skipLeb();
      code.skipLeb();
      return;
    case 0x43: // f32.const
      code.take(4);
      return;
    case 0x44: // f64.const
      code.take(8);
      return;
    case 0xfc: {
      const which = code.u32();
      if (which <= 7) return; // saturating truncations
      code.skipLeb();
      if (which === 8 || which === 10) code.skipLeb();
      if (which > 11) throw new Error(`Instruction 0xfc ${which} is not known here.`);
      return;
    }
    default:
      throw new Error(`Instruction 0x${opcode.toString(16)} is not known here.`);
  }
}

/** Where the meter is, and how a module's own functions are numbered now that there is an import more. */
interface Meter {
  global: number;
  refill: number;
  /** A function's number in the metered module. */
  renumbered(index: number): number;
}

/** One unit for a round of a loop; the host is asked for more when there is none left. */
function chargeRound({ global, refill }: Meter): number[] {
  const get = [0x23, ...u32(global)];
  const set = [0x24, ...u32(global)];
  // if (meter < 0) refill(); meter -= 1
  return [...get, 0x42, 0, 0x53, 0x04, 0x40, 0x10, ...u32(refill), 0x0b, ...get, 0x42, 1, 0x7d, ...set];
}

/** One unit for each 64 bytes of a length that lies on the stack; `scratch` is a local of the function. */
function chargeBytes({ global }: Meter, scratch: number): number[] {
  const get = [0x23, ...u32(global)];
  const set = [0x24, ...u32(global)];
  const length = [0x20, ...u32(scratch)];
  // scratch = length; meter -= length >> 6
  return [0x22, ...u32(scratch), 0x1a, ...get, ...length, 0xad, 0x42, 6, 0x88, 0x7d, ...set, ...length];
}

function meteredFunction(body: Uint8Array, meter: Meter, parameters: number): number[] {
  const code = new Reader(body);
  const groups = code.u32();
  let locals = parameters;
  for (let i = 0; i < groups; i++) {
    locals += code.u32();
    code.byte();
  }
  const out: number[] = [...u32(groups + 1), ...body.subarray(u32(groups).length, code.at), 1, I32];
  while (!code.done) {
    const start = code.at;
    const opcode = code.byte();
    skipOperands(code, opcode);
    const instruction = body.subarray(start, code.at);
    const bulk = opcode === 0xfc && (instruction[1] === 10 || instruction[1] === 11);
    if (bulk) out.push(...chargeBytes(meter, locals));
    if (opcode === 0x10) out.push(opcode, ...u32(meter.renumbered(new Reader(instruction.subarray(1)).u32())));
    else out.push(...instruction);
    if (opcode === 0x03) out.push(...chargeRound(meter));
  }
  return out;
}

/** How many of the imports are functions, and how many globals. */
function importsOf(section: Uint8Array): { functions: number; globals: number } {
  const reader = new Reader(section);
  const found = { functions: 0, globals: 0 };
  for (let left = reader.u32(); left > 0; left--) {
    reader.take(reader.u32());
    reader.take(reader.u32());
    const kind = reader.byte();
    if (kind === 0) {
      reader.u32();
      found.functions += 1;
    } else if (kind === 3) {
      reader.take(2);
      found.globals += 1;
    } else {
      if (kind === 1) reader.byte();
      const limits = reader.byte();
      reader.u32();
      if (limits & 1) reader.u32();
    }
  }
  return found;
}

/** The number of parameters of each type, and the type of each function that the module defines. */
function signaturesOf(types: Uint8Array, functions: Uint8Array): number[] {
  const reader = new Reader(types);
  const parameters: number[] = [];
  for (let left = reader.u32(); left > 0; left--) {
    reader.byte();
    const count = reader.u32();
    reader.take(count);
    reader.take(reader.u32());
    parameters.push(count);
  }
  const uses = new Reader(functions);
  return Array.from({ length: uses.u32() }, () => parameters[uses.u32()] ?? 0);
}

/**
 * The section of imports with one more function at the end, of a type that is the last of its section. The memory may be as
 * small as the engine's data and stack, which end below 6 MiB: the package asks for 16.
 */
function withRefill(section: Uint8Array, type: number): number[] {
  const reader = new Reader(section);
  const count = reader.u32();
  const out = u32(count + 1);
  for (let i = 0; i < count; i++) {
    const start = reader.at;
    reader.take(reader.u32());
    reader.take(reader.u32());
    const kind = reader.byte();
    if (kind === 0) reader.u32();
    else if (kind !== 2 || reader.byte() !== 1) throw new Error("This form of import is not known here.");
    else {
      out.push(...section.subarray(start, reader.at));
      reader.u32();
      out.push(...u32(FIRST_PAGES), ...u32(reader.u32()));
      continue;
    }
    out.push(...section.subarray(start, reader.at));
  }
  const text = (word: string) => withLength(new TextEncoder().encode(word));
  return [...out, ...text(REFILL.module), ...text(REFILL.name), 0x00, ...u32(type)];
}

/** The section of exports, functions renumbered, with the meter. */
function withMeter(section: Uint8Array, meter: Meter): number[] {
  const reader = new Reader(section);
  const count = reader.u32();
  const out = u32(count + 1);
  for (let i = 0; i < count; i++) {
    const name = reader.take(reader.u32());
    const kind = reader.byte();
    const index = reader.u32();
    out.push(...withLength(name), kind, ...u32(kind === 0 ? meter.renumbered(index) : index));
  }
  return [...out, ...withLength(new TextEncoder().encode(METER)), 3, ...u32(meter.global)];
}

/** The section of table elements, functions renumbered: only the form that compilers of C use is known here. */
function renumberedElements(section: Uint8Array, meter: Meter): number[] {
  const reader = new Reader(section);
  const count = reader.u32();
  const out = u32(count);
  for (let i = 0; i < count; i++) {
    if (reader.u32() !== 0 || reader.byte() !== 0x41) throw new Error("This form of table elements is not known here.");
    const start = reader.at;
    reader.skipLeb();
    out.push(0, 0x41, ...section.subarray(start, reader.at));
    if (reader.byte() !== 0x0b) throw new Error("This form of table elements is not known here.");
    const functions = reader.u32();
    out.push(0x0b, ...u32(functions));
    for (let j = 0; j < functions; j++) out.push(...u32(meter.renumbered(reader.u32())));
  }
  return out;
}

/** The module with a meter. */
export function metered(module: Uint8Array): Uint8Array {
  const reader = new Reader(module);
  const out: number[] = [...reader.take(8)];
  const sections: { id: number; content: Uint8Array }[] = [];
  while (!reader.done) {
    const id = reader.byte();
    sections.push({ id, content: reader.take(reader.u32()) });
  }
  const contentOf = (id: number) => sections.find((section) => section.id === id)?.content ?? new Uint8Array([0]);
  const imported = importsOf(contentOf(SECTION.import));
  const types = new Reader(contentOf(SECTION.type)).u32();
  const meter: Meter = {
    global: imported.globals + new Reader(contentOf(SECTION.global)).u32(),
    refill: imported.functions,
    renumbered: (index) => (index < imported.functions ? index : index + 1),
  };
  const parameters = signaturesOf(contentOf(SECTION.type), contentOf(SECTION.function));

  const rewrite = (id: number, content: Uint8Array): ArrayLike<number> => {
    const section = new Reader(content);
    switch (id) {
      case SECTION.type: {
        const count = section.u32();
        // A function without parameters and results.
        return [...u32(count + 1), ...content.subarray(section.at), 0x60, 0, 0];
      }
      case SECTION.import:
        return withRefill(content, types);
      case SECTION.global: {
        const count = section.u32();
        return [...u32(count + 1), ...content.subarray(section.at), I64, 1, 0x42, 0, 0x0b];
      }
      case SECTION.export:
        return withMeter(content, meter);
      case SECTION.start:
        return u32(meter.renumbered(section.u32()));
      case SECTION.element:
        return renumberedElements(content, meter);
      case SECTION.code: {
        const count = section.u32();
        const bodies: number[] = u32(count);
        for (let i = 0; i < count; i++) {
          const body = meteredFunction(section.take(section.u32()), meter, parameters[i] ?? 0);
          for (const byte of withLength(body)) bodies.push(byte);
        }
        return bodies;
      }
      default:
        return content;
    }
  };
  for (const { id, content } of sections) {
    // Names of functions, for debuggers: they would be those of others.
    if (id === SECTION.custom) continue;
    const rewritten = rewrite(id, content);
    out.push(id, ...u32(rewritten.length));
    for (let i = 0; i < rewritten.length; i++) out.push(rewritten[i] ?? 0);
  }
  return new Uint8Array(out);
}

if (import.meta.main) {
  const source = new URL(
    "../node_modules/@jitl/quickjs-wasmfile-release-sync/dist/emscripten-module.wasm",
    import.meta.url,
  );
  const target = new URL("../src/sandbox/code/quickjs/quickjs.wasm", import.meta.url);
  const made = metered(readFileSync(source));
  if (!process.argv.includes("--check")) {
    writeFileSync(target, made);
    console.log(`${target.pathname}: ${made.length} bytes`);
  } else if (!readFileSync(target).equals(made)) {
    console.error("quickjs.wasm is not made from the package that is installed. Run: node scripts/meter-quickjs.ts");
    process.exitCode = 1;
  }
}
