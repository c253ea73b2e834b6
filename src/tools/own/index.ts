/**
 * All tools that instances can have: for their files, for themselves, and the catalogue's for what is below them.
 */

import type { InstanceTool } from "../../contracts/instance-tool.ts";
import { SANDBOX_TOOLS } from "../../sandbox/tools.ts";
import { FILE_TOOLS } from "../../workspace/tools.ts";
import { CATALOGUE } from "../runtime/catalogue.ts";
import { ask } from "./ask.ts";
import { fromCatalogue } from "./from-catalogue.ts";
import { reportToParent } from "./report-to-parent.ts";

export const INSTANCE_TOOLS: readonly InstanceTool[] = [
  ...FILE_TOOLS,
  ...SANDBOX_TOOLS,
  ask,
  reportToParent,
  ...CATALOGUE.filter((tool) => tool.forInstances !== undefined).map(fromCatalogue),
];
