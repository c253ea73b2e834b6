/**
 * Files of instances as tests write, read and look for them, from outside and in the object's own storage.
 */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect } from "vitest";
import type { WorkspaceLimits } from "../../src/contracts/workspace.ts";
import { Workspace } from "../../src/workspace/workspace.ts";
import { type Json, tool } from "./door.ts";
import { mcp } from "./mcp.ts";
import { objectOf } from "./objects.ts";

export const bytesOf = (text: string) => new TextEncoder().encode(text);

export const LIMITS: WorkspaceLimits = { bytes: 200 * 1024 * 1024, files: 10_000, fileBytes: 60 * 1024 * 1024 };

export const BUCKET = env.FILES ?? expect.fail("The tests have a bucket.");

export const PREFIX = "claude_orchestrator/default/";

export const keysOf = async (id: string) => {
  const { objects } = await BUCKET.list({ prefix: `${PREFIX}${id}/` });
  return objects.map(({ key }) => key.slice(PREFIX.length + id.length + 1)).sort();
};

interface File {
  path: string;
  type: string;
  size: number;
  version: string;
}

export async function files(id: string): Promise<File[]> {
  const answer = await tool("list_instance_files", { instance_id: id, limit: 1000 });
  expect(answer).toMatchObject({ success: true });
  return (answer.files as File[]).filter((file) => file.type === "file");
}

export const write = (id: string, path: string, content: string, more: Record<string, unknown> = {}): Promise<Json> =>
  tool("write_instance_file", { instance_id: id, path, content, ...more });

export const read = (id: string, path: string, more: Record<string, unknown> = {}): Promise<Json> =>
  tool("retrieve_instance_file", { instance_id: id, path, ...more });

export const share = (from: string, path: string, to: string, more: Record<string, unknown> = {}): Promise<Json> =>
  tool("share_file", { from_instance_id: from, path, to_instance_id: to, ...more });

export const resource = (uri: string) => mcp("resources/read", { uri });

/** Runs against a workspace in a real object's storage, without the doors. */
export async function inObject<T>(
  id: string,
  work: (files: Workspace, state: DurableObjectState) => Promise<T>,
): Promise<T> {
  return runInDurableObject(objectOf(id), (_instance, state) => work(new Workspace(state.storage, LIMITS), state));
}

/** The code of a failure, and its message. */
export async function failure(work: Promise<unknown>): Promise<{ code: string; message: string; details?: object }> {
  return work.then(
    () => expect.fail("It did not fail."),
    (error) => error as { code: string; message: string },
  );
}

/** Paths that lead nowhere, and never out. */
export const BAD_PATHS: [string, string][] = [
  ["a parent folder", "../secret"],
  ["parents in the middle", "a/../../secret"],
  ["two dots at the end", "a/.."],
  ["three dots", "..."],
  ["an absolute path", "/etc/passwd"],
  ["two slashes", "//etc/passwd"],
  ["an empty segment", "a//b"],
  ["a slash at the end", "a/"],
  ["a backslash", "..\\secret"],
  ["a drive", "C:\\windows"],
  ["a NUL", "a\0b"],
  ["a line feed", "a\nb"],
  ["an escape character", "a\u001b[0m"],
  ["a line separator", "a\u2028b"],
  ["fullwidth dots", "．．/secret"],
  ["a two dot leader", "\u2025/secret"],
  ["a fullwidth slash", "a／b"],
  ["a fullwidth backslash", "a＼b"],
  ["a lone surrogate", "a\ud800"],
  ["4 KB", `${"x/".repeat(2_048)}x`],
  ["a name of 300 bytes", "x".repeat(300)],
  ["100 levels", `${"x/".repeat(99)}x`],
  ["nothing", ""],
  ["a dot", "."],
];

export const terminate = (id: string) => tool("terminate_instance", { instance_id: id });
