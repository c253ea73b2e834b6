/**
 * A consensus: what was decided, how the votes fell, and each ballot with its reasons.
 */
import type { JobResult } from "../shared/records.ts";
import { Link } from "../shared/route.tsx";

export function Ballots({ result, nameOf }: { result: JobResult; nameOf: (instanceId: string) => string }) {
  const tally = Object.entries(result.tally ?? {}).sort(([, a], [, b]) => b - a);
  const votes = result.votes ?? [];
  const most = Math.max(1, ...tally.map(([, n]) => n));
  return (
    <>
      <p className="decision">
        {result.decision ? (
          <>
            <span className="quiet">Decided</span> <strong>{result.decision}</strong>
          </>
        ) : (
          <strong>{result.quorum_met === false ? "No decision: too few valid ballots" : "No decision"}</strong>
        )}
      </p>
      {result.summary ? <p className="prose">{result.summary}</p> : null}
      <ul className="tally">
        {tally.map(([choice, n]) => (
          <li key={choice} data-decided={choice === result.decision}>
            <span className="tally-choice">{choice}</span>
            <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
              <rect className="track" width="100" height="8" />
              <rect className="fill" width={(100 * n) / most} height="8" />
            </svg>
            <span className="tally-count">{n === 1 ? "1 vote" : `${n} votes`}</span>
          </li>
        ))}
      </ul>
      <h3>Ballots</h3>
      <ul className="ballots">
        {votes.map((vote) => (
          <li key={vote.instance_id} className="ballot" data-minority={vote.choice !== result.decision}>
            <p className="ballot-head">
              <Link to={`/instances/${vote.instance_id}`}>{nameOf(vote.instance_id)}</Link>
              <span className="quiet">{Math.round(vote.confidence * 100)}% sure</span>
            </p>
            <p className="ballot-choice">{vote.choice}</p>
            <p className="ballot-reasons">{vote.reasons}</p>
          </li>
        ))}
      </ul>
    </>
  );
}
