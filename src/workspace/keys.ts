/**
 * The one builder of storage keys. Every key of an instance begins with its prefix, which ends in a slash and has an id in
 * it that can't be guessed; so no path, and no other tenant's id, makes a key of somebody else.
 */
import { isInstanceId } from "../platform/ids.ts";
import { filePath } from "./path.ts";

/** `<WORKSPACE_PREFIX>/<tenant>/<instance_id>/`. Throws for a tenant or id that is none. */
export function prefixOf(workspacePrefix: string, tenant: string, instanceId: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9_-]{0,29}$/.test(tenant)) throw new Error("That tenant's name can't be part of a key.");
  if (!isInstanceId(instanceId)) throw new Error("That is no instance id.");
  return `${workspacePrefix}/${tenant}/${instanceId}/`;
}

/** The key of a file. The path is normalised again: what is no path makes no key. */
export function keyOf(prefix: string, path: string): string {
  return prefix + filePath(path);
}
