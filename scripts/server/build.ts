/**
 * The Worker and its pages as a deploy would upload them, built when their sources have changed and kept otherwise, below
 * `.wrangler/build`.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from "node:fs";
import { basename, dirname, extname, join, relative, resolve } from "node:path";
import { Lock } from "./lock.ts";
import { WRANGLER } from "./wrangler-parts.ts";

export interface Build {
  /** The folder with the Worker's modules. */
  folder: string;
  /** The first module's name. */
  entry: string;
  /** The folder of the pages; null where the configuration names none. */
  assets: string | null;
  /** When it was built. */
  at: Date;
}

/** What is read of a wrangler configuration. */
export interface BuildConfig {
  main?: string | undefined;
  assets?: { directory?: string } | undefined;
  build: { command?: string | undefined };
}

const ROOT = resolve(import.meta.dirname, "../..");
const KEPT = join(ROOT, ".wrangler", "build");
/** Builds that are kept: that of the product, those of the configurations of tests, and some for going back and forth. */
const KEEP = 8;

/**
 * The build of a configuration. `building` is called before it is made anew, which takes some seconds; builds of several
 * servers are made one after the other. Throws what wrangler says when it can't be built.
 */
export async function built(configPath: string, config: BuildConfig, building: () => void): Promise<Build> {
  if (!config.main) throw new Error(`${configPath} has no main.`);
  const key = keyOf(configPath, config, config.main);
  const folder = join(KEPT, key);
  mkdirSync(KEPT, { recursive: true });
  if (!existsSync(folder)) {
    const lock = await Lock.wait(join(KEPT, "lock"));
    try {
      if (!existsSync(folder)) {
        building();
        await build(configPath, config, folder);
      }
    } finally {
      lock.release();
    }
  }
  prune(folder);
  return {
    folder: join(folder, "worker"),
    entry: `${basename(config.main, extname(config.main))}.js`,
    assets: config.assets?.directory ? join(folder, "assets") : null,
    at: statSync(join(folder, "worker")).mtime,
  };
}

async function build(configPath: string, config: BuildConfig, folder: string): Promise<void> {
  const draft = `${folder}.draft`;
  rmSync(draft, { recursive: true, force: true });
  await bundle(configPath, join(draft, "worker"));
  // Larger than all the rest, and read by nobody.
  for (const file of globSync(join(draft, "worker", "**", "*.map"))) rmSync(file);
  // A copy, because the next build of the pages empties the folder that they are built into.
  if (config.assets?.directory) {
    cpSync(resolve(dirname(configPath), config.assets.directory), join(draft, "assets"), { recursive: true });
  }
  renameSync(draft, folder);
}

/** Builds exactly what a deploy of a configuration would upload. Throws what wrangler says when that can't be built. */
export function bundle(configPath: string, outdir: string): Promise<void> {
  const args = [WRANGLER, "deploy", "--dry-run", "--outdir", outdir, "--config", resolve(configPath)];
  const env = { ...process.env, WRANGLER_SEND_METRICS: "false" };
  return new Promise((done, failed) => {
    execFile(process.execPath, args, { env, cwd: ROOT, maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      if (error) failed(new Error(`${configPath} could not be built:\n${stdout}\n${stderr}`));
      else done();
    });
  });
}

/** A name for everything that a build depends on: sources, settings of the tools, and what is installed. */
function keyOf(configPath: string, config: BuildConfig, main: string): string {
  const inputs = [
    configPath,
    join(ROOT, "src"),
    ...["package.json", "tsconfig.json", "vite.config.ts", "node_modules/.package-lock.json"].map((file) =>
      join(ROOT, file),
    ),
  ];
  const ownFolder = dirname(resolve(dirname(configPath), main));
  if (relative(join(ROOT, "src"), ownFolder).startsWith("..")) inputs.push(ownFolder);
  // With a build command the pages are made, and no source.
  if (!config.build.command && config.assets?.directory) {
    inputs.push(resolve(dirname(configPath), config.assets.directory));
  }
  const hash = createHash("sha256").update(`${process.version} ${configPath}\n`);
  for (const file of inputs.flatMap(filesOf)) {
    const content = readFileSync(file);
    hash.update(`${relative(ROOT, file)} ${content.length}\n`).update(content);
  }
  return hash.digest("hex").slice(0, 24);
}

function filesOf(path: string): string[] {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) return [];
  if (stat.isFile()) return [path];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** Leaves the builds that were used last. */
function prune(used: string): void {
  const now = new Date();
  utimesSync(used, now, now);
  const builds = readdirSync(KEPT, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && /^[0-9a-f]{24}$/.test(entry.name))
    .map((entry) => join(KEPT, entry.name))
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  for (const old of builds.slice(KEEP)) rmSync(old, { recursive: true, force: true });
}
