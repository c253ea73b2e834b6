/**
 * What rows do with instances.
 */
import type { Bench } from "./row.ts";

export async function spawn({ product }: Bench): Promise<string> {
  return String((await product.tool("spawn_claude", { name: "bench" })).instance_id);
}

/** An instance whose object has worked before. */
export async function spawnUsed(bench: Bench): Promise<string> {
  const id = await spawn(bench);
  await send(bench, id, "Get to know each other.", true);
  return id;
}

export async function send({ product }: Bench, id: string, message: string, wait: boolean): Promise<void> {
  const answer = await product.tool("send_to_instance", { instance_id: id, message, wait_for_response: wait });
  if (wait && answer.status !== "completed") throw new Error(`A waited message is ${answer.status}.`);
}

export async function terminate({ product }: Bench, ids: readonly string[]): Promise<void> {
  for (const id of ids) await product.tool("terminate_instance", { instance_id: id, force: true });
}

export async function times<T>(n: number, make: () => Promise<T>): Promise<T[]> {
  const made: T[] = [];
  for (let i = 0; i < n; i++) made.push(await make());
  return made;
}

/** The i-th of a list that was made long enough. */
export function at<T>(list: readonly T[], i: number): T {
  const item = list[i];
  if (item === undefined) throw new Error(`There is no item ${i}.`);
  return item;
}
