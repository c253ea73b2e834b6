/**
 * The shell and the code runner as tools of an instance. What they need is loaded when one of them is first used.
 */
import * as z from "zod";
import type { InstanceTool, InstanceToolContext, ToolResult } from "../contracts/instance-tool.ts";
import { inputOf, schemaOf } from "../contracts/tool-input.ts";
import { redacted, secretValues } from "../platform/redaction.ts";
import type { Outcome } from "./outcome.ts";
import { ROOT } from "./paths.ts";
import { PosixFiles } from "./posix-files.ts";

/** Characters of each stream that the model is shown: the beginning and the end. */
const SHOWN = 30_000;
const MAX_SECONDS = 30;
/** Beside what a script or program may take: loading, and waiting for a place. */
const PATIENCE_MS = 30_000;

const timeout = z
  .number()
  .positive()
  .max(MAX_SECONDS)
  .default(MAX_SECONDS)
  .describe(`Seconds after which it is stopped, at most ${MAX_SECONDS}`);

const BashInput = z.strictObject({
  command: z.string().min(1).max(100_000).describe("A script of one or more lines"),
  timeout_seconds: timeout,
});

const CodeInput = z.strictObject({
  code: z.string().min(1).max(1_000_000).optional().describe("The program itself, an ES module"),
  path: z.string().min(1).optional().describe("Or a file of your workspace, like src/app.test.ts"),
  language: z
    .enum(["javascript", "typescript"])
    .optional()
    .describe("Of `code`; a file's is known by its ending. Default: javascript"),
  args: z.array(z.string()).max(100).default([]).describe("process.argv, from the third on"),
  timeout_seconds: timeout,
});

const bash: InstanceTool = {
  name: "bash",
  description: `Run a bash script on the files of your workspace, which is ${ROOT}, the working directory. An interpreter, not a machine: the usual commands on text and files (ls, cat, grep, sed, awk, find, sort, jq, diff, xargs, ...) and \`node file.js\`, which runs programs as run_code does. There is no network, no git, no package manager and nothing goes on in the background. Every call is a new shell: files stay, variables and cd do not. Runaway scripts are stopped.`,
  input_schema: schemaOf(BashInput),
  preset: "full",
  powers: ["execute", "write", "read"],
  repeatable: false,
  timeoutMs: MAX_SECONDS * 1000 + PATIENCE_MS,
  async run(input, context) {
    const { command, timeout_seconds } = inputOf("bash", BashInput, input);
    const { runShell } = await import("./shell/shell.ts");
    const { environment } = await context.secrets();
    const outcome = await runShell(new PosixFiles(context.workspace), {
      tenant: context.tenant,
      script: command,
      env: environment,
      timeoutMs: timeout_seconds * 1000,
      signal: context.signal,
    });
    return shown(outcome, context);
  },
};

const runCode: InstanceTool = {
  name: "run_code",
  description:
    "Run a JavaScript or TypeScript program (ES modules; types are taken out, not checked) in a sandbox, on the files of your workspace. It can import other files by their path (./name.js, ./name.ts) and node:assert, node:test, node:path, node:fs/promises, node:util; there are console, timers and process. No network, no packages, no require, no synchronous file calls. It may compute for about two seconds and use 32 MB. Tests written with node:test run here as under Node.",
  input_schema: schemaOf(CodeInput),
  preset: "full",
  powers: ["execute", "write", "read"],
  repeatable: false,
  timeoutMs: MAX_SECONDS * 1000 + PATIENCE_MS,
  async run(input, context) {
    const { code, path, language, args, timeout_seconds } = inputOf("run_code", CodeInput, input);
    if ((code === undefined) === (path === undefined)) throw new Error("run_code needs either code or path.");
    const { Program } = await import("./code/program.ts");
    const { environment } = await context.secrets();
    const outcome = await new Program(new PosixFiles(context.workspace), context.tenant).run({
      source: path === undefined ? { code: code ?? "", typescript: language === "typescript" } : { path },
      cwd: ROOT,
      argv: args,
      env: { HOME: ROOT, ...environment },
      timeoutMs: timeout_seconds * 1000,
      signal: context.signal,
    });
    return shown(outcome, context);
  },
};

export const SANDBOX_TOOLS: readonly InstanceTool[] = [bash, runCode];

/** What the model is told. Only a script or program that was stopped is an error: that one failed is for the model to judge. */
async function shown(outcome: Outcome, context: InstanceToolContext): Promise<ToolResult> {
  const { stdout, stderr, exitCode, stopped } = outcome;
  const secrets = secretValues(await context.secrets());
  // Before anything is cut: a piece of a secret would not be found.
  const shownOf = (text: string) => ends(redacted(text, secrets));
  const parts = [
    stopped === null ? null : redacted(stopped, secrets),
    exitCode === 0 && stopped === null ? null : `Exit code ${exitCode}.`,
    stdout === "" ? null : shownOf(stdout),
    stderr === "" ? null : `[stderr]\n${shownOf(stderr)}`,
  ].filter((part) => part !== null);
  return { content: parts.length === 0 ? "It ran without any output." : parts.join("\n"), isError: stopped !== null };
}

function ends(text: string): string {
  if (text.length <= SHOWN) return text;
  const half = SHOWN / 2;
  return `${text.slice(0, half)}\n[... ${text.length - SHOWN} characters left out ...]\n${text.slice(-half)}`.toWellFormed();
}
