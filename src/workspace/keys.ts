/**
 * The one builder of storage keys. Every key of an instance begins with its prefix, which ends in a slash and has an id in
 * it that can't be guessed; so no path, and no other tenant's id, makes a key of somebody else.
 */
import { isInstanceId } from "../platform/ids.ts";
import { isTenantName } from "../platform/tenant-name.ts";
import { filePath } from "./path.ts";

/** Bytes of one of R2's keys, at most. */
const MAX_KEY_BYTES = 1_024;

/** `<WORKSPACE_PREFIX>/<tenant>/<instance_id>/`. Throws for a tenant or id that is none. */
export function prefixOf(workspacePrefix: string, tenant: string, instanceId: string): string {
  if (!isTenantName(tenant)) throw new Error("That is no tenant's name.");
  if (!isInstanceId(instanceId)) throw new Error("That is no instance id.");
  return `${workspacePrefix}/${tenant}/${instanceId}/`;
}

/** Bytes that a path below a prefix may have. A prefix is ASCII. */
export function pathRoom(prefix: string): number {
  return MAX_KEY_BYTES - prefix.length;
}

/** The key of a file. The path is normalised again: what is no path makes no key. */
export function keyOf(prefix: string, path: string): string {
  return prefix + filePath(path);
}
