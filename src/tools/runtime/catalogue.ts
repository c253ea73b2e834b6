/**
 * The catalogue: every tool there is, in the order in which they are listed. All doors are made from it.
 */
import { answerQuestion } from "../answer-question.ts";
import { broadcastToChildren } from "../broadcast-to-children.ts";
import { cancelJob } from "../cancel-job.ts";
import { coordinateInstances } from "../coordinate-instances.ts";
import { getInstanceOutput } from "../get-instance-output.ts";
import { getInstanceStatus } from "../get-instance-status.ts";
import { getInstanceTree } from "../get-instance-tree.ts";
import { getJobStatus } from "../get-job-status.ts";
import { interruptInstance } from "../interrupt-instance.ts";
import { listInstanceFiles } from "../list-instance-files.ts";
import { retrieveInstanceFile } from "../retrieve-instance-file.ts";
import { sendToInstance } from "../send-to-instance.ts";
import { setLimits } from "../set-limits.ts";
import { shareFile } from "../share-file.ts";
import { spawnClaude } from "../spawn-claude.ts";
import { spawnTeam } from "../spawn-team.ts";
import { terminateInstance } from "../terminate-instance.ts";
import { wait } from "../wait.ts";
import { writeInstanceFile } from "../write-instance-file.ts";
import type { Tool } from "./tool.ts";

export const CATALOGUE: readonly Tool[] = [
  spawnClaude,
  spawnTeam,
  sendToInstance,
  broadcastToChildren,
  wait,
  getInstanceOutput,
  getInstanceStatus,
  getInstanceTree,
  answerQuestion,
  coordinateInstances,
  getJobStatus,
  cancelJob,
  interruptInstance,
  terminateInstance,
  setLimits,
  listInstanceFiles,
  retrieveInstanceFile,
  writeInstanceFile,
  shareFile,
];

const byName: ReadonlyMap<string, Tool> = new Map(CATALOGUE.map((tool) => [tool.name, tool]));

export function toolByName(name: string): Tool | undefined {
  return byName.get(name);
}
