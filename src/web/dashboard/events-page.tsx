/**
 * The event log, the newest first: what is live, and as far back as one goes on asking.
 */
import { useMemo, useState } from "react";
import { useFleet } from "../shared/fleet-context.ts";
import { useAction } from "../shared/modal.tsx";
import { Loading, Nothing } from "../shared/notice.tsx";
import type { LogEvent } from "../shared/records.ts";
import { Link } from "../shared/route.tsx";
import { read, saveAs } from "../shared/server.ts";
import { moment } from "../shared/wording.ts";

/** Lines that are drawn at first, and with each further look. */
const PAGE = 200;

export function EventsPage({ instance }: { instance: string }) {
  const { events, rows, connection } = useFleet();
  const [older, setOlder] = useState<readonly LogEvent[]>([]);
  const [exhausted, setExhausted] = useState(false);
  const [shown, setShown] = useState(PAGE);
  const [kind, setKind] = useState("");
  const [who, setWho] = useState(instance);
  const { pending, problem, perform } = useAction();

  const all = useMemo(() => {
    const first = events[0]?.seq ?? Number.POSITIVE_INFINITY;
    return [...older.filter((event) => event.seq < first), ...events];
  }, [older, events]);
  const kinds = useMemo(() => [...new Set(all.map((event) => event.kind.split(".")[0] ?? ""))].sort(), [all]);
  const name = (id: string) => rows.get(id)?.name ?? id;
  const words = who.toLowerCase().trim();
  const fitting = all.filter(
    (event) =>
      (kind === "" || event.kind.startsWith(`${kind}.`)) &&
      (words === "" ||
        event.instance_id.toLowerCase().includes(words) ||
        name(event.instance_id).toLowerCase().includes(words)),
  );
  const lines = fitting.slice(-shown).reverse();

  const lookBack = () =>
    perform(async () => {
      if (fitting.length > shown) return setShown(shown + PAGE);
      const before = all[0]?.seq;
      const page = await read<{ events: LogEvent[] }>(`/events?limit=500${before ? `&before=${before}` : ""}`);
      setOlder([...page.events.reverse(), ...all]);
      setExhausted(page.events.length === 0 || page.events[0]?.seq === 1);
      setShown(shown + PAGE);
    });
  const save = () =>
    saveAs(
      new Blob([fitting.map((event) => `${JSON.stringify(event)}\n`).join("")], { type: "application/jsonl" }),
      "madrox-events.jsonl",
    );

  return (
    <>
      <header className="page-head">
        <h1>Events</h1>
        <p className="quiet">Everything that has happened, as it is logged: ids, counts and codes, never content.</p>
      </header>
      <div className="tree-tools log-tools">
        <label className="inline-field">
          <span>Kind</span>
          <select value={kind} onChange={(event) => setKind(event.target.value)}>
            <option value="">all</option>
            {kinds.map((one) => (
              <option key={one} value={one}>
                {one.replaceAll("_", " ")}
              </option>
            ))}
          </select>
        </label>
        <label className="inline-field">
          <span>Instance</span>
          <input type="search" placeholder="name or id" value={who} onChange={(event) => setWho(event.target.value)} />
        </label>
        <button type="button" className="button small" onClick={save} disabled={fitting.length === 0}>
          Save as JSON lines
        </button>
      </div>
      {all.length === 0 && connection === "connecting" ? <Loading what="the events" /> : null}
      {lines.length === 0 && connection !== "connecting" ? (
        <Nothing title={all.length === 0 ? "Nothing has happened yet" : "No event fits"} />
      ) : null}
      {lines.length > 0 ? (
        <div className="sheet table-sheet">
          <table className="log" data-newest={all.at(-1)?.seq}>
            <thead>
              <tr>
                <th scope="col" className="number">
                  No.
                </th>
                <th scope="col">Time</th>
                <th scope="col">Event</th>
                <th scope="col">Instance</th>
                <th scope="col">Data</th>
              </tr>
            </thead>
            <tbody>
              {lines.map((event) => (
                <tr key={event.seq} data-seq={event.seq}>
                  <td className="number">{event.seq}</td>
                  <td className="log-time">
                    <time dateTime={event.at}>{moment(event.at)}</time>
                  </td>
                  <td className="log-kind" data-kind={event.kind}>
                    {event.kind}
                  </td>
                  <td>
                    {event.instance_id === "" ? (
                      <span className="quiet">All</span>
                    ) : event.instance_id.startsWith("job_") ? (
                      <Link to={`/jobs/${event.instance_id}`}>{event.instance_id.slice(0, 14)}…</Link>
                    ) : (
                      <Link to={`/instances/${event.instance_id}`}>{name(event.instance_id)}</Link>
                    )}
                  </td>
                  <td className="log-data">
                    <code>{dataText(event)}</code>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : null}
      {problem ? <p className="problem">{problem}</p> : null}
      {all.length > 0 && !(exhausted && fitting.length <= shown) && !(all[0]?.seq === 1 && fitting.length <= shown) ? (
        <p className="more">
          <button type="button" className="button" disabled={pending} onClick={() => void lookBack()}>
            Look further back
          </button>
        </p>
      ) : null}
    </>
  );
}

function dataText(event: LogEvent): string {
  return Object.entries(event.data)
    .filter(([, value]) => value !== null && value !== 0 && value !== "")
    .map(([field, value]) => `${field} ${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join("  ");
}
