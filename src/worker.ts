import { createApp } from "./http/app.ts";
import { Instance as InstanceObject } from "./instance/instance.ts";
import { INSTANCE_TOOLS } from "./tools/own/index.ts";

export { Job } from "./jobs/job.ts";
export { Orchestrator } from "./orchestrator/orchestrator.ts";

/** The instances of this Worker, with the catalogue: `instance/` itself knows nothing of it. */
export class Instance extends InstanceObject {
  protected override tools() {
    return INSTANCE_TOOLS;
  }
}

export default createApp();
