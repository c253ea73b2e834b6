/**
 * The server, as the page asks it: the same REST doors and the same tools as everybody else.
 */

import { newKey } from "../../client/key.ts";

const KEY_NAME = "madrox.access-key";

/** The access key of this tab, or null. It is kept for the tab's session only. */
export function accessKey(): string | null {
  return sessionStorage.getItem(KEY_NAME);
}

export function keepAccessKey(key: string | null): void {
  if (key === null) sessionStorage.removeItem(KEY_NAME);
  else sessionStorage.setItem(KEY_NAME, key);
}

/** A refusal in the server's own words; `code` is `unreachable` when there was no answer at all. */
export class ServerError extends Error {
  readonly code: string;
  readonly status: number;

  constructor(code: string, message: string, status: number) {
    super(message);
    this.name = "ServerError";
    this.code = code;
    this.status = status;
  }
}

const UNREACHABLE = "The server can't be reached. The page tries again by itself.";

/** Sends a request with the access key. Throws `ServerError` for every answer that is no success. */
export async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  const key = accessKey();
  const headers = new Headers(init.headers);
  if (key !== null) headers.set("authorization", `Bearer ${key}`);
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ServerError("unreachable", UNREACHABLE, 0);
  }
  if (response.ok) return response;
  const body = (await response.json().catch(() => null)) as { error?: string; message?: string } | null;
  throw new ServerError(
    body?.error ?? "unreachable",
    body?.message ?? `The server answered ${response.status} without saying why.`,
    response.status,
  );
}

export async function read<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await ask(path, { headers: { accept: "application/json" }, ...(signal ? { signal } : {}) });
  return (await response.json()) as T;
}

/** Runs a tool and gives its answer. Throws `ServerError` when it refuses. */
export type Run = (tool: string, input: Record<string, unknown>) => Promise<Record<string, unknown>>;

/** Runs a tool once, however often the request has to be sent. Throws `ServerError` when it refuses. */
export async function run<T = Record<string, unknown>>(tool: string, input: Record<string, unknown>): Promise<T> {
  const response = await ask("/tools/execute", {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": newKey() },
    body: JSON.stringify({ tool, arguments: input }),
  });
  return (await response.json()) as T;
}

/** Saves a file of an instance on the visitor's machine. */
export async function download(instanceId: string, path: string): Promise<void> {
  const encoded = path.split("/").map(encodeURIComponent).join("/");
  const response = await ask(`/instances/${instanceId}/files/${encoded}`);
  saveAs(await response.blob(), path.split("/").at(-1) ?? path);
}

export function saveAs(content: Blob, name: string): void {
  const url = URL.createObjectURL(content);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}
