/**
 * Jobs over REST.
 */
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { orchestratorOf } from "../../../src/contracts/stubs.ts";
import { type Json, request, until } from "../../support/door.ts";
import { coordinate, finished, type JobView, jobsPage, playPlainly, team, who } from "../../support/jobs.ts";
import { installModel } from "../../support/model.ts";

installModel();

beforeEach(() => playPlainly());

describe("jobs over REST", () => {
  const post = async (path: string, body?: unknown, headers = {}) =>
    request(path, {
      method: "POST",
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
    });

  it("are started once for one key, looked at, listed in pages, and cancelled", async () => {
    const { Cora, Ada } = await team("Cora", "Ada");
    const body = { coordinator_id: Cora, participant_ids: [Ada], task_description: "Build a bridge." };
    const headers = { "idempotency-key": crypto.randomUUID() };
    const first = (await (await post("/jobs", body, headers)).json()) as Json;
    expect(first).toMatchObject({ success: true, status: "queued", task_id: expect.stringMatching(/^job_/) });
    expect(await (await post("/jobs", body, headers)).json()).toEqual(first);
    expect((await post("/jobs", { ...body, task_description: "Another." }, headers)).status).toBe(409);
    await finished(String(first.task_id));
    await until(async () => who().length === 2);

    const shown = (await (await request(`/jobs/${first.task_id}`)).json()) as JobView;
    expect(shown).toMatchObject({ success: true, status: "completed", type: "sequential" });
    const second = String(((await (await post("/jobs", body)).json()) as Json).task_id);
    const cancelled = await post(`/jobs/${second}/cancel`);
    expect(await cancelled.json()).toMatchObject({ success: true, job_id: second });

    const all = (await jobsPage()).jobs.map((job) => job.job_id);
    const page = await jobsPage("limit=1");
    expect(page.jobs.map((job) => job.job_id)).toEqual(all.slice(0, 1));
    expect((await jobsPage(`limit=1&cursor=${page.next_cursor}`)).jobs.map((job) => job.job_id)).toEqual(
      all.slice(1, 2),
    );
    await until(async () =>
      (await jobsPage("state=completed&limit=500")).jobs.some((job) => job.job_id === first.task_id),
    );
    const statuses = await Promise.all(
      ["?limit=0", "?state=odd", "?cursor=x"].map(async (query) => (await request(`/jobs${query}`)).status),
    );
    expect(statuses).toEqual([400, 400, 400]);
    expect((await request("/jobs", { method: "DELETE" })).status).toBe(405);
  });

  it("are in the tenant's event log from their making to their end", async () => {
    const { Cora, Ada } = await team("Cora", "Ada");
    const jobId = await coordinate({ coordinator_id: Cora, participant_ids: [Ada] });
    await finished(jobId);
    const kinds = await until(async () => {
      const page = await orchestratorOf(env, "default").events({ after: 0, instance_id: jobId, limit: 500, waitMs: 0 });
      // Who called is on record between them, whenever that comes.
      const seen = page.events.map((event) => event.kind).filter((kind) => kind.startsWith("job."));
      return seen.includes("job.completed") && seen;
    });
    expect(kinds).toEqual([
      "job.created",
      "job.started",
      "job.step_started",
      "job.step_completed",
      "job.step_started",
      "job.step_completed",
      "job.completed",
    ]);
  });
});
