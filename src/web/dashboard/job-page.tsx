/**
 * One coordinated task: its steps as a graph and over time, and what came of it.
 */

import { useFleet } from "../shared/fleet-context.ts";
import { useAction } from "../shared/modal.tsx";
import { Failed, Loading } from "../shared/notice.tsx";
import { Prose } from "../shared/prose.tsx";
import type { JobStatus } from "../shared/records.ts";
import { Link } from "../shared/route.tsx";
import { run } from "../shared/server.ts";
import { moment, roleName, usd } from "../shared/wording.ts";
import { Ballots } from "./ballots.tsx";
import { JobGraph } from "./job-graph.tsx";
import { JobTimeline } from "./job-timeline.tsx";
import { useResource } from "./resource.ts";
import { StepMark } from "./step-mark.tsx";

export function JobPage({ id }: { id: string }) {
  const { latestOf, opened, rows } = useFleet();
  const { data: job, error } = useResource<JobStatus>(`/jobs/${id}`, `${latestOf.get(id) ?? 0} ${opened}`);
  const { pending, problem, perform } = useAction();
  if (!job) return error ? <Failed what="The job" error={error} /> : <Loading what="the job" />;
  const nameOf = (instanceId: string) =>
    job.steps.find((step) => step.instance_id === instanceId)?.name ?? rows.get(instanceId)?.name ?? instanceId;
  const open = job.status === "queued" || job.status === "running";
  const cancel = () =>
    perform(async () => {
      await run("cancel_job", { job_id: id, reason: "cancelled on the dashboard" });
    });
  return (
    <>
      <header className="page-head">
        <p className="crumbs">
          <Link to="/jobs">Jobs</Link>
        </p>
        <div className="instance-title">
          <h1>{roleName(job.type)}</h1>
          <StepMark status={job.status} />
        </div>
        <p className="identity">
          <span>
            led by <Link to={`/instances/${job.coordinator_id}`}>{nameOf(job.coordinator_id)}</Link>
          </span>
          <span>{moment(job.created_at)}</span>
          <span>
            {usd(job.cost)}
            {job.max_cost === null ? "" : ` of ${usd(job.max_cost)}`}
          </span>
          <code>{job.job_id}</code>
        </p>
        {open ? (
          <div className="actions">
            <button type="button" className="button danger-text" disabled={pending} onClick={() => void cancel()}>
              Cancel the job
            </button>
          </div>
        ) : null}
        {problem ? <p className="problem">{problem}</p> : null}
      </header>
      {job.failure ? (
        <div className="callout" data-tone="error">
          <p>
            <strong>It came to nothing.</strong> {job.failure.message}
          </p>
        </div>
      ) : null}
      {job.result ? (
        <section className="sheet section" aria-label="Result">
          <h2>Result</h2>
          {job.result.tally ? (
            <Ballots result={job.result} nameOf={nameOf} />
          ) : (
            <>
              {job.result.summary ? <Prose text={job.result.summary} /> : null}
              {job.result.outputs?.map((output) => (
                <details className="tool" key={output.step}>
                  <summary>
                    <span className="tool-name">{output.name}</span>
                    <span className="tool-gist">{output.text.slice(0, 120)}</span>
                  </summary>
                  <div className="tool-body">
                    <Prose text={output.text} />
                  </div>
                </details>
              ))}
            </>
          )}
        </section>
      ) : null}
      <section className="sheet section" aria-label="Steps">
        <h2>Steps</h2>
        <JobGraph job={job} />
        <JobTimeline job={job} />
      </section>
    </>
  );
}
