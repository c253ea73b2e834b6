/**
 * `npm run conformance`: the product's MCP door and its authorization server before the official referee, in both revisions
 * that it speaks. The last line says how many checks passed and failed; the exit code is 1 unless some passed and none failed.
 */
import { MadroxServer } from "../../scripts/local-server.ts";
import { registered } from "./login.ts";
import {
  AUTHORIZATION_ROUNDS,
  type Capability,
  EXPECTED,
  type Expected,
  LEFT_OUT,
  ROUNDS,
  type Round,
} from "./plan.ts";
import { type Check, openReferee, type Referee } from "./referee.ts";

interface Tally {
  passed: number;
  failed: number;
  expected: number;
}

const total: Tally = { passed: 0, failed: 0, expected: 0 };
const problems: string[] = [];
const seen = new Set<Expected>();

function problem(text: string): void {
  total.failed += 1;
  problems.push(text);
}

/** What the server declares to a client of 2025: the referee only looks at what is declared. */
async function capabilitiesOf(url: string): Promise<Record<string, unknown>> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/json, text/event-stream" },
    body: JSON.stringify({
      jsonrpc: "2.0",
      id: 1,
      method: "initialize",
      params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "conformance", version: "1" } },
    }),
  });
  const data = (await response.text()).match(/^data: (\{.*\})$/m)?.[1];
  const answer = JSON.parse(data ?? "{}") as { result?: { capabilities?: Record<string, unknown> } };
  if (!answer.result?.capabilities) throw new Error(`initialize was answered with HTTP ${response.status}.`);
  return answer.result.capabilities;
}

/** Every scenario of a referee is asked, or left out for a reason that still holds. */
function checkPlan(
  referee: Referee,
  known: Referee["scenarios"],
  { revision, scenarios }: Round,
  declared: object,
): void {
  if (known.size === 0) problem(`${referee.name} lists no scenarios.`);
  for (const [scenario, revisions] of known) {
    const leftOut = LEFT_OUT.find((entry) => entry.scenarios.includes(scenario));
    const asked = scenarios.includes(scenario);
    if (asked && leftOut) problem(`${scenario} is both asked and left out.`);
    if (!asked && !leftOut && revisions.includes(revision)) {
      problem(`${referee.name} has a scenario for ${revision} that the plan doesn't know: ${scenario}.`);
    }
    if (leftOut?.until && holds(declared, leftOut.until)) {
      problem(`${scenario} is left out because ${leftOut.reason}, but the server declares ${leftOut.until}.`);
    }
  }
}

function holds(declared: object, capability: Capability): boolean {
  return capability in declared;
}

/** Counts one scenario's checks against the baseline. */
function count(referee: string, revision: string, scenario: string, checks: readonly Check[]): Tally {
  const tally: Tally = { passed: 0, failed: 0, expected: 0 };
  for (const check of checks) {
    if (check.status === "SUCCESS") tally.passed += 1;
    if (check.status !== "FAILURE" && check.status !== "WARNING") continue;
    const known = EXPECTED.find(
      (entry) =>
        entry.referee === referee &&
        entry.revision === revision &&
        entry.scenario === scenario &&
        entry.check === check.id &&
        entry.status === check.status,
    );
    if (known) {
      seen.add(known);
      tally.expected += 1;
    } else {
      tally.failed += 1;
      problems.push(
        `${scenario} (${revision}): ${check.status} ${check.id}: ${check.errorMessage ?? check.description}`,
      );
    }
  }
  if (tally.passed + tally.failed + tally.expected === 0) {
    tally.failed += 1;
    problems.push(`${scenario} (${revision}): ${referee} checked nothing.`);
  }
  return tally;
}

const COLUMNS = [43, 11, 16, 7, 7, 8] as const;

function line(...cells: readonly (string | number)[]): void {
  console.log(
    cells
      .map((cell, i) => String(cell).padEnd(COLUMNS[i] ?? 0))
      .join(" ")
      .trimEnd(),
  );
}

async function play(
  rounds: readonly Round[],
  referees: ReadonlyMap<string, Referee>,
  declared: object,
  known: (referee: Referee) => Referee["scenarios"],
  judge: (referee: Referee, scenario: string, revision: string) => Promise<Check[]>,
): Promise<void> {
  for (const round of rounds) {
    const referee = referees.get(round.referee);
    if (!referee) continue;
    checkPlan(referee, known(referee), round, declared);
    for (const scenario of round.scenarios) {
      const checks = await judge(referee, scenario, round.revision);
      const tally = count(round.referee, round.revision, scenario, checks);
      line(scenario, round.revision, referee.version, tally.passed, tally.failed, tally.expected);
      total.passed += tally.passed;
      total.failed += tally.failed;
      total.expected += tally.expected;
    }
  }
}

const KEY = "a-key-for-the-conformance-scenarios";
const server = new MadroxServer();
const locked = new MadroxServer({ env: { ACCESS_KEYS: JSON.stringify({ conformance: KEY }) } });
const stop = () => Promise.all([server.stop(), locked.stop()]);
process.once("SIGINT", () => void stop().finally(() => process.exit(130)));
try {
  const referees = new Map<string, Referee>();
  for (const { referee } of [...ROUNDS, ...AUTHORIZATION_ROUNDS]) {
    if (!referees.has(referee)) referees.set(referee, await openReferee(referee));
  }
  await server.start();
  const url = `${server.url}/mcp`;
  const declared = await capabilitiesOf(url);

  line("scenario", "revision", "referee", "passed", "failed", "expected");
  await play(
    ROUNDS,
    referees,
    declared,
    ({ scenarios }) => scenarios,
    (referee, scenario, revision) => referee.judge(url, scenario, revision),
  );
  await locked.start();
  const login = await registered(locked.url, KEY);
  await play(
    AUTHORIZATION_ROUNDS,
    referees,
    declared,
    ({ authorizationScenarios }) => authorizationScenarios,
    (referee, scenario, revision) => referee.judgeAuthorization(login, scenario, revision),
  );
  for (const entry of EXPECTED) {
    if (!seen.has(entry)) {
      problem(
        `The baseline expects ${entry.status} of ${entry.check} in ${entry.scenario} (${entry.revision}): stale.`,
      );
    }
  }
} catch (error) {
  problem(error instanceof Error ? error.message : String(error));
} finally {
  await stop();
}

if (total.expected > 0) console.log("\nExpected, with the reasons in test/conformance/plan.ts:");
for (const entry of seen)
  console.log(`  ${entry.status} ${entry.check} (${entry.scenario}, ${entry.revision}): ${entry.reason}`);
if (problems.length > 0) console.log("\nProblems:");
// The referee likes to quote whole answers.
for (const text of problems) console.log(`  ${text.replaceAll(/\s+/g, " ").slice(0, 400)}`);
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;
