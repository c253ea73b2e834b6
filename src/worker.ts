import { createApp } from "./app.ts";

export { Instance } from "./instance/instance.ts";
export { Orchestrator } from "./orchestrator/orchestrator.ts";

export default createApp();
