/**
 * The Durable Objects of the default tenant, for what no door shows.
 */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";

export const objectOf = (id: string) => env.INSTANCE.getByName(`default/${id}`);

export const registry = () => env.ORCHESTRATOR.getByName("default");

/** When the instance's alarm is due. */
export const alarmOf = (id: string) => runInDurableObject(objectOf(id), (_object, { storage }) => storage.getAlarm());
