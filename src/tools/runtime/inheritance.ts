/**
 * What an instance passes on to those below it: at most the powers that it has, and every guard.
 */
import type { InstanceTool } from "../../contracts/instance-tool.ts";
import type { Grants } from "../../contracts/orchestrator.ts";
import { POWERS, type Power } from "../../contracts/powers.ts";
import { remotePowers } from "../../remote-mcp/remote-tools.ts";
import { isWebTool, WEB_TOOL_POWERS } from "../../remote-mcp/web-tools.ts";
import type { ToolContext } from "./tool.ts";

export interface Inheritance {
  /** The parent's guards, which its child has too. */
  guards: readonly string[];
  /** The most that the child can do. */
  most: readonly Power[];
}

/** Without a parent, by a caller from outside. */
export const UNBOUND: Inheritance = { guards: [], most: POWERS };

/**
 * What binds a spawn below this parent. An instance hands on what it has itself, and no more than the parent it spawns below has; a
 * caller from outside may give a child more than its parent has, but not fewer guards.
 */
export async function inheritanceOf(
  context: Pick<ToolContext, "principal" | "orchestrator" | "instanceTools">,
  parentId: string | undefined,
): Promise<Inheritance> {
  if (parentId === undefined) return UNBOUND;
  const spawner = context.principal.instance;
  const [parent, ...others] = await context.orchestrator.grants(
    spawner === null || spawner === parentId ? [parentId] : [parentId, spawner],
  );
  const guards = parent?.require_approval ?? [];
  if (spawner === null) return { guards, most: POWERS };
  const held = [parent, ...others].map((grants) => powersHeld(grants ?? null, context.instanceTools));
  return { guards, most: POWERS.filter((power) => held.every((powers) => powers.includes(power))) };
}

/** The powers of a tool by its name; undefined for one that nobody knows. */
export function powersOf(
  name: string,
  all: readonly InstanceTool[],
  remote: Grants["remote_tools"] = [],
): readonly Power[] | undefined {
  if (isWebTool(name)) return WEB_TOOL_POWERS;
  const tool = remote.find((known) => known.name === name);
  return tool ? remotePowers(tool) : all.find((known) => known.name === name)?.powers;
}

/** All that an instance with these tools can do. A tool that there no longer is gives nothing. */
export function powersHeld(grants: Grants | null, all: readonly InstanceTool[]): Power[] {
  const held = (grants?.tools ?? []).flatMap((name) => powersOf(name, all, grants?.remote_tools) ?? []);
  return POWERS.filter((power) => held.includes(power));
}
