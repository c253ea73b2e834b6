/**
 * A workspace that lives in another object: each call is one RPC, and its failure comes back as the same `MadroxError`.
 */
import { failureOf, MadroxError, ok, type Result, unwrap } from "../platform/errors.ts";
import type { WorkspaceApi } from "./workspace.ts";

export type FileCall = keyof WorkspaceApi;
export type FileArguments<Call extends FileCall> = Parameters<WorkspaceApi[Call]>;
export type FileResult<Call extends FileCall> = Awaited<ReturnType<WorkspaceApi[Call]>>;

/** What an object that has a workspace can be asked. */
export interface WorkspaceHost {
  files<Call extends FileCall>(call: Call, args: FileArguments<Call>): Promise<Result<FileResult<Call>>>;
}

/** What changes something, and is refused once the instance has ended. */
const CHANGES: ReadonlySet<FileCall> = new Set<FileCall>(["write", "upload", "edit", "makeFolder", "move", "delete"]);

export function changesFiles(call: FileCall): boolean {
  return CHANGES.has(call);
}

/** The workspace behind a host, as if it were here. */
export function workspaceOf(host: WorkspaceHost): WorkspaceApi {
  const ask = async <Call extends FileCall>(call: Call, ...args: FileArguments<Call>): Promise<FileResult<Call>> =>
    unwrap((await host.files(call, args)) as Result<FileResult<Call>>);
  return {
    stat: (...args) => ask("stat", ...args),
    read: (...args) => ask("read", ...args),
    lines: (...args) => ask("lines", ...args),
    write: (...args) => ask("write", ...args),
    upload: (...args) => ask("upload", ...args),
    edit: (...args) => ask("edit", ...args),
    makeFolder: (...args) => ask("makeFolder", ...args),
    list: (...args) => ask("list", ...args),
    search: (...args) => ask("search", ...args),
    move: (...args) => ask("move", ...args),
    delete: (...args) => ask("delete", ...args),
    usage: (...args) => ask("usage", ...args),
    open: (...args) => ask("open", ...args),
    zip: (...args) => ask("zip", ...args),
  };
}

/** Runs a call on a workspace; a failure is an answer. Anything unforeseen is thrown. */
export async function serveFiles<Call extends FileCall>(
  workspace: WorkspaceApi,
  call: Call,
  args: FileArguments<Call>,
): Promise<Result<FileResult<Call>>> {
  try {
    const run = workspace[call] as (...given: FileArguments<Call>) => Promise<FileResult<Call>>;
    return ok(await run.apply(workspace, args));
  } catch (error) {
    if (error instanceof MadroxError) return { ok: false, error: failureOf(error) };
    throw error;
  }
}

/** What an instance answers that was terminated before it was ever used: it has no files, which is no error. */
export function noFiles<Call extends FileCall>(call: Call, instanceId: string): Result<FileResult<Call>> {
  const empty: { [Known in FileCall]?: FileResult<Known> } = {
    list: { entries: [], next: null },
    search: { matches: [], files: 0, next: null, searched: null },
  };
  const answer = empty[call] as FileResult<Call> | undefined;
  if (answer) return ok(answer);
  return {
    ok: false,
    error: {
      code: changesFiles(call) ? "conflict" : "not_found",
      message: `The instance ${instanceId} was terminated before it was used, and has no files.`,
      details: { instance_id: instanceId },
    },
  };
}
