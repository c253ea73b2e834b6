/**
 * Messages that are sent, and waited for apart.
 */
import { type Json, send, tool } from "./door.ts";

interface Done {
  id: string;
  kind: string;
  status: string;
  error?: string;
  message?: string;
  more?: string;
  response?: Record<string, unknown> & { response: string };
}

interface Waiting extends Json {
  done: Done[];
  pending: Done[];
}

export const wait = async (ids: readonly unknown[], input: Record<string, unknown> = {}) =>
  (await tool("wait", { ids, ...input })) as Waiting;

/** Sends a message without waiting for its answer, and returns its id. */
export const post = async (id: string, text: string, input: Record<string, unknown> = {}) =>
  String((await send(id, text, { wait_for_response: false, ...input })).message_id);
