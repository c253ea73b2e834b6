/**
 * Interpreters, each with a meter of its own: it is a variable in their code, so an interpreter runs one script at a time. Making
 * one takes 10 ms and 300 KB, so a few are kept.
 */

import type { Shell, ShellHost } from "./just-bash.js";
import type { ScriptMeter } from "./script-meter.ts";

const KEPT = 3;
/** What making one takes. */
const MAKING_UNITS = 200_000;
/** What the interpreter says of an expression that is well-formed elsewhere: others it calls invalid, and its commands say so. */
const UNSUPPORTED = /^Invalid regular expression: \/([\s\S]*)\/: .*not supported in this environment/;

/** What an interpreter has of the script that it runs. */
interface Own {
  meter: ScriptMeter | null;
  refused: Set<string>;
}

const idle: Interpreter[] = [];

export class Interpreter {
  readonly shell: Shell;
  readonly #host: Own;

  private constructor(shell: Shell, host: Own) {
    this.shell = shell;
    this.#host = host;
  }

  /** Regular expressions of the script that can't be used, as the interpreter has them. */
  get refused(): readonly string[] {
    return [...this.#host.refused];
  }

  /** Runs `work` with an interpreter that counts on this meter, when its tenant's turn has come. */
  static async with<T>(meter: ScriptMeter, work: (interpreter: Interpreter) => Promise<T>): Promise<T> {
    await meter.rest();
    let interpreter = idle.pop();
    if (!interpreter) {
      interpreter = await Interpreter.#make();
      meter.count(MAKING_UNITS);
    }
    interpreter.shell.reset();
    interpreter.#host.meter = meter;
    interpreter.#host.refused.clear();
    meter.waited();
    try {
      return await work(interpreter);
    } finally {
      interpreter.#host.meter = null;
      meter.account();
      // One that was stopped was stopped anywhere.
      if (meter.stopped === null && idle.length < KEPT) idle.push(interpreter);
    }
  }

  static async #make(): Promise<Interpreter> {
    const { createShell } = await import("./just-bash.js");
    const own: Own = { meter: null, refused: new Set() };
    const host: ShellHost = {
      // What is evaluated at first is no script's.
      refill: (used) => (own.meter ? own.meter.count(used) : 1_000_000),
      get due() {
        return own.meter?.due ?? false;
      },
      async pause() {
        await own.meter?.rest();
      },
      refused(error) {
        const [, expression] = UNSUPPORTED.exec(error.message) ?? [];
        if (expression !== undefined) own.refused.add(expression);
        return error;
      },
    };
    return new Interpreter(createShell(host), own);
  }
}
