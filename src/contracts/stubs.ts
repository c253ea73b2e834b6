/**
 * The Durable Objects by what they are called: an Orchestrator by its tenant, an instance by tenant and id, so that an
 * id of another tenant names an object that does not exist. The one place that casts RPC stubs to their interfaces.
 */

import { isJobId } from "../platform/ids.ts";
import type { InstanceApi, Subscriber } from "./instance.ts";
import type { JobApi } from "./job.ts";
import type { OrchestratorApi } from "./orchestrator.ts";

export function orchestratorOf(env: Env, tenant: string): OrchestratorApi {
  return env.ORCHESTRATOR.getByName(tenant) as unknown as OrchestratorApi;
}

/** A socket that follows a tenant's event log (see orchestrator/delivery/event-sockets.ts). Nothing of the caller's request goes along. */
export function eventSocket(env: Env, tenant: string): Promise<Response> {
  return env.ORCHESTRATOR.getByName(tenant).fetch("https://orchestrator/live", { headers: { upgrade: "websocket" } });
}

export function instanceOf(env: Env, tenant: string, instanceId: string): InstanceApi {
  return env.INSTANCE.getByName(`${tenant}/${instanceId}`) as unknown as InstanceApi;
}

export function jobOf(env: Env, tenant: string, jobId: string): JobApi {
  return env.JOB.getByName(`${tenant}/${jobId}`) as unknown as JobApi;
}

/** A subscriber to messages and jobs: an instance or a job. */
export function subscriberOf(env: Env, tenant: string, id: string): Subscriber {
  if (isJobId(id)) return jobOf(env, tenant, id);
  return env.INSTANCE.getByName(`${tenant}/${id}`) as unknown as Subscriber;
}

/** Tenant and id of an instance's object from the object's name. Throws when the object was not made by `instanceOf`. */
export function instanceNameOf(name: string | undefined): { tenant: string; instanceId: string } {
  const { tenant, id } = nameOf(name);
  return { tenant, instanceId: id };
}

/** Tenant and id of an instance's or a job's object from the object's name. Throws when it was reached by another name. */
export function nameOf(name: string | undefined): { tenant: string; id: string } {
  const slash = name?.lastIndexOf("/") ?? -1;
  if (name === undefined || slash < 1) throw new Error("This object is reached by the name <tenant>/<id>.");
  return { tenant: name.slice(0, slash), id: name.slice(slash + 1) };
}
