/**
 * `npm run deploy`: asks for the secrets that the deployment needs, deploys with wrangler, which makes the bindings that are not
 * there yet, and looks whether the result answers. Secrets are read from the environment or typed without being shown; they
 * go to wrangler in a file that only this user can read, and that is deleted at once. What is set already and left empty stays.
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { parseAccessKeys } from "../src/auth/keys.ts";
import { smoke } from "./smoke.ts";

const WRANGLER = join("node_modules", "wrangler", "bin", "wrangler.js");
/** A new name may take a while to be known everywhere. */
const PATIENCE_MS = 60_000;
const PAUSE_MS = 3_000;

const QUESTIONS = {
  ANTHROPIC_API_KEY: "Anthropic API key (empty: keep what is set; none at all: the simulator answers)",
  ACCESS_KEYS: "Access keys as JSON, from npm run keys (empty: keep what is set; none at all: nobody gets in)",
} as const;

/** Asks for a line that is not shown. */
async function secretly(question: string): Promise<string> {
  process.stdout.write(`${question}: `);
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const reader = createInterface({ input: process.stdin, output: silent, terminal: true });
  const line = await new Promise<string>((answered) => {
    reader.once("close", () => answered(""));
    reader.question("", answered);
  });
  reader.close();
  process.stdout.write("\n");
  return line.trim();
}

async function secrets(): Promise<Record<string, string>> {
  const given: Record<string, string> = {};
  for (const [name, question] of Object.entries(QUESTIONS)) {
    const value = process.env[name] || (process.stdin.isTTY ? await secretly(question) : "");
    if (value) given[name] = value;
  }
  const keys = given.ACCESS_KEYS ? parseAccessKeys(given.ACCESS_KEYS) : null;
  if (keys && !keys.ok) stop(`ACCESS_KEYS can't be used: the value ${keys.problem}. npm run keys makes a good one.`);
  return given;
}

/** The first key in ACCESS_KEYS that may do everything: for looking at the result. */
function firstKey(accessKeys: string | undefined): string | undefined {
  const entries = Object.values(JSON.parse(accessKeys ?? "{}") as Record<string, unknown>).flat();
  return entries.find((entry): entry is string => typeof entry === "string");
}

/** Runs wrangler, shows what it says, and gives it back. */
async function wrangler(args: string[]): Promise<{ code: number; said: string }> {
  const child = spawn(process.execPath, [WRANGLER, ...args], { stdio: ["inherit", "pipe", "inherit"] });
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => {
    said += chunk.toString();
    process.stdout.write(chunk);
  });
  const code = await new Promise<number>((ended) => child.once("exit", (status) => ended(status ?? 1)));
  return { code, said };
}

async function deployed(given: Record<string, string>, args: string[]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "madrox-deploy-"));
  try {
    const file = join(folder, "secrets.json");
    writeFileSync(file, JSON.stringify(given), { mode: 0o600 });
    const withSecrets = Object.keys(given).length > 0 ? ["--secrets-file", file] : [];
    const { code, said } = await wrangler(["deploy", ...withSecrets, ...args]);
    if (code !== 0) stop("wrangler did not deploy it. What it said stands above.");
    return said;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The smoke test, until the new server is known where this machine is. */
async function look(url: string, key: string | undefined): Promise<string[]> {
  for (const deadline = Date.now() + PATIENCE_MS; ; ) {
    try {
      return await smoke(url, key);
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((done) => setTimeout(done, PAUSE_MS));
    }
  }
}

function stop(message: string): never {
  console.error(message);
  process.exit(1);
}

const args = process.argv.slice(2);
const dry = args.includes("--dry-run");
const login = dry ? "" : spawnSync(process.execPath, [WRANGLER, "whoami"], { encoding: "utf8" }).stdout;
if (/not authenticated/i.test(login)) {
  stop("wrangler is not logged in. Run npx wrangler login, or set CLOUDFLARE_API_TOKEN, and try again.");
}
const given = await secrets();
const said = await deployed(given, args);
if (!dry) {
  const url = said.match(/https:\/\/[a-z0-9.-]+\.workers\.dev/)?.[0] ?? process.env.PUBLIC_URL;
  if (!url) stop("Deployed, but wrangler named no address. Try it with npm run smoke -- <url> <access key>.");
  const key = firstKey(given.ACCESS_KEYS);
  if (!key) console.log(`Deployed. Try it with npm run smoke -- ${url} <access key>.`);
  else for (const line of await look(url.replace(/\/$/, ""), key)) console.log(`ok  ${line}`);
}
