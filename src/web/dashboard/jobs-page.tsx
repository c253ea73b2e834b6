import { useFleet } from "../shared/fleet-context.ts";
import { Failed, Loading, Nothing } from "../shared/notice.tsx";
import type { JobRecord } from "../shared/records.ts";
import { Link } from "../shared/route.tsx";
import { lasted, moment, roleName, usd } from "../shared/wording.ts";
import { useResource } from "./resource.ts";
import { StepMark } from "./step-mark.tsx";

/** The coordinated tasks, the newest first. */
export function JobsPage() {
  const { latest, opened, rows } = useFleet();
  const { data, error } = useResource<{ jobs: JobRecord[] }>(
    "/jobs",
    `${latest.job ?? 0} ${latest.step ?? 0} ${opened}`,
  );
  return (
    <>
      <header className="page-head">
        <h1>Jobs</h1>
        <p className="quiet">Tasks that several instances do together.</p>
      </header>
      {error ? <Failed what="The jobs" error={error} /> : null}
      {!data && !error ? <Loading what="the jobs" /> : null}
      {data?.jobs.length === 0 ? (
        <Nothing title="No jobs yet">
          Start one with the tool <code>coordinate_instances</code>.
        </Nothing>
      ) : null}
      {data && data.jobs.length > 0 ? (
        <ul className="jobs">
          {data.jobs.map((job) => (
            <li key={job.job_id}>
              <Link to={`/jobs/${job.job_id}`} className="job-line">
                <span className="job-type">{roleName(job.type)}</span>
                <span className="quiet">
                  {rows.get(job.coordinator_id)?.name ?? job.coordinator_id} with {job.participant_ids.length}
                </span>
                <StepMark status={job.status} />
                <span className="quiet">
                  {job.steps_done} of {job.steps_total} steps
                </span>
                <span className="quiet">{moment(job.created_at)}</span>
                <span className="quiet">
                  {job.finished_at && job.started_at
                    ? lasted(Date.parse(job.finished_at) - Date.parse(job.started_at))
                    : "under way"}
                </span>
                <span className="job-cost">{usd(job.cost)}</span>
              </Link>
            </li>
          ))}
        </ul>
      ) : null}
    </>
  );
}
