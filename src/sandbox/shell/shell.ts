/**
 * Bash without a machine: an interpreter over the files of a workspace. It knows no network and no process; what a script may
 * use up is counted, not timed, so that it ends even where the clock stands still while code runs.
 */
import type { CommandContext, CommandName, IFileSystem } from "just-bash/browser";
import { Program, type ProgramRequest } from "../code/program.ts";
import { FairSemaphore, type Permit } from "../fair-semaphore.ts";
import type { Outcome } from "../outcome.ts";
import { ROOT } from "../paths.ts";
import type { PosixFiles } from "../posix-files.ts";
import { wait } from "../wait.ts";
import { Interpreter } from "./interpreter.ts";
import { ScriptMeter } from "./script-meter.ts";
import { ShellFiles } from "./shell-files.ts";
import { SCRIPT_UNITS, STEP_UNITS, type WorkLimits } from "./work-limits.ts";

export interface ShellRequest {
  tenant: string;
  script: string;
  /** Variables beside the shell's own. */
  env: Readonly<Record<string, string>>;
  /** ms of waiting and working after which it is stopped. */
  timeoutMs: number;
  signal: AbortSignal;
  /** What it may compute. */
  work?: WorkLimits;
}

const MB = 1024 * 1024;
/**
 * Of one script, beside its work (script-meter.ts). Each loop, each text and all output together are bounded. What a limit stops
 * says which limit that was.
 */
const LIMITS = {
  maxCommandCount: 10_000,
  maxLoopIterations: 10_000,
  maxAwkIterations: 100_000,
  maxOutputSize: 8 * MB,
  maxLiveBytes: 32 * MB,
  maxStringLength: 4 * MB,
  maxArchiveBytes: 16 * MB,
  maxArchiveEntryBytes: 16 * MB,
  maxArchiveCompressedBytes: 16 * MB,
  maxExtensionCleanupTimeMs: 100,
};
/** Of the shell's own files, outside the workspace. */
const MAX_OWN_FILES = 8 * MB;
/** A script that sleeps and holds no more than this leaves its place to others. */
const LIGHT_BYTES = MB;

/** Scripts of an isolate that are there, and of these the ones that do not sleep. */
const scripts = new FairSemaphore({ permits: 24, perTenant: 8, loanMs: 120_000 });
const running = new FairSemaphore({ permits: 3, perTenant: 2, loanMs: 120_000 });

/** Commands of the interpreter that are not here: they need what a Worker does not have. */
const LEFT_OUT: ReadonlySet<string> = new Set(["html-to-markdown"]);

/** The status with which the interpreter ends a script at a limit; a file that can't be run has it too. */
const LIMIT_STATUS = 126;
const TIMEOUT_STATUS = 124;

/** How a script ended, and what it computed, in units of the meter. */
export interface ShellOutcome extends Outcome {
  work: { step: number; total: number };
}

/** Runs a script. Files that it changed stay changed when it is stopped. Throws only when there is no place in time. */
export async function runShell(files: PosixFiles, request: ShellRequest): Promise<ShellOutcome> {
  const { tenant, signal } = request;
  return scripts.run(tenant, signal, () => running.run(tenant, signal, (permit) => runScript(files, request, permit)));
}

async function runScript(files: PosixFiles, request: ShellRequest, permit: Permit): Promise<ShellOutcome> {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), request.timeoutMs);
  const signal = AbortSignal.any([request.signal, abort.signal]);
  const meter = new ScriptMeter({
    tenant: request.tenant,
    signal,
    limits: request.work ?? { step: STEP_UNITS, script: SCRIPT_UNITS },
    stop: () => abort.abort(),
  });
  try {
    return await Interpreter.with(meter, async (interpreter) => {
      const { shell } = interpreter;
      const script = new Script({ files, request, permit, meter, signal });
      const own = new shell.InMemoryFs({ "/dev/null": "", "/tmp/.keep": "" }, { maxTotalBytes: MAX_OWN_FILES });
      const bash = new shell.Bash({
        fs: new shell.MountableFs({
          base: withNullDevice(own),
          mounts: [{ mountPoint: ROOT, filesystem: new ShellFiles(files, meter) }],
        }),
        cwd: ROOT,
        env: { ...request.env, HOME: ROOT, TMPDIR: "/tmp" },
        executionLimits: { ...LIMITS, maxExecutionTimeMs: request.timeoutMs },
        executionLimitProfile: "hardened",
        commands: shell.getCommandNames().filter((name) => !LEFT_OUT.has(name)) as CommandName[],
        customCommands: [
          shell.defineCommand("node", (args, context) => script.node(args, context)),
          shell.defineCommand("sleep", (args, context) => script.beforeSleep(args, context, own)),
        ],
        sleep: (ms) => script.sleep(ms),
      });
      const ended = await script.end(bash.exec(request.script, { signal }));
      return { ...withRefused(ended, interpreter.refused), work: meter.work };
    });
  } finally {
    clearTimeout(timer);
  }
}

/** What a running script has beside its interpreter. */
class Script {
  readonly #program: Program;
  readonly #request: ShellRequest;
  readonly #permit: Permit;
  readonly #meter: ScriptMeter;
  readonly #signal: AbortSignal;
  #isLight = false;

  constructor(parts: {
    files: PosixFiles;
    request: ShellRequest;
    permit: Permit;
    meter: ScriptMeter;
    signal: AbortSignal;
  }) {
    this.#program = new Program(parts.files, parts.request.tenant);
    this.#request = parts.request;
    this.#permit = parts.permit;
    this.#meter = parts.meter;
    this.#signal = parts.signal;
  }

