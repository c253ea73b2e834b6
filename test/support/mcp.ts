/**
 * MCP as tests speak it by hand: one request, and what comes back.
 */
import { expect } from "vitest";
import { type Json, request } from "./door.ts";

const REVISION = "2026-07-28";

/** Sends a request to a server's path, like `request` of door.ts. */
type Send = (
  path: string,
  init: { method: string; headers: Record<string, string>; body: string },
) => Promise<Response>;

/** What a JSON-RPC server says: an answer, which has the request's id, or a notification. */
export interface Message {
  id?: unknown;
  result?: unknown;
  error?: { code: number; message: string; data?: unknown };
}

export interface ToolResult {
  isError?: boolean;
  structuredContent?: unknown;
  content: { type: string; text?: string }[];
}

export const MCP_HEADERS = {
  host: "localhost",
  "content-type": "application/json",
  accept: "application/json, text/event-stream",
};

/** A request of the 2025 revisions, as `fetch` takes it. */
export function mcpRequest(method: string, params: object = {}, headers: Record<string, string> = {}) {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
  return { method: "POST", headers: { ...MCP_HEADERS, ...headers }, body };
}

/** A request of 2026-07-28, which says each time what the client can. `extensions`: those that it declares, or null for none. */
export function modernRequest(
  method: string,
  params: Record<string, unknown>,
  extensions: Record<string, unknown> | null = null,
) {
  const name = params.taskId ?? params.name;
  const headers = {
    "mcp-protocol-version": REVISION,
    "mcp-method": method,
    ...(name === undefined ? {} : { "mcp-name": String(name) }),
  };
  const _meta = {
    "io.modelcontextprotocol/protocolVersion": REVISION,
    "io.modelcontextprotocol/clientInfo": { name: "test", version: "1" },
    "io.modelcontextprotocol/clientCapabilities": extensions ? { extensions } : {},
    progressToken: "progress",
  };
  return mcpRequest(method, { ...params, _meta }, headers);
}

/** All that the server said: the events of a stream, or the one message of a JSON body. */
export async function messagesOf(response: Response): Promise<Message[]> {
  const text = await response.text();
  if (!response.headers.get("content-type")?.includes("text/event-stream")) return [JSON.parse(text)];
  return text.split("\n").flatMap((line) => (line.startsWith("data: {") ? JSON.parse(line.slice(6)) : []));
}

/** The one answer among them. */
export async function answerOf(response: Response): Promise<Message> {
  const answers = (await messagesOf(response)).filter((message) => "id" in message);
  expect(answers).toHaveLength(1);
  return answers[0] as Message;
}

/** What the server answers to a method. */
export async function mcp(method: string, params: object = {}, send: Send = request): Promise<Message> {
  return answerOf(await send("/mcp", mcpRequest(method, params)));
}

/** What a client reads of a tool's result; its text and its structured content are held to say the same. */
export function toolAnswer({ content, structuredContent, isError = false }: ToolResult): Json {
  expect(content.map(({ type }) => type)).toEqual(["text"]);
  expect(JSON.parse(content[0]?.text ?? "")).toEqual(structuredContent);
  const answer = structuredContent as Json;
  expect(isError).toBe(!answer.success);
  return answer;
}

/** Runs a tool over MCP and returns its answer, like `tool` of door.ts. */
export async function mcpTool(name: unknown, input: unknown, send: Send = request): Promise<Json> {
  const { result, error } = await mcp("tools/call", { name, arguments: input }, send);
  if (!result) throw new Error(`No result: ${JSON.stringify(error)}`);
  return toolAnswer(result as ToolResult);
}
