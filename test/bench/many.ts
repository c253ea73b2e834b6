/**
 * Rows of many at once: coordinated tasks, and as many messages as go through.
 */
import { randomUUID } from "node:crypto";
import type { Client } from "./client.ts";
import { sideBySide } from "./measure.ts";
import type { Bench, Row } from "./row.ts";
import { spawn, terminate, times } from "./steps.ts";

/** A coordinated task up to the moment in which its last participant has delivered: then the coordinator is asked to merge. */
function parallel(participants: number, samples: number, target: number): Row {
  return {
    name: `parallel, ${participants} participants, model takes 500 ms`,
    floorName: "a Worker with as many bare objects, the same call and two inserts each",
    target,
    async measure(bench) {
      const coordinator = await spawn(bench);
      const ids = await times(participants, () => spawn(bench));
      const result = await sideBySide({
        samples,
        warmUp: 1,
        product: { run: (i) => untilMerged(bench, coordinator, ids, `Round ${i} ${randomUUID()} [500 ms]`) },
        floor: { run: (i) => bench.floor.post(`/fan-out?objects=${participants}`, `round ${i} [500 ms]`) },
      });
      await terminate(bench, [...ids, coordinator]);
      return result;
    },
  };
}

async function untilMerged(
  { product, model }: Bench,
  coordinator: string,
  participants: readonly string[],
  task: string,
): Promise<void> {
  const merges = model.nthCall(participants.length + 1, task);
  await product.tool("coordinate_instances", {
    coordinator_id: coordinator,
    participant_ids: participants,
    task_description: task,
    coordination_type: "parallel",
  });
  await merges;
}

/** How long a round of messages is. */
const MESSAGES = 320;
/** Instances that work at once, of all tenants together. */
const AT_ONCE = 32;

/** Time a message while as many as possible are answered: 1,000 over it is messages a second. */
function sustained(tenants: number): Row {
  return {
    name: `sustained: time a message, ${tenants === 1 ? "one tenant" : `${tenants} tenants`}, ${AT_ONCE} instances`,
    floorName: `time a bare model call, ${AT_ONCE} at once`,
    target: null,
    async measure(bench) {
      const clients = Array.from({ length: AT_ONCE }, (_, i) => bench.tenant(`tenant-${i % tenants}`));
      const senders = await Promise.all(
        clients.map(async (client) => ({
          client,
          id: String((await client.tool("spawn_claude", { name: "bench" })).instance_id),
        })),
      );
      const { product, floor } = await sideBySide({
        samples: 4,
        warmUp: 1,
        product: { run: () => Promise.all(senders.map((sender) => converse(sender))) },
        floor: { run: () => Promise.all(senders.map(() => callBare(bench.floor))) },
      });
      for (const client of clients) client.close();
      return { product: product.map((ms) => ms / MESSAGES), floor: floor.map((ms) => ms / MESSAGES) };
    },
  };
}

async function converse({ client, id }: { client: Client; id: string }): Promise<void> {
  for (let i = 0; i < MESSAGES / AT_ONCE; i++) {
    const answer = await client.tool("send_to_instance", { instance_id: id, message: `message ${i}` });
    if (answer.status !== "completed") throw new Error(`A waited message is ${answer.status}.`);
  }
}

async function callBare(floor: Client): Promise<void> {
  for (let i = 0; i < MESSAGES / AT_ONCE; i++) await floor.post("/turn", `message ${i}`);
}

export const MANY_ROWS: readonly Row[] = [parallel(64, 5, 1.3), parallel(256, 3, 1.7), sustained(1), sustained(16)];
