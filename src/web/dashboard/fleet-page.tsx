/**
 * All instances: the figures that matter, and the tree.
 */
import { useMemo, useState } from "react";
import { Bar } from "../shared/budget-bar.tsx";
import { useFleet } from "../shared/fleet-context.ts";
import { linesOf } from "../shared/fleet-tree.ts";
import { Loading, Nothing } from "../shared/notice.tsx";
import type { InstanceState, SpendAnswer } from "../shared/records.ts";
import { Link } from "../shared/route.tsx";
import { TreeView } from "../shared/tree-view.tsx";
import { count, STATE_WORDS, usd } from "../shared/wording.ts";
import { useResource } from "./resource.ts";

const FILTERS: readonly InstanceState[] = ["busy", "waiting", "paused", "error", "idle"];
const SPEND_PACE_MS = 3_000;

interface FleetPageProps {
  search: string;
  ended: boolean;
  onEnded: (ended: boolean) => void;
}

export function FleetPage({ search, ended, onEnded }: FleetPageProps) {
  const { rows, loaded, truncated, latest } = useFleet();
  const [state, setState] = useState<InstanceState | null>(null);
  const [folded, setFolded] = useState<ReadonlySet<string>>(new Set());
  const spend = useResource<SpendAnswer>("/spend?by=total", latest.model_call ?? 0, SPEND_PACE_MS).data;

  const counts = useMemo(() => {
    const found = new Map<InstanceState, number>();
    for (const row of rows.values()) found.set(row.state, (found.get(row.state) ?? 0) + 1);
    return found;
  }, [rows]);
  const active = rows.size - (counts.get("terminated") ?? 0);
  let questions = 0;
  for (const row of rows.values()) questions += row.open_questions ?? 0;
  const lines = useMemo(() => linesOf(rows, { search, state, ended }, folded), [rows, search, state, ended, folded]);

  const fold = (id: string, close: boolean) => {
    const next = new Set(folded);
    if (close) next.add(id);
    else next.delete(id);
    setFolded(next);
  };

  return (
    <>
      <h1 className="visually-hidden">Instances</h1>
      <dl className="figures">
        <div>
          <dt>Active instances</dt>
          <dd>{count(active)}</dd>
          <dd className="quiet">{count(counts.get("busy") ?? 0)} at work now</dd>
        </div>
        <div data-calls={questions > 0}>
          <dt>Waiting for you</dt>
          <dd>{count(questions)}</dd>
          <dd className="quiet">
            {questions > 0 ? <Link to="/questions">Answer questions</Link> : "No open questions"}
          </dd>
        </div>
        <div data-calls={(counts.get("paused") ?? 0) + (counts.get("error") ?? 0) > 0}>
          <dt>Held up</dt>
          <dd>{count((counts.get("paused") ?? 0) + (counts.get("error") ?? 0))}</dd>
          <dd className="quiet">
            {count(counts.get("paused") ?? 0)} paused by a cap, {count(counts.get("error") ?? 0)} failed
          </dd>
        </div>
        <div className="figure-spend">
          <dt>Spent</dt>
          <dd>{spend ? usd(spend.spent) : "…"}</dd>
          <dd className="quiet">
            {spend ? (
              <>
                <Bar
                  used={spend.spent / spend.limits.max_cost}
                  label={`${Math.round((100 * spend.spent) / spend.limits.max_cost)}% of the cap of all instances`}
                />
                <span>of {usd(spend.limits.max_cost)} for all together</span>
              </>
            ) : (
              "…"
            )}
          </dd>
        </div>
      </dl>

      <div className="tree-tools">
        <fieldset className="chips">
          <legend className="visually-hidden">Show only</legend>
          <button type="button" className="chip" aria-pressed={state === null} onClick={() => setState(null)}>
            All <span className="chip-count">{count(active)}</span>
          </button>
          {FILTERS.map((one) => (
            <button
              key={one}
              type="button"
              className="chip"
              aria-pressed={state === one}
              onClick={() => setState(state === one ? null : one)}
            >
              {STATE_WORDS[one]} <span className="chip-count">{count(counts.get(one) ?? 0)}</span>
            </button>
          ))}
        </fieldset>
        <label className="check">
          <input type="checkbox" checked={ended} onChange={(event) => onEnded(event.target.checked)} />
          <span>Show ended</span>
        </label>
      </div>

      {truncated ? (
        <p className="hint">There are more instances than this page holds; the uppermost are shown.</p>
      ) : null}
      {lines.length > 0 ? (
        <div className="sheet">
          <div className="tree-head" aria-hidden="true">
            <span>Instance</span>
            <span>State</span>
            <span>Model</span>
            <span>Tightest cap</span>
            <span>Cost</span>
          </div>
          <TreeView lines={lines} onFold={fold} />
        </div>
      ) : loaded ? (
        rows.size === 0 ? (
          <Nothing title="No instances yet">
            Spawn one here, or from Claude with the tool <code>spawn_claude</code>. It appears at once.
          </Nothing>
        ) : (
          <Nothing title="Nothing fits">Look for something else, or show all states.</Nothing>
        )
      ) : (
        <Loading what="the instances" />
      )}
    </>
  );
}
