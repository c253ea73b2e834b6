/**
 * What an instance that can't be used answers, in one wording everywhere.
 */
import { type Answer, err } from "../errors.ts";

export function unknownInstance(instanceId: string, subject = "The instance"): Answer<never> {
  return err(
    "not_found",
    `${subject} ${instanceId} does not exist. get_instance_status without an instance_id lists the ones that do.`,
    { instance_id: instanceId },
  );
}

export function terminated(instanceId: string): Answer<never> {
  return err(
    "conflict",
    `The instance ${instanceId} is terminated and takes no messages. Its output stays readable; spawn another instance to go on.`,
    { instance_id: instanceId, state: "terminated" },
  );
}
