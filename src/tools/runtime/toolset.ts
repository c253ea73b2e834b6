/**
 * Which tools an instance gets at its spawn, and which of them wait for leave.
 */

import type { ToolDefinition } from "../../contracts/instance-spec.ts";
import { definitionOf, type InstanceTool, presetTools } from "../../contracts/instance-tool.ts";
import { isGuarded, isPower, POWERS, powersBeyond } from "../../contracts/powers.ts";
import { TOOL_PRESETS, type ToolPreset } from "../../contracts/tool-presets.ts";
import { MadroxError } from "../../platform/errors.ts";
import type { ListedServer } from "../../remote-mcp/server-tools.ts";
import { isWebTool, WEB_TOOLS } from "../../remote-mcp/web-tools.ts";
import { type Asked, webTools } from "./grants.ts";
import { type Inheritance, powersOf } from "./inheritance.ts";

export interface Toolset {
  tools: ToolDefinition[];
  /** What a preset has and the spawner can't hand on, with the reason. */
  withheld: { tool: string; reason: string }[];
  /** Those of `tools` whose calls wait for leave. */
  guarded: string[];
}

export interface ToolsetRequest extends Asked {
  tools: ToolPreset | string[];
  /** Powers, or tools by name. */
  require_approval: readonly string[];
}

/**
 * The tools that a spawn asks for, as far as they may be handed on: a preset is what of it may, a tool by name has to. Throws
 * `invalid_input` for a tool that there is not, a guard on a tool that it would not have, and one that can't be held; `forbidden` for
 * a tool by name that the spawner can't hand on.
 */
export function toolsetOf(
  request: ToolsetRequest,
  all: readonly InstanceTool[],
  servers: readonly ListedServer[],
  inheritance: Inheritance,
): Toolset {
  const asked = toolsFor(request.tools, all);
  const beyond = asked.flatMap(({ name, powers }) => {
    const missing = powersBeyond(powers, inheritance.most);
    return missing.length === 0
      ? []
      : [{ tool: name, reason: `whoever spawns it has no power to ${missing.join(", ")}` }];
  });
  if (Array.isArray(request.tools) && beyond.length > 0) throw notYours(beyond);
  const own = asked.filter(({ name }) => beyond.every(({ tool }) => tool !== name)).map(definitionOf);
  const tools = [...own, ...servers.flatMap((listed) => listed.definitions), ...webTools(request)];
  assertGuardsTools(request.require_approval, tools);
  const guards = [...inheritance.guards, ...request.require_approval];
  const remote = servers.flatMap(({ server }) => server.tools);
  const powersNamed = (name: string) => powersOf(name, all, remote) ?? POWERS;
  const guarded = tools
    .map(({ name }) => name)
    .filter((name) => isGuarded(guards, { name, powers: powersNamed(name) }, powersNamed));
  assertHolds(guards, guarded);
  return { tools, withheld: beyond, guarded };
}

/** Throws `invalid_input`, naming those there are, for a tool that there is not. */
function toolsFor(asked: ToolPreset | string[], all: readonly InstanceTool[]): InstanceTool[] {
  if (!Array.isArray(asked)) return presetTools(all, asked);
  const names = [...all.map((tool) => tool.name), ...WEB_TOOLS];
  const unknown = asked.filter((name) => !names.includes(name));
  if (unknown.length > 0) {
    const shown = unknown.slice(0, 5).map((name) => JSON.stringify(name.slice(0, 60).toWellFormed()));
    throw new MadroxError(
      "invalid_input",
      `tools: instances have no ${shown.join(", ")}. There are the presets ${TOOL_PRESETS.join(", ")}, or a list of: ${names.join(", ")}.`,
      { issues: [{ field: "tools", problem: "names tools that there are not" }], presets: TOOL_PRESETS, tools: names },
    );
  }
  return all.filter((tool) => asked.includes(tool.name));
}

function notYours(beyond: readonly { tool: string; reason: string }[]): MadroxError {
  const each = beyond.map(({ tool, reason }) => `${tool} (${reason})`).join("; ");
  return new MadroxError(
    "forbidden",
    `A child can do at most what its parent and its spawner can. Leave out: ${each}. Or ask who spawned you for it.`,
    { field: "tools", tools: beyond.map(({ tool }) => tool) },
  );
}

function assertGuardsTools(guards: readonly string[], tools: readonly ToolDefinition[]): void {
  const names = tools.map(({ name }) => name);
  const idle = guards.filter((guard) => !isPower(guard) && !names.includes(guard));
  if (idle.length === 0) return;
  throw new MadroxError(
    "invalid_input",
    `require_approval names ${idle.slice(0, 5).join(", ").slice(0, 200).toWellFormed()}, which the instance would not have. Name powers (${POWERS.join(", ")}) or its tools: ${names.join(", ") || "none"}.`,
    { field: "require_approval", powers: POWERS, tools: names },
  );
}

/** A call of a web tool is made within the model call, where nobody can be asked first: a guard that needs one would leak. */
function assertHolds(guards: readonly string[], guarded: readonly string[]): void {
  const leaky = guarded.filter(isWebTool);
  if (leaky.length === 0) return;
  throw new MadroxError(
    "invalid_input",
    `require_approval can't hold ${leaky.join(", ")}: the Messages API runs them itself. Leave the tool out, or bound it with web. Guarded (with what its parent is): ${guards.join(", ")}.`,
    { field: "require_approval", tools: leaky },
  );
}