  /** `node`: its programs are those of `run_code`. */
  async node(args: string[], { cwd, exportedEnv: env = {} }: CommandContext) {
    const asked = programsOf(args);
    if (typeof asked === "string") return { stdout: "", stderr: `node: ${asked}\n`, exitCode: 9 };
    const whole = { stdout: "", stderr: "", exitCode: 0 };
    for (const one of asked) {
      const request = { ...one, cwd, env, timeoutMs: this.#request.timeoutMs, signal: this.#signal };
      const ran = await this.#permit.without(() => this.#program.run(request));
      this.#meter.waited();
      whole.stdout += ran.stdout;
      whole.stderr += ran.stopped === null ? ran.stderr : `${ran.stderr}node: ${ran.stopped}\n`;
      whole.exitCode ||= ran.exitCode;
    }
    return whole;
  }

  /** `sleep` is the interpreter's own; this sees how much the script holds meanwhile. */
  async beforeSleep(args: string[], context: CommandContext, own: object) {
    const { env, executionScope, origCommand } = context;
    if (!origCommand) throw new Error("The interpreter has no sleep.");
    let held = LIMITS.maxLiveBytes - (executionScope?.remainingLiveBytes ?? 0);
    for (const value of env.values()) held += value.length;
    if ("retainedBytes" in own) held += Number(own.retainedBytes);
    this.#isLight = held <= LIGHT_BYTES;
    return origCommand(args);
  }

  /** Ends early, without a word, when the script is stopped. */
  async sleep(ms: number): Promise<void> {
    await this.#meter.rest();
    const sleeping = () => wait(ms, this.#signal);
    if (!this.#isLight) await sleeping();
    else {
      try {
        await this.#permit.without(sleeping);
      } catch (error) {
        // It was stopped before there was a place again: it ends at its next step.
        if (!this.#signal.aborted) throw error;
      }
    }
    this.#meter.waited();
  }

  async end(run: Promise<{ stdout: string; stderr: string; exitCode: number }>): Promise<Outcome> {
    const ran = await run.catch((error: unknown) => {
      if (this.#meter.stopped === null) throw error;
      return { stdout: "", stderr: "", exitCode: TIMEOUT_STATUS };
    });
    const { stdout, stderr, exitCode } = withStatus(ran);
    const { stopped } = this.#meter;
    if (stopped !== null) return { stdout, stderr, exitCode: TIMEOUT_STATUS, stopped };
    return { stdout, stderr, exitCode, stopped: stopOf(ran, this.#request.timeoutMs) };
  }
}

/** An exit status is a byte; `exit x` is an error with status 2, as in bash. */
function withStatus<Ran extends { stderr: string; exitCode: number }>(ran: Ran): Ran {
  if (Number.isInteger(ran.exitCode)) return { ...ran, exitCode: ran.exitCode & 0xff };
  return { ...ran, stderr: `${ran.stderr}exit: numeric argument required\n`, exitCode: 2 };
}

/** Some commands go on without an expression that they can't use, and without a word: then this says it. */
function withRefused(outcome: Outcome, refused: readonly string[]): Outcome {
  if (refused.length === 0) return outcome;
  const said = refused.map(
    (expression) =>
      `The expression ${expression.slice(0, 200)} can't be used: there is no look-around and no reference back here (RE2's syntax).\n`,
  );
  return { ...outcome, stderr: outcome.stderr + said.join(""), exitCode: outcome.exitCode || 2 };
}

/** The shell's own files, beside the workspace: what is written to the null device is gone. */
function withNullDevice(fs: IFileSystem): IFileSystem {
  const { writeFile, appendFile } = fs;
  fs.writeFile = async (path, ...rest) => (path === "/dev/null" ? undefined : writeFile.call(fs, path, ...rest));
  fs.appendFile = async (path, ...rest) => (path === "/dev/null" ? undefined : appendFile.call(fs, path, ...rest));
  return fs;
}

/** Why a script was stopped, or null when it ended by itself. */
function stopOf({ exitCode, stderr }: { exitCode: number; stderr: string }, timeoutMs: number): string | null {
  if (exitCode === TIMEOUT_STATUS && /execution (?:aborted|deadline)|exceeded execution deadline/.test(stderr)) {
    return `Stopped: it took longer than ${timeoutMs / 1000} s.`;
  }
  const limit = /^.*(?:limit exceeded|size exceeded|too many|maximum .*exceeded|exceeded maximum|depth).*$/m.exec(
    stderr,
  )?.[0];
  if (exitCode !== LIMIT_STATUS || limit === undefined) return null;
  return `Stopped at a limit: ${limit.replace(/, increase executionLimits\.\w+/, "")}.`;
}

/** What `node` is asked to run: a file, `-e` code, or with `--test` each of some files. A text says why it can't be. */
function programsOf(args: readonly string[]): Pick<ProgramRequest, "source" | "argv">[] | string {
  const [first, ...rest] = args.filter((arg) => !IMPLIED.has(arg));
  const known = "There are: node file.js, node -e 'code', node --test file.js";
  if (first === undefined) return `it needs a file. ${known}`;
  if (first === "--test") {
    return rest.length === 0 ? "--test needs files" : rest.map((path) => ({ source: { path }, argv: [] }));
  }
  if (first === "-e" || first === "--eval") {
    const [code, ...argv] = rest;
    return code === undefined ? `${first} needs code` : [{ source: { code, typescript: false }, argv }];
  }
  if (first.startsWith("-")) return `${first} is not known here. ${known}`;
  return [{ source: { path: first }, argv: rest }];
}

/** What is so in any case: modules and types are understood, and there are no warnings. */
const IMPLIED: ReadonlySet<string> = new Set(["--experimental-strip-types", "--input-type=module", "--no-warnings"]);
