/**
 * `npm run engine:work`: writes the table of docs/shell.md: for each command of the shell, a call that costs it much, how its work
 * grows with the input, and at which size a step ends. Work is counted by the meter, so the numbers are the same everywhere.
 * `--check` writes nothing and ends with 1 when the table is another.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { HOSTILE, HOSTILE_CONSTRUCTS, hostileFiles } from "./meter-shell/hostile.ts";

const FILE = "docs/shell.md";
const START = "<!-- table: npm run engine:work -->";
const END = "<!-- end of table -->";
/** Bytes of the inputs that are compared. */
const SIZES = [4_000, 8_000] as const;

// By computed names: these are of the Worker's world, this script of Node's.
const from = (file: string): Promise<unknown> => import(new URL(file, import.meta.url).href);
const { createShell } = (await from(
  "../src/sandbox/shell/just-bash.js",
)) as typeof import("../src/sandbox/shell/just-bash.js");
const { SLICE_UNITS, STEP_UNITS } = (await from("../src/sandbox/shell/work-limits.ts")) as {
  SLICE_UNITS: number;
  STEP_UNITS: number;
};

/** What a call takes in an interpreter of its own, in units of the meter: in all, and without a rest between. */
async function workOf(script: string, size: number): Promise<{ total: number; step: number }> {
  let total = 0;
  let step = 0;
  let largest = 0;
  const count = (used: number) => {
    total += used;
    step += used;
    largest = Math.max(largest, step);
  };
  const host = {
    refill: (used: number) => {
      count(used);
      return 1_000;
    },
    get due() {
      return step >= SLICE_UNITS;
    },
    pause: async () => {
      step = 0;
    },
    refused: (error: Error) => error,
  };
  const shell = createShell(host);
  const { files, text } = hostileFiles(size);
  const bash = new shell.Bash({
    fs: new shell.InMemoryFs(files),
    cwd: "/workspace",
    env: { x: text },
    executionLimitProfile: "hardened",
    sleep: async () => {},
    customCommands: [shell.defineCommand("node", async () => ({ stdout: "", stderr: "", exitCode: 0 }))],
  });
  // What the first call of a command takes once is not its work.
  await bash.exec(/^\w/.test(script) ? `${script.split(" ")[0]} --help` : "true");
  shell.used();
  total = step = largest = 0;
  await bash.exec(script);
  count(shell.used());
  return { total, step: largest };
}

function growth(exponent: number): string {
  if (exponent < 0.3) return "not with the input";
  if (exponent < 1.25) return "linear";
  if (exponent < 1.6) return "n log n or so";
  return exponent < 2.3 ? "quadratic" : `n^${exponent.toFixed(1)}`;
}

function sizeAtLimit(step: number, exponent: number): string {
  if (exponent < 0.3) return "none";
  const bytes = SIZES[1] * (STEP_UNITS / step) ** (1 / exponent);
  if (bytes > 16e6) return "above 16 MB";
  return bytes >= 1e6 ? `${(bytes / 1e6).toPrecision(2)} MB` : `${Number((bytes / 1e3).toPrecision(2))} KB`;
}

async function row([name, script]: [string, string]): Promise<string> {
  const [small, large] = [await workOf(script, SIZES[0]), await workOf(script, SIZES[1])];
  const exponent = Math.log2(large.total / small.total);
  const ofStep = Math.log2(large.step / small.step);
  const cell = (text: string) => `\`${text.replaceAll("|", "\\|")}\``;
  const units = Number((large.total / 1e3).toPrecision(2)).toLocaleString("en");
  return `| ${cell(name)} | ${cell(script)} | ${units} | ${growth(exponent)} | ${sizeAtLimit(large.step, ofStep)} |`;
}

const rows: string[] = [];
for (const entry of [...Object.entries(HOSTILE), ...Object.entries(HOSTILE_CONSTRUCTS)]) rows.push(await row(entry));
const table = [
  "| Command | A call that costs much | 1,000 units at 8 KB | Grows | A step ends at |",
  "|---|---|---|---|---|",
  ...rows,
].join("\n");
const page = readFileSync(FILE, "utf8");
const made = page.replace(/(<!-- table[^>]*-->)[\s\S]*(<!-- end of table -->)/, () => `${START}\n${table}\n${END}`);
if (!process.argv.includes("--check")) writeFileSync(FILE, made);
else if (made !== page) {
  console.error(`The table of ${FILE} is not what the meter counts. Run npm run engine:work.`);
  process.exit(1);
}
