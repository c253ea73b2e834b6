/**
 * A Worker for tests alone: the product with a few tools of every kind in the hands of its instances, so that the engine
 * can be tried under `wrangler dev` without anything that real tools bring along. Never part of the product's build.
 */
import { createApp } from "../../src/app.ts";
import { Instance as ProductInstance } from "../../src/instance/instance.ts";
import type { InstanceTool } from "../../src/instance/tool.ts";
import { FILE_TOOLS } from "../../src/workspace/tools.ts";
import { TEST_TOOLS } from "./tools.ts";

export { Orchestrator } from "../../src/orchestrator/orchestrator.ts";

export class Instance extends ProductInstance {
  protected override tools(): readonly InstanceTool[] {
    return [...super.tools(), ...TEST_TOOLS];
  }
}

export default createApp([...FILE_TOOLS, ...TEST_TOOLS]);
