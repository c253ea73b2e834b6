/**
 * A Worker for tests alone: the product with a few tools of every kind in the hands of its instances, so that the turn runner
 * can be tried under `wrangler dev` without anything that real tools bring along. Never part of the product's build.
 */

import type { InstanceTool } from "../../src/contracts/instance-tool.ts";
import { createApp } from "../../src/http/app.ts";
import { INSTANCE_TOOLS } from "../../src/tools/own/index.ts";
import { Instance as ProductInstance } from "../../src/worker.ts";
import { TEST_TOOLS } from "./tools.ts";

export { Job } from "../../src/jobs/job.ts";
export { Orchestrator } from "../../src/orchestrator/orchestrator.ts";

export class Instance extends ProductInstance {
  protected override tools(): readonly InstanceTool[] {
    return [...super.tools(), ...TEST_TOOLS];
  }
}

export default createApp([...INSTANCE_TOOLS, ...TEST_TOOLS]);
