/**
 * Counting ballots. Pure.
 */
import type { Vote } from "../../contracts/job.ts";

export interface Count {
  /** Valid ballots by choice, all choices named. */
  tally: Record<string, number>;
  quorumMet: boolean;
  /** The choices with the most ballots, in the order of the choices. More than one: a tie. */
  leaders: string[];
  /** Whether the leaders have the share of the valid ballots that a decision needs. */
  thresholdMet: boolean;
}

/**
 * `participants`: how many were to vote, including those that dropped out. `quorum`: up to 1 a share of them, above 1 a number
 * of ballots. A vote for anything but one of the choices is ignored.
 */
export function count(
  votes: readonly Pick<Vote, "choice">[],
  choices: readonly string[],
  rules: { participants: number; quorum: number; threshold: number | null },
): Count {
  const tally = new Map(choices.map((choice) => [choice, 0]));
  for (const { choice } of votes) {
    const known = tally.get(choice);
    if (known !== undefined) tally.set(choice, known + 1);
  }
  const valid = [...tally.values()].reduce((sum, n) => sum + n, 0);
  const most = Math.max(0, ...tally.values());
  const leaders = most === 0 ? [] : choices.filter((choice) => tally.get(choice) === most);
  const needed = rules.quorum > 1 ? rules.quorum : rules.quorum * rules.participants;
  return {
    tally: Object.fromEntries(tally),
    quorumMet: valid > 0 && atLeast(valid, needed),
    leaders,
    thresholdMet: valid > 0 && (rules.threshold === null || atLeast(most, rules.threshold * valid)),
  };
}

/** Whether a count reaches a share, despite floating point: 0.7 × 10 is a little more than 7. */
function atLeast(count: number, needed: number): boolean {
  return count >= needed - 1e-9;
}

/** The choice that wins without a tie-break, or null. */
export function decided({ quorumMet, thresholdMet, leaders }: Count): string | null {
  return quorumMet && thresholdMet && leaders.length === 1 ? (leaders[0] ?? null) : null;
}
