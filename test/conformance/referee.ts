/**
 * The official conformance tool as a child process: one scenario a run, its checks read from the file that it leaves.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

export interface Check {
  id: string;
  /** SUCCESS, FAILURE, WARNING; INFO and SKIPPED say nothing about the server. */
  status: string;
  description: string;
  errorMessage?: string;
}

export interface Referee {
  name: string;
  version: string;
  /** The server scenarios that it knows, with the revisions that each is for; extensions are for none. */
  scenarios: ReadonlyMap<string, readonly string[]>;
  /** The checks of one scenario. None when it did not run. */
  judge(url: string, scenario: string, revision: string): Promise<Check[]>;
}

/** Throws when the package is not installed. */
export async function openReferee(name: string): Promise<Referee> {
  const manifest = createRequire(import.meta.url).resolve(`${name}/package.json`);
  const { bin, version } = JSON.parse(readFileSync(manifest, "utf8")) as {
    bin: { conformance: string };
    version: string;
  };
  const program = join(dirname(manifest), bin.conformance);
  return {
    name,
    version,
    scenarios: scenariosIn(await output(program, ["list", "--server"])),
    async judge(url, scenario, revision) {
      const folder = mkdtempSync(join(tmpdir(), "conformance-"));
      try {
        const args = ["server", "--url", url, "--scenario", scenario, "--spec-version", revision, "-o", folder];
        await output(program, args);
        return readdirSync(folder, { recursive: true, encoding: "utf8" })
          .filter((path) => path.endsWith("checks.json"))
          .flatMap((path) => JSON.parse(readFileSync(join(folder, path), "utf8")) as Check[]);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  };
}

/** What the tool prints. Its exit code is no news: it repeats the checks. */
function output(program: string, args: readonly string[]): Promise<string> {
  return new Promise((done) => {
    execFile(process.execPath, [program, ...args], { timeout: 60_000 }, (_error, stdout) => done(stdout));
  });
}

/** Lines like `  - tools-list [2025-06-18,2025-11-25]`. */
function scenariosIn(list: string): Map<string, string[]> {
  const scenarios = new Map<string, string[]>();
  for (const [, name = "", tags = ""] of list.matchAll(/^ +- (\S+) \[([^\]]*)\]$/gm))
    scenarios.set(name, tags.split(","));
  return scenarios;
}
