/**
 * The official conformance tool as a child process: one scenario a run, its checks read from the file that it leaves.
 */
import { execFile, spawn } from "node:child_process";
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

/** What stands in the place of a revision for scenarios of an extension. */
export const EXTENSION = "extension";

export interface Referee {
  name: string;
  version: string;
  /** The server scenarios that it knows, with the revisions that each is for; those of an extension are for `EXTENSION`. */
  scenarios: ReadonlyMap<string, readonly string[]>;
  /** The same for authorization servers. */
  authorizationScenarios: ReadonlyMap<string, readonly string[]>;
  /** The checks of one scenario. None when it did not run. */
  judge(url: string, scenario: string, revision: string): Promise<Check[]>;
  /**
   * Asks an authorization server everything, and returns the checks of one scenario: the later scenarios use what the first
   * one found out, so none of them runs alone.
   */
  judgeAuthorization(server: AuthorizationServer, scenario: string, revision: string): Promise<Check[]>;
}

/** What the referee has to know of an authorization server, and who lets it in. */
export interface AuthorizationServer {
  issuer: string;
  resource: string;
  clientId: string;
  /** Where the client's callback listens. */
  port: number;
  /** Opens the page at the URL, consents, and follows the redirect. */
  consent(url: string): Promise<void>;
}

/** Throws when the package is not installed. */
export async function openReferee(name: string): Promise<Referee> {
  const manifest = createRequire(import.meta.url).resolve(`${name}/package.json`);
  const { bin, version } = JSON.parse(readFileSync(manifest, "utf8")) as {
    bin: { conformance: string };
    version: string;
  };
  const program = join(dirname(manifest), bin.conformance);
  const scenarios = scenariosIn(await output(program, ["list", "--server"]));
  return {
    name,
    version,
    scenarios,
    authorizationScenarios: scenariosIn(await output(program, ["list", "--authorization"])),
    judge: (url, scenario, revision) =>
      checksOf(scenario, (folder) =>
        output(program, [
          ...["server", "--url", url, "--scenario", scenario, "--spec-version", revision, "-o", folder],
          // Those of an extension belong to no revision.
          ...(scenarios.get(scenario)?.includes(EXTENSION) ? ["--force"] : []),
        ]),
      ),
    judgeAuthorization: ({ issuer, resource, clientId, port, consent }, scenario, revision) =>
      checksOf(scenario, (folder) => {
        const server = ["--url", issuer, "--resource", resource, "--client-id", clientId, "-p", String(port)];
        const args = ["authorization", ...server, "--spec-version", revision, "-o", folder];
        return answering(program, args, consent);
      }),
  };
}

/** The checks of a scenario that a run leaves in its folder. */
async function checksOf(scenario: string, run: (folder: string) => Promise<unknown>): Promise<Check[]> {
  const folder = mkdtempSync(join(tmpdir(), "conformance-"));
  try {
    await run(folder);
    return readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((path) => path.endsWith("checks.json") && path.includes(`${scenario}-`))
      .flatMap((path) => JSON.parse(readFileSync(join(folder, path), "utf8")) as Check[]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs the tool, and consents at the address that it asks somebody to open, if it does. */
async function answering(program: string, args: readonly string[], consent: (url: string) => Promise<void>) {
  const child = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "pipe", "ignore"], timeout: 60_000 });
  const ended = new Promise<void>((done) => child.once("exit", () => done()));
  let said = "";
  let asked = false;
  for await (const chunk of child.stdout) {
    said += String(chunk);
    const url = /^(https?:\/\/\S+[?]\S*response_type=code\S*)$/m.exec(said)?.[1];
    // The callback listens once the tool says so.
    if (!url || asked || !said.includes("Callback server started")) continue;
    asked = true;
    await consent(url);
  }
  await ended;
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
