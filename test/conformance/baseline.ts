/**
 * The checks that are known not to pass, from baseline.json, each with its reason. The list can only shrink: one that passes
 * after all, or no longer exists, is stale, and there may not be more than are recorded beside the other guards.
 */
import recorded from "../guards/recorded.json" with { type: "json" };
import entries from "./baseline.json" with { type: "json" };

/** Checks with one reason: by scenario, for each of the referees. */
interface Entry extends Pick<Expected, "reason" | "status" | "revision"> {
  referees: string[];
  checks: Record<string, string[]>;
}

export interface Expected {
  referee: string;
  revision: string;
  scenario: string;
  check: string;
  status: string;
  reason: string;
}

export const EXPECTED: readonly Expected[] = (entries as unknown as Entry[]).flatMap(
  ({ reason, status, revision, referees, checks }) =>
    referees.flatMap((referee) =>
      Object.entries(checks).flatMap(([scenario, ids]) =>
        ids.map((check) => ({ referee, revision, scenario, check, status, reason })),
      ),
    ),
);

/** What is wrong with the list itself, or null. */
export function baselineProblem(): string | null {
  const most = recorded.conformance_baseline;
  if (EXPECTED.length === most) return null;
  return EXPECTED.length > most
    ? `The baseline has ${EXPECTED.length} entries, and may have ${most}: it can only shrink.`
    : `The baseline has shrunk to ${EXPECTED.length}: record that as conformance_baseline in test/guards/recorded.json.`;
}
