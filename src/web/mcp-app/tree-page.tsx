/**
 * The tree of instances: all, or those below the one that the call was about.
 */
import { useMemo, useState } from "react";
import { useFleet } from "../shared/fleet-context.ts";
import { linesOf } from "../shared/fleet-tree.ts";
import { Failed, Loading, Nothing } from "../shared/notice.tsx";
import { TreeView } from "../shared/tree-view.tsx";
import { count, usd } from "../shared/wording.ts";
import { HeadEnd } from "./head-end.tsx";
import type { Host } from "./host.ts";
import type { Polled } from "./polled.ts";

/** With more than these there is something to look for. */
const MANY = 12;

interface TreePageProps {
  host: Host;
  mode: string;
  polled: Polled<unknown>;
  root: string | null;
  onAll: () => void;
  ended: boolean;
  onEnded: (ended: boolean) => void;
}

export function TreePage({ host, mode, polled, root, onAll, ended, onEnded }: TreePageProps) {
  const { rows, loaded, truncated } = useFleet();
  const [search, setSearch] = useState("");
  const [folded, setFolded] = useState<ReadonlySet<string>>(new Set());
  const lines = useMemo(() => linesOf(rows, { search, state: null, ended }, folded), [rows, search, ended, folded]);
  const fold = (id: string, close: boolean) => {
    const next = new Set(folded);
    if (close) next.add(id);
    else next.delete(id);
    setFolded(next);
  };
  const top = root === null ? undefined : rows.get(root);

  return (
    <>
      <header className="app-head">
        <h1>{top ? top.name : "Instances"}</h1>
        <HeadEnd host={host} mode={mode} polled={polled} />
      </header>
      {loaded || root !== null ? (
        <div className="app-tools">
          {loaded ? <Figures /> : null}
          {root === null ? null : (
            <button type="button" className="button small" onClick={onAll}>
              All instances
            </button>
          )}
          <label className="check">
            <input type="checkbox" checked={ended} onChange={(event) => onEnded(event.target.checked)} />
            <span>Show ended</span>
          </label>
          {rows.size > MANY ? (
            <input
              type="search"
              aria-label="Look for instances"
              placeholder="Name, role, model or state"
              value={search}
              onChange={(event) => setSearch(event.target.value)}
            />
          ) : null}
        </div>
      ) : null}
      {truncated ? <p className="hint">There are more instances than fit here; the uppermost are shown.</p> : null}
      {lines.length > 0 ? (
        <div className="sheet">
          <TreeView lines={lines} onFold={fold} />
        </div>
      ) : loaded ? (
        rows.size === 0 ? (
          <Nothing title="No instances at work">Ask for some in the conversation: they appear here.</Nothing>
        ) : (
          <Nothing title="Nothing fits">Look for something else.</Nothing>
        )
      ) : polled.error ? (
        <Failed what="The tree" error={polled.error} />
      ) : (
        <Loading what="the instances" />
      )}
    </>
  );
}

/** The fleet in a line. */
function Figures() {
  const { rows } = useFleet();
  let [active, working, heldUp, questions, spent] = [0, 0, 0, 0, 0];
  for (const row of rows.values()) {
    if (row.state !== "terminated") active += 1;
    if (row.state === "busy") working += 1;
    if (row.state === "paused" || row.state === "error") heldUp += 1;
    questions += row.open_questions ?? 0;
    if (row.parent_instance_id === null || !rows.has(row.parent_instance_id)) spent += row.subtree_cost;
  }
  return (
    <p className="app-figures">
      <span>{count(active)} active</span>
      <span>{count(working)} at work</span>
      {questions > 0 ? (
        <span data-calls="true">
          {questions === 1 ? "1 question for you" : `${count(questions)} questions for you`}
        </span>
      ) : null}
      {heldUp > 0 ? <span data-calls="true">{count(heldUp)} held up</span> : null}
      <span>{usd(spent)} spent</span>
    </p>
  );
}
