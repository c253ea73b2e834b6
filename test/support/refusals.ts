/**
 * How tests call a tool over REST and MCP, and what every refusal has to look like.
 */
import { expect } from "vitest";
import { ERROR_STATUS, type ErrorCode } from "../../src/platform/errors.ts";
import { type Json, request } from "./door.ts";
import { MCP_HEADERS, mcpTool } from "./mcp.ts";

export type Input = Record<string, unknown>;

/** A failed answer, as it is over REST and MCP alike. */
interface Refusal {
  success: false;
  error: ErrorCode;
  message: string;
  details?: { issues?: { field: string; problem: string }[] };
}

const JSON_TYPE = { "content-type": "application/json" };

export function postTool(body: BodyInit | null, headers: Record<string, string> = {}): Promise<Response> {
  return request("/tools/execute", { method: "POST", headers: { ...JSON_TYPE, ...headers }, body });
}

export const postMcp = (body: BodyInit | null, headers: Record<string, string> = {}): Promise<Response> =>
  request("/mcp", { method: "POST", headers: { ...MCP_HEADERS, ...headers }, body });

export async function overRest(name: unknown, input: unknown): Promise<{ http: number; answer: Json }> {
  const response = await postTool(JSON.stringify({ tool: name, arguments: input }));
  return { http: response.status, answer: (await response.json()) as Json };
}

/** Nothing of the inside, nothing overlong, nothing that another JSON parser can't read. */
function expectPresentable(answer: { message: string }): void {
  const whole = JSON.stringify(answer);
  expect(answer.message).toMatch(/^\S+ \S+ /);
  expect(answer.message.length).toBeLessThan(1_000);
  expect(whole.length).toBeLessThan(10_000);
  // Half a surrogate pair stands in JSON as an escape; the backslash of a text that quotes one is itself escaped.
  expect(whole).not.toMatch(/(?<!\\)(\\\\)*\\ud[89a-f][0-9a-f]{2}/i);
  expect(whole).not.toMatch(/\bat \S+ \(|\.ts:\d|node_modules|SQLITE|call stack|undefined is not/);
}

/** Refused over REST and MCP in the same words; what follows is served. */
export async function refusedOverBoth(name: string, input: unknown): Promise<Refusal> {
  const rest = await overRest(name, input);
  expect(rest.answer).toMatchObject({ success: false, error: expect.any(String), message: expect.any(String) });
  expect(await mcpTool(name, input)).toEqual(rest.answer);
  const refusal = rest.answer as unknown as Refusal;
  expect(rest.http).toBe(ERROR_STATUS[refusal.error]);
  expect(rest.http).toBeGreaterThanOrEqual(400);
  expect(rest.http).toBeLessThan(500);
  expectPresentable(refusal);
  expect((await overRest("get_instance_status", { limit: 1 })).http).toBe(200);
  expect((await mcpTool("get_instance_status", { limit: 1 })).success).toBe(true);
  return refusal;
}

/** A refusal over REST before any tool is run. */
export async function refusedBy(response: Response): Promise<Refusal> {
  expect(response.headers.get("content-type")).toContain("application/json");
  const answer = (await response.json()) as Refusal;
  expect(answer).toMatchObject({ success: false, error: expect.any(String), message: expect.any(String) });
  expect(response.status).toBe(ERROR_STATUS[answer.error]);
  expectPresentable(answer);
  expect((await request("/health")).status).toBe(200);
  return answer;
}
