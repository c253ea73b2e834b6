/**
 * What was spent when, and by whom.
 */
import { useState } from "react";
import { Share } from "../shared/budget-bar.tsx";
import { useFleet } from "../shared/fleet-context.ts";
import { Failed, Loading, Nothing } from "../shared/notice.tsx";
import type { SpendAnswer } from "../shared/records.ts";
import { Link } from "../shared/route.tsx";
import { count, day, modelName, roleName, short, usd } from "../shared/wording.ts";
import { useResource } from "./resource.ts";
import { StackedBars } from "./stacked-bars.tsx";

const KEYS = [
  ["role", "Role"],
  ["model", "Model"],
  ["instance", "Instance"],
] as const;
type Key = (typeof KEYS)[number][0];

const TIMES = [
  { title: "Last 24 hours", bucket: "hour", ms: 23 * 3_600_000 },
  { title: "Last 7 days", bucket: "hour", ms: 167 * 3_600_000 },
  { title: "Last 30 days", bucket: "day", ms: 29 * 86_400_000 },
  { title: "Last 90 days", bucket: "day", ms: 89 * 86_400_000 },
] as const;
const PACE_MS = 3_000;
/** The window moves on with the clock, not with every look. */
const MINUTE_MS = 60_000;

export function SpendPage() {
  const { latest, opened } = useFleet();
  const [by, setBy] = useState<Key>("role");
  const [time, setTime] = useState(0);
  const { bucket, ms, title } = TIMES[time] ?? TIMES[0];
  const now = Math.floor(Date.now() / MINUTE_MS) * MINUTE_MS;
  const path = `/spend?bucket=${bucket}&by=${by}&from=${new Date(now - ms).toISOString()}`;
  const { data, error } = useResource<SpendAnswer>(path, `${latest.model_call ?? 0} ${opened}`, PACE_MS);
  const name = (key: string, label: string) =>
    key === "other" ? "Everything else" : by === "role" ? roleName(label) : by === "model" ? modelName(label) : label;
  const label = (start: string) =>
    bucket === "day" || ms > 86_400_000
      ? day(start)
      : new Date(start).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

  return (
    <>
      <header className="page-head">
        <h1>Spend</h1>
        {data ? (
          <p className="quiet">
            {usd(data.spent)} of {usd(data.limits.max_cost)} for all instances together; {usd(data.remaining.cost)}{" "}
            left. At list prices.
          </p>
        ) : null}
      </header>
      <div className="tree-tools">
        <fieldset className="chips">
          <legend>By</legend>
          {KEYS.map(([key, words]) => (
            <button key={key} type="button" className="chip" aria-pressed={by === key} onClick={() => setBy(key)}>
              {words}
            </button>
          ))}
        </fieldset>
        <label className="inline-field">
          <span className="visually-hidden">Time</span>
          <select value={time} onChange={(event) => setTime(Number(event.target.value))}>
            {TIMES.map((one, i) => (
              <option key={one.title} value={i}>
                {one.title}
              </option>
            ))}
          </select>
        </label>
      </div>
      {error ? <Failed what="The spending" error={error} /> : null}
      {!data && !error ? <Loading what="the spending" /> : null}
      {data && data.series.length === 0 ? (
        <Nothing title="Nothing was spent in this time">Every model call appears here once it has ended.</Nothing>
      ) : null}
      {data && data.series.length > 0 ? (
        <>
          <figure className="sheet chart-sheet">
            <figcaption>
              <span className="big">{usd(data.cost)}</span>
              <span className="quiet">{title.toLowerCase()}</span>
            </figcaption>
            <StackedBars starts={data.starts} series={data.series} label={label} />
          </figure>
          <div className="sheet table-sheet">
            <table>
              <thead>
                <tr>
                  <th scope="col">{KEYS.find(([key]) => key === by)?.[1]}</th>
                  <th scope="col" className="share-column">
                    Share
                  </th>
                  <th scope="col" className="number">
                    Calls
                  </th>
                  <th scope="col" className="number">
                    Tokens
                  </th>
                  <th scope="col" className="number">
                    Cost
                  </th>
                </tr>
              </thead>
              <tbody>
                {data.series.map((one, nth) => (
                  <tr key={one.key}>
                    <th scope="row">
                      <svg className="swatch" viewBox="0 0 10 10" aria-hidden="true">
                        <rect className="part" data-nth={nth % 11} width="10" height="10" rx="2.5" />
                      </svg>
                      {by === "instance" && one.key !== "other" ? (
                        <Link to={`/instances/${one.key}`}>{one.label}</Link>
                      ) : (
                        name(one.key, one.label)
                      )}
                    </th>
                    <td className="share-column">
                      <Share
                        of={one.cost / (data.cost || 1)}
                        label={`${Math.round((100 * one.cost) / (data.cost || 1))}% of the spending`}
                      />
                    </td>
                    <td className="number">{count(one.calls)}</td>
                    <td className="number">{short(one.tokens)}</td>
                    <td className="number">{usd(one.cost)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </>
      ) : null}
    </>
  );
}
