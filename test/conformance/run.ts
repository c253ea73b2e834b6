/**
 * `npm run conformance`: the product's MCP door and its authorization server before the official referee, in both revisions
 * that it speaks; and the same door with everything behind it that the referee asks for by name. The last line says how many checks passed and failed; the exit code is 1 unless some passed and none failed.
 */
import { MadroxServer } from "../../scripts/local-server.ts";
import { baselineProblem, EXPECTED, type Expected } from "./baseline.ts";
import { registered } from "./login.ts";
import { AUTHORIZATION_ROUNDS, LEFT_OUT, ROUNDS, type Round } from "./plan.ts";
import { type Check, EXTENSION, openReferee, type Referee } from "./referee.ts";

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

/** Every scenario of a referee is asked in a round of each of its revisions, or left out for a reason. */
function checkPlan(referee: Referee, known: Referee["scenarios"], rounds: readonly Round[]): void {
  if (known.size === 0) problem(`${referee.name} lists no scenarios.`);
  const mine = rounds.filter((round) => round.referee === referee.name);
  const newest = mine.at(-1)?.revision;
  for (const revision of new Set(mine.map((round) => round.revision))) {
    const asked = new Set(mine.filter((round) => round.revision === revision).flatMap(({ scenarios }) => scenarios));
    for (const [scenario, revisions] of known) {
      const due = revisions.includes(revision) || (revisions.includes(EXTENSION) && revision === newest);
      if (asked.has(scenario) && LEFT_OUT[scenario]) problem(`${scenario} is both asked and left out.`);
      if (due && !asked.has(scenario) && !LEFT_OUT[scenario])
        problem(`${referee.name} has a scenario for ${revision} that the plan doesn't know: ${scenario}.`);
    }
  }
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

const COLUMNS = [45, 11, 16, 11, 7, 7, 8] as const;

function line(...cells: readonly (string | number)[]): void {
  console.log(
    cells
      .map((cell, i) => String(cell).padEnd(COLUMNS[i] ?? 0))
      .join(" ")
      .trimEnd(),
  );
}

/** Scenarios under way at once: each is mostly the start of a process. */
const AT_ONCE = 4;

async function play(
  rounds: readonly Round[],
  referees: ReadonlyMap<string, Referee>,
  known: (referee: Referee) => Referee["scenarios"],
  judge: (referee: Referee, scenario: string, round: Round) => Promise<Check[]>,
  atOnce: number,
): Promise<void> {
  for (const referee of referees.values())
    if (rounds.some((round) => round.referee === referee.name)) checkPlan(referee, known(referee), rounds);
  const queue = rounds.flatMap((round) => round.scenarios.map((scenario) => ({ round, scenario })));
  const worker = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const { round, scenario } = next;
      const referee = referees.get(round.referee);
      if (!referee) continue;
      const tally = count(round.referee, round.revision, scenario, await judge(referee, scenario, round));
      line(scenario, round.revision, referee.version, round.judged, tally.passed, tally.failed, tally.expected);
      total.passed += tally.passed;
      total.failed += tally.failed;
      total.expected += tally.expected;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

const KEY = "a-key-for-the-conformance-scenarios";
const servers = {
  product: new MadroxServer(),
  everything: new MadroxServer({ config: "test/entry/everything/wrangler.toml" }),
};
const locked = new MadroxServer({ env: { ACCESS_KEYS: JSON.stringify({ conformance: KEY }) } });
const stop = () => Promise.all([...Object.values(servers), locked].map((server) => server.stop()));
process.once("SIGINT", () => void stop().finally(() => process.exit(130)));
try {
  const referees = new Map<string, Referee>();
  for (const { referee } of [...ROUNDS, ...AUTHORIZATION_ROUNDS]) {
    if (!referees.has(referee)) referees.set(referee, await openReferee(referee));
  }
  // One after the other: each builds.
  for (const server of [...Object.values(servers), locked]) await server.start();

  line("scenario", "revision", "referee", "judged", "passed", "failed", "expected");
  await play(
    ROUNDS,
    referees,
    ({ scenarios }) => scenarios,
    (referee, scenario, { judged, revision }) => referee.judge(`${servers[judged].url}/mcp`, scenario, revision),
    AT_ONCE,
  );
  const login = await registered(locked.url, KEY);
  await play(
    AUTHORIZATION_ROUNDS,
    referees,
    ({ authorizationScenarios }) => authorizationScenarios,
    (referee, scenario, { revision }) => referee.judgeAuthorization(login, scenario, revision),
    // There is one port for the callback.
    1,
  );
  const wrong = baselineProblem();
  if (wrong) problem(wrong);
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

if (total.expected > 0) console.log("\nExpected, with the reasons in test/conformance/baseline.json:");
for (const entry of seen)
  console.log(`  ${entry.status} ${entry.check} (${entry.scenario}, ${entry.revision}): ${entry.reason}`);
if (problems.length > 0) console.log("\nProblems:");
// The referee likes to quote whole answers.
for (const text of problems) console.log(`  ${text.replaceAll(/\s+/g, " ").slice(0, 400)}`);
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;
