/**
 * The exports of the event log and the ledger, line by line.
 */
import { expect } from "vitest";
import type { ChainLink } from "../../src/contracts/orchestrator.ts";
import { ChainVerifier } from "../../src/orchestrator/store/hash-chain.ts";
import { request } from "./door.ts";

export interface Line {
  seq: number;
  at: string;
  instance_id: string;
  kind: string;
  data: Record<string, unknown>;
  prev: string;
  hash: string;
}

export const DAY_MS = 24 * 60 * 60 * 1000;

export async function exported(after = 0): Promise<string[]> {
  const response = await request(`/audit?after=${after}`);
  expect(response.status).toBe(200);
  return new TextDecoder()
    .decode(await response.arrayBuffer())
    .split("\n")
    .slice(0, -1);
}

export const parsed = (lines: readonly string[]) => lines.map((line) => JSON.parse(line) as Line);

/** What the verifier says of these lines. */
export function problemsOf(lines: readonly string[], end: ChainLink | null = null): string[] {
  const verifier = new ChainVerifier();
  for (const line of lines) verifier.add(line);
  if (end) verifier.endsAt(end);
  return verifier.problems;
}
