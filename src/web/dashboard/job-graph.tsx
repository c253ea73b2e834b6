/**
 * A job's steps as a graph: what builds on what.
 */
import type { JobStatus } from "../shared/records.ts";
import { Link } from "../shared/route.tsx";
import { usd } from "../shared/wording.ts";
import { StepMark } from "./step-mark.tsx";
import { placed } from "./steps.ts";

const WIDE = 190;
const HIGH = 62;
const GAP_X = 46;
const GAP_Y = 14;

export function JobGraph({ job }: { job: JobStatus }) {
  const steps = placed(job.steps);
  const place = new Map(steps.map((one) => [one.step.step, one]));
  const last = Math.max(0, ...steps.map((one) => one.column));
  // A vote ends with a count, which is no step of anybody's.
  const decision = job.result?.tally ? { column: last + 1, text: job.result.decision ?? "No decision" } : null;
  const columns = last + 1 + (decision ? 1 : 0);
  const tallest = Math.max(0, ...steps.map((one) => one.line)) + 1;
  const height = tallest * (HIGH + GAP_Y) - GAP_Y;
  const inColumn = (column: number) => Math.max(1, steps.filter((one) => one.column === column).length);
  const x = (column: number) => column * (WIDE + GAP_X);
  const y = (column: number, line: number) => {
    const own = inColumn(column) * (HIGH + GAP_Y) - GAP_Y;
    return (height - own) / 2 + line * (HIGH + GAP_Y);
  };
  const width = columns * (WIDE + GAP_X) - GAP_X;
  const edge = (from: Place, to: Place) => {
    const [x1, y1] = [x(from.column) + WIDE, y(from.column, from.line) + HIGH / 2];
    const [x2, y2] = [x(to.column), y(to.column, to.line) + HIGH / 2];
    const middle = (x1 + x2) / 2;
    return `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`;
  };
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so keys have to reach it.
    <section className="graph" aria-label="Steps, each after those that it builds on" tabIndex={0}>
      <div className="graph-sheet" style={{ width, height }}>
        <svg width={width} height={height} aria-hidden="true">
          {steps.flatMap((one) =>
            one.from.map((name) => {
              const from = place.get(name);
              return from ? <path key={`${name} ${one.step.step}`} className="edge" d={edge(from, one)} /> : null;
            }),
          )}
          {decision
            ? steps
                .filter(({ column }) => column === last)
                .map((one) => (
                  <path key={one.step.step} className="edge" d={edge(one, { column: decision.column, line: 0 })} />
                ))
            : null}
        </svg>
        {steps.map(({ step, column, line }) => (
          <Link
            key={step.step}
            to={`/instances/${step.instance_id}`}
            className="node"
            data-status={step.status}
            style={{ left: x(column), top: y(column, line), width: WIDE, height: HIGH }}
          >
            <span className="node-name">{step.name}</span>
            <span className="node-kind">
              {step.kind} <code>{step.step}</code>
            </span>
            <span className="node-foot">
              <StepMark status={step.status} />
              <span>{usd(step.cost)}</span>
            </span>
          </Link>
        ))}
        {decision ? (
          <div
            className="node node-decision"
            style={{ left: x(decision.column), top: y(decision.column, 0), width: WIDE, height: HIGH }}
          >
            <span className="node-name">{decision.text}</span>
            <span className="node-kind">decision</span>
          </div>
        ) : null}
      </div>
    </section>
  );
}

interface Place {
  column: number;
  line: number;
}
