/**
 * When each step of a job was at work.
 */
import type { JobStatus } from "../shared/records.ts";
import { lasted } from "../shared/wording.ts";

export function JobTimeline({ job }: { job: JobStatus }) {
  const start = Date.parse(job.started_at ?? job.created_at);
  const ends = job.steps.map((step) => Date.parse(step.finished_at ?? step.started_at ?? job.created_at));
  const end = Math.max(start + 1, ...ends, job.finished_at ? Date.parse(job.finished_at) : Date.now());
  const share = (time: string) => (100 * (Date.parse(time) - start)) / (end - start);
  return (
    <ol className="timeline">
      {job.steps.map((step) => {
        const from = step.started_at ? share(step.started_at) : 0;
        const to = step.finished_at ? share(step.finished_at) : step.started_at ? 100 : 0;
        const ms = step.started_at
          ? (step.finished_at ? Date.parse(step.finished_at) : end) - Date.parse(step.started_at)
          : null;
        return (
          <li key={step.step}>
            <span className="timeline-name">
              {step.name} <span className="quiet">{step.kind}</span>
            </span>
            <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
              <rect className="track" width="100" height="10" />
              {ms === null ? null : (
                <rect
                  className="span"
                  data-status={step.status}
                  x={from}
                  width={Math.max(0.8, to - from)}
                  height="10"
                />
              )}
            </svg>
            <span className="timeline-time">{ms === null ? "not begun" : lasted(ms)}</span>
          </li>
        );
      })}
    </ol>
  );
}
