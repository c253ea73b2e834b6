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
 * `participants`: how many were to vote, those that fell out included. `quorum`: up to 1 a share of them, above 1 a number.
 * A vote for what is no choice counts for nothing.
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

/** Whether a count reaches a share of a whole; 0.7 × 10 is a little more than 7 in binary. */
function atLeast(count: number, needed: number): boolean {
  return count >= needed - 1e-9;
}

/** The one choice that is decided without anybody's help, or null. */
export function decided({ quorumMet, thresholdMet, leaders }: Count): string | null {
  return quorumMet && thresholdMet && leaders.length === 1 ? (leaders[0] ?? null) : null;
}
