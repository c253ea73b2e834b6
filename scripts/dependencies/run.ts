/**
 * `npm run dependencies` pins everything that is installed, without a lock file: one that was made where a registry lists the
 * programs of one platform alone keeps npm from finding those of others. It asks npm for the whole tree, writes an override for
 * every range in it into package.json, and name, version, licence and hash of every package into dependencies.json. What is
 * pinned stays; with `-- --update` everything may become newer. `npm run dependencies:check` holds what is installed against
 * both, and ends with 1 where they differ.
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import {
  differences,
  type LockedPackage,
  type Overrides,
  overridesOf,
  type Recorded,
  recordOf,
  type Tree,
  unpinned,
  wiringOf,
} from "./tree.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const RECORD = join(ROOT, "dependencies.json");
const PACKAGE = join(ROOT, "package.json");

type Package = LockedPackage & { overrides?: Overrides };

const json = <T>(file: string) => JSON.parse(readFileSync(file, "utf8")) as T;
const write = (file: string, value: unknown) => writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`);

/** The tree that npm would install on any platform for this package.json. Nothing is installed, and no script is run. */
function resolvedTree(project: Package): Tree {
  const folder = mkdtempSync(join(tmpdir(), "madrox-dependencies-"));
  try {
    write(join(folder, "package.json"), project);
    copyFileSync(join(ROOT, ".npmrc"), join(folder, ".npmrc"));
    const args = [
      "install",
      "--package-lock-only",
      "--package-lock=true",
      "--ignore-scripts",
      "--no-audit",
      "--no-fund",
    ];
    const [command, first] = process.env.npm_execpath ? [process.execPath, [process.env.npm_execpath]] : ["npm", []];
    const { status, stderr } = spawnSync(command, [...first, ...args], { cwd: folder, encoding: "utf8" });
    if (status !== 0) throw new Error(`npm can't resolve the dependencies:\n${stderr}`);
    return json<{ packages: Tree }>(join(folder, "package-lock.json")).packages;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function record(update: boolean): void {
  const { overrides: pinned = {}, ...project } = json<Package>(PACKAGE);
  const tree = resolvedTree(update ? project : { ...project, overrides: pinned });
  const overrides = overridesOf(tree);
  const again = resolvedTree({ ...project, overrides });
  const [before, after] = [wiringOf(tree), wiringOf(again)];
  const drift = [...before.filter((edge) => !after.includes(edge)), ...after.filter((edge) => !before.includes(edge))];
  if (drift.length > 0) throw new Error(`The overrides make another tree:\n${drift.join("\n")}`);
  write(PACKAGE, { ...project, overrides });
  write(RECORD, recordOf(tree));
  console.log(`${Object.keys(recordOf(tree)).length} packages are recorded. Run npm install.`);
}

function check(): void {
  const installed = json<{ packages: Tree }>(join(ROOT, "node_modules", ".package-lock.json")).packages;
  const { overrides = {}, ...project } = json<Package>(PACKAGE);
  const found = recordOf(installed);
  const problems = [
    ...differences(json<Record<string, Recorded>>(RECORD), found),
    ...unpinned({ ...installed, "": project }, overrides),
  ];
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) {
    console.error(
      "What is installed is not what is recorded. If that is meant: npm run dependencies, npm install, and commit both.",
    );
    process.exit(1);
  }
  const hashed = Object.values(found).filter(({ integrity }) => integrity !== "").length;
  console.log(`${Object.keys(found).length} packages are installed, all as recorded, ${hashed} of them by their hash.`);
}

if (process.argv.includes("--check")) check();
else record(process.argv.includes("--update"));
