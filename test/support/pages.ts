/**
 * Routes that are read, and the pages of instances.
 */
import { expect } from "vitest";
import { type Json, request } from "./door.ts";

export async function get(path: string): Promise<{ http: number; answer: Json }> {
  const response = await request(path);
  return { http: response.status, answer: (await response.json()) as Json };
}

export interface Page {
  status: { instances: Record<string, { instance_id: string; role: string; state: string }>; total_instances: number };
  next_cursor: string | null;
}

export async function page(query: Record<string, string | number>): Promise<Page> {
  const search = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]));
  const { http, answer } = await get(`/instances?${search}`);
  expect(http).toBe(200);
  expect(answer.success).toBe(true);
  return answer as unknown as Page;
}

export const idsOn = (found: Page) => Object.keys(found.status.instances);
