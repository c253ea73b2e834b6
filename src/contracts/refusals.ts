/**
 * What an instance that can't be used answers, in one wording everywhere.
 */
import { err, type Result } from "../platform/errors.ts";

export function unknownInstance(instanceId: string, subject = "The instance"): Result<never> {
  return err(
    "not_found",
    `${subject} ${instanceId} does not exist. get_instance_status without an instance_id lists the ones that do.`,
    { instance_id: instanceId },
  );
}

/** For a change of the files of an instance that has ended. */
export function filesClosed(instanceId: string): Result<never> {
  return err("conflict", `The instance ${instanceId} is terminated: its files can be read, but no longer changed.`, {
    instance_id: instanceId,
    state: "terminated",
  });
}

export function terminated(instanceId: string): Result<never> {
  return err(
    "conflict",
    `The instance ${instanceId} is terminated and takes no messages. Its output stays readable; spawn another instance to go on.`,
    { instance_id: instanceId, state: "terminated" },
  );
}
