/** `process`, and how a program ends. */
import { type Facts, host } from "./host.ts";
import { inspect } from "./inspect.ts";

// Nothing to read where these modules run without a sandbox.
const { argv, env, cwd }: Facts = host ? (JSON.parse(host.facts) as Facts) : { argv: [], env: {}, cwd: "/" };

/** Thrown by `process.exit`, so that nothing after it runs; it is no failure. */
const exiting = { exiting: true };

/** An error that nothing caught ends the program. */
export function fatal(error: unknown): void {
  if (error === exiting) return;
  host.out(2, `Uncaught ${inspect(error)}\n`);
  host.exit(1);
}

/** The status that a code stands for, as Node takes it: an integer, also as text, of which a system keeps the last byte. */
export function exitStatus(code: unknown): number {
  if (code === undefined || code === null) return 0;
  const number = typeof code === "string" && code.trim() !== "" ? Number(code) : code;
  if (Number.isInteger(number)) return Number(BigInt(number as number) & 255n);
  const error = new TypeError(`The "code" argument must be an integer. Received ${inspect(code)}`);
  throw Object.assign(error, { code: "ERR_INVALID_ARG_TYPE" });
}

let exitCode: unknown;

const writer = (stream: 1 | 2) => ({
  isTTY: false,
  write: (text: unknown) => {
    host.out(stream, String(text));
    return true;
  },
});

export const process = {
  argv: ["node", ...argv],
  env: { ...env } as Record<string, string | undefined>,
  platform: "linux",
  versions: {},
  get exitCode(): unknown {
    return exitCode;
  },
  set exitCode(code: unknown) {
    exitStatus(code);
    exitCode = code;
  },
  cwd: () => cwd,
  exit: (code?: unknown): never => {
    host.exit(exitStatus(code ?? exitCode));
    throw exiting;
  },
  nextTick: (run: (...args: unknown[]) => unknown, ...args: unknown[]) => queueMicrotask(() => run(...args)),
  hrtime: { bigint: () => BigInt(Date.now()) * 1_000_000n },
  stdout: writer(1),
  stderr: writer(2),
  // There are no signals and no other events to be told of.
  on: () => process,
  once: () => process,
};

export function queueMicrotask(run: () => unknown): void {
  Promise.resolve().then(run).catch(fatal);
}

const finishers: (() => Promise<void>)[] = [];

/** Has something done when the program has come to its end: a test file runs its tests then. */
export function atEnd(finish: () => Promise<void>): void {
  finishers.push(finish);
}

/** Does what was asked for at the end. Resolves with the program's status. */
export async function finish(): Promise<number> {
  for (const next of finishers) await next();
  return exitStatus(exitCode);
}
