import * as z from "zod";
import { originOf } from "../contracts/request-origin.ts";
import type { FileInfo, WorkspaceApi } from "../contracts/workspace.ts";
import { workspaceOf } from "../contracts/workspace-rpc.ts";
import { MadroxError } from "../platform/errors.ts";
import { idempotencyKey, instanceId, text } from "./runtime/fields.ts";
import { touching } from "./runtime/reachability.ts";
import { answer, defineTool, ENDS } from "./runtime/tool.ts";

export const shareFile = defineTool({
  name: "share_file",
  title: "Hand a file to another instance",
  description:
    "Copy a file from one instance's workspace into another's, byte for byte; it works from terminated instances too. A file that is there is replaced only with overwrite, or with the expected_version that you have read.",
  annotations: ENDS,
  changes: true,
  powers: ["read", "write"],
  scope: "operate",
  forInstances: { touches: (input) => touching("share_files", input.from_instance_id, input.to_instance_id) },
  input: z.strictObject({
    from_instance_id: instanceId.describe("Whose file it is"),
    path: text().describe("Relative to its workspace, like src/app.ts"),
    to_instance_id: instanceId.describe("Who gets the copy"),
    to_path: text().optional().describe("Where to put it; default: the same path"),
    overwrite: z.boolean().default(false).describe("Replace a file that is there"),
    expected_version: text().optional().describe("The version to replace"),
    idempotency_key: idempotencyKey,
  }),
  output: answer({
    path: z.string(),
    size: z.number(),
    media_type: z.string(),
    version: z.string(),
    modified_at: z.string(),
    created: z.boolean(),
    from_instance_id: z.string(),
    to_instance_id: z.string(),
  }),
  async run(context, input) {
    const source = workspaceOf(context.instance(input.from_instance_id));
    const target = workspaceOf(context.instance(input.to_instance_id));
    const toPath = input.to_path ?? input.path;
    const expected = input.expected_version ?? (input.overwrite ? undefined : "new");
    const original = await source.open(input.path, null).catch((error: unknown) => {
      // A repeated call gets its first answer, whether or not the file is still there.
      if (context.idempotency && error instanceof MadroxError) return error;
      throw error;
    });
    try {
      const body = original instanceof MadroxError ? failing(original) : original.body;
      const { type: _file, ...copy } = await target.upload(toPath, body, {
        ...(expected === undefined ? {} : { expected }),
        ...originOf(context),
      });
      return {
        success: true,
        message: `Copied ${input.path} (${copy.size} bytes) to ${copy.path} of ${input.to_instance_id}.`,
        ...copy,
        from_instance_id: input.from_instance_id,
        to_instance_id: input.to_instance_id,
      };
    } catch (error) {
      if (error instanceof MadroxError) throw occupied(error, toPath, input.expected_version);
      if (original instanceof MadroxError) throw original;
      throw (await changed(source, original)) ?? error;
    }
  },
});

function failing(error: MadroxError): ReadableStream<Uint8Array> {
  return new ReadableStream({ type: "bytes", pull: (controller) => controller.error(error) });
}

/** What goes wrong with a stream reaches its reader without its code: this is the one thing that may. */
async function changed(source: WorkspaceApi, { path, version }: FileInfo): Promise<MadroxError | null> {
  const now = await source.stat(path).catch(() => null);
  if (now?.version === version) return null;
  return new MadroxError("conflict", `${path} was changed while it was copied. Nothing was copied: try again.`, {
    path,
  });
}

/** Who gave no version did not read what is there: they are told how to go on, not that they are late. */
function occupied(error: MadroxError, path: string, expected: string | undefined): MadroxError {
  if (expected !== undefined || error.details?.expected_version !== "new") return error;
  const { version } = error.details;
  return new MadroxError(
    "conflict",
    `${path} is there already, at version ${String(version)}. Set overwrite or expected_version to replace it, or choose another to_path.`,
    { path, version },
  );
}
