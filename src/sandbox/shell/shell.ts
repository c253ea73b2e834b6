/**
 * Bash without a machine: an interpreter over the files of a workspace. It knows no network and no process; what a script may
 * use up is counted, not timed, so that it ends even where the clock stands still while code runs.
 */
import type { IFileSystem } from "just-bash/browser";
import { Program, type ProgramRequest } from "../code/program.ts";
import type { Outcome } from "../outcome.ts";
import { ROOT } from "../paths.ts";
import type { PosixFiles } from "../posix-files.ts";
import { Semaphore } from "../semaphore.ts";
import { TimeSlice } from "./time-slice.ts";

export interface ShellRequest {
  script: string;
  /** Variables beside the shell's own. */
  env: Readonly<Record<string, string>>;
  /** ms of waiting and working after which it is stopped. */
  timeoutMs: number;
  signal: AbortSignal;
}

/**
 * Of one script. Each loop, each text and all output together are bounded; 10,000 commands take about half a second. What a
 * limit stops says which limit that was.
 */
const LIMITS = {
  maxCommandCount: 10_000,
  maxLoopIterations: 10_000,
  maxAwkIterations: 100_000,
  maxOutputSize: 8 * 1024 * 1024,
  maxLiveBytes: 32 * 1024 * 1024,
  maxStringLength: 4 * 1024 * 1024,
  maxExtensionCleanupTimeMs: 100,
};

/** Scripts of an isolate that run at once. */
const shells = new Semaphore(3);

/** The status with which the interpreter ends a script at a limit; a file that can't be run has it too. */
const LIMIT_STATUS = 126;
const TIMEOUT_STATUS = 124;

/** Runs a script. Files that it changed stay changed when it is stopped. Throws only when there is no place in time. */
export async function runShell(files: PosixFiles, request: ShellRequest): Promise<Outcome> {
  return shells.run(request.signal, async () => {
    const { Bash, InMemoryFs, MountableFs, defineCommand } = await import("just-bash/browser");
    const { ShellFiles } = await import("./shell-files.ts");
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), request.timeoutMs);
    const program = new Program(files);
    const signal = AbortSignal.any([request.signal, abort.signal]);
    const slice = new TimeSlice();
    let overdue = false;
    const node = defineCommand("node", async (args, context) => {
      const asked = programsOf(args);
      if (typeof asked === "string") return { stdout: "", stderr: `node: ${asked}\n`, exitCode: 9 };
      const env = context.exportedEnv ?? {};
      const whole = { stdout: "", stderr: "", exitCode: 0 };
      for (const one of asked) {
        const ran = await program.run({ ...one, cwd: context.cwd, env, timeoutMs: request.timeoutMs, signal });
        slice.restart();
        whole.stdout += ran.stdout;
        whole.stderr += ran.stopped === null ? ran.stderr : `${ran.stderr}node: ${ran.stopped}\n`;
        whole.exitCode ||= ran.exitCode;
      }
      return whole;
    });
    const fs = new MountableFs({
      base: ownFiles(new InMemoryFs({ "/dev/null": "", "/tmp/.keep": "" }), slice),
      mounts: [{ mountPoint: ROOT, filesystem: new ShellFiles(files, slice) }],
    });
    const bash = new Bash({
      fs,
      cwd: ROOT,
      env: { ...request.env, HOME: ROOT, TMPDIR: "/tmp" },
      executionLimits: { ...LIMITS, maxExecutionTimeMs: request.timeoutMs },
      executionLimitProfile: "hardened",
      customCommands: [node],
      sleep: async (ms) => {
        await wait(ms, signal);
        slice.restart();
      },
      // Told of every step. A script that computes on and on is stopped at its next one.
      coverage: {
        hit() {
          if (!slice.exceeded || abort.signal.aborted) return;
          overdue = true;
          abort.abort();
        },
      },
    });
    try {
      const ran = await bash.exec(request.script, { signal });
      const { stdout, stderr, exitCode } = ran;
      return { stdout, stderr, exitCode, stopped: overdue ? OVERDUE : stopOf(ran, request.timeoutMs) };
    } finally {
      clearTimeout(timer);
    }
  });
}

const OVERDUE = "Stopped: one step of it computed for too long.";

/** The shell's own files, beside the workspace: what is written to the null device is gone. Commands are looked up here. */
function ownFiles(fs: IFileSystem, slice: TimeSlice): IFileSystem {
  const { writeFile, appendFile, exists } = fs;
  fs.exists = async (path) => {
    await slice.yieldIfDue();
    return exists.call(fs, path);
  };
  fs.writeFile = async (path, ...rest) => (path === "/dev/null" ? undefined : writeFile.call(fs, path, ...rest));
  fs.appendFile = async (path, ...rest) => (path === "/dev/null" ? undefined : appendFile.call(fs, path, ...rest));
  return fs;
}

/** Ends early, without a word, when the signal is aborted. */
function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, Math.min(ms, 2 ** 31 - 1));
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted) end();
  });
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
