import * as z from "zod";
import { ALIASES, resolveModel } from "../anthropic/models.ts";
import { definitionOf, type InstanceTool, presetTools } from "../contracts/instance-tool.ts";
import type { LimitChange, SpawnRequest } from "../contracts/orchestrator.ts";
import { originOf } from "../contracts/request-origin.ts";
import { TOOL_PRESETS, type ToolPreset } from "../contracts/tool-presets.ts";
import { MadroxError, unwrap } from "../platform/errors.ts";
import type { ListedServer } from "../remote-mcp/server-tools.ts";
import { isWebTool, WEB_TOOLS } from "../remote-mcp/web-tools.ts";
import { ROLE_IDS, roleById, systemPromptOf } from "../roles/index.ts";
import {
  assertSize,
  idempotencyKey,
  instanceId,
  prose,
  resourceLimits,
  simulated,
  spendingLimits,
  text,
  timeoutMinutes,
  turnMinutes,
} from "./runtime/fields.ts";
import {
  assertMayGrant,
  environmentVars,
  mcpServers,
  remoteServers,
  secretsIn,
  web,
  webTools,
} from "./runtime/grants.ts";
import { touching } from "./runtime/reachability.ts";
import { ADDS, answer, defineTool, type ToolContext } from "./runtime/tool.ts";

/** The three places in which a caller may set a limit, in the order in which they count. */
export function limitsIn(input: {
  max_total_tokens?: number | undefined;
  max_cost?: number | undefined;
  timeout_minutes?: number | undefined;
  max_turn_minutes?: number | undefined;
  resource_limits?:
    | { max_total_tokens?: number | undefined; max_cost?: number | undefined; timeout_minutes?: number | undefined }
    | undefined;
}): LimitChange {
  return {
    max_total_tokens: input.max_total_tokens ?? input.resource_limits?.max_total_tokens,
    max_cost: input.max_cost ?? input.resource_limits?.max_cost,
    timeout_minutes: input.timeout_minutes ?? input.resource_limits?.timeout_minutes,
    max_turn_minutes: input.max_turn_minutes,
  };
}

/** The tools that a spawn asks for. Throws `invalid_input`, naming those there are, for one that there is not. */
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

/** A system prompt's size in bytes, at most: it is part of every model call. */
const MAX_SYSTEM_BYTES = 102_400;
/** The original's default; fits a long answer, and keeps what one call can cost in bounds. */
export const DEFAULT_MAX_TOKENS = 16_000;

const SpawnInput = z.strictObject({
  name: prose().max(200).describe("What to call it"),
  role: z.enum(ROLE_IDS).default("general").describe("Its speciality, which gives it a system prompt"),
  system_prompt: text().optional().describe("Instructions added to the role's"),
  model: z
    .string()
    .optional()
    .describe(`${Object.keys(ALIASES).join(", ")}, or a full model id. Default: the server's`),
  effort: z
    .enum(["low", "medium", "high", "xhigh", "max"])
    .optional()
    .describe("How much the model thinks. Default: the model's"),
  max_tokens: z.int().min(1).default(DEFAULT_MAX_TOKENS).describe("Output tokens of one model call, thinking included"),
  compact_at_tokens: z.int().min(10_000).optional().describe("Summarize the conversation from this size on"),
  initial_prompt: prose().optional().describe("A first message"),
  parent_instance_id: instanceId.optional().describe("The instance that this one belongs to; it ends with it"),
  tools: z
    .union([z.enum(TOOL_PRESETS), z.array(z.string()).max(100)])
    .optional()
    .describe("none, read_only, standard, full, or a list of tool names. Default: what its role needs"),
  require_approval: z
    .array(z.string().max(100))
    .max(100)
    .default([])
    .describe("Of its tools, those whose every call waits for leave (answer_question). Its children inherit it"),
  workspace: z
    .enum(["own", "parent"])
    .optional()
    .describe(
      "own: files of its own; parent: it works in its parent's files. Default: own, unless the server says otherwise",
    ),
  web,
  mcp_servers: mcpServers,
  environment_vars: environmentVars,
  ...spendingLimits,
  timeout_minutes: timeoutMinutes,
  resource_limits: resourceLimits,
  max_turn_minutes: turnMinutes,
  idempotency_key: idempotencyKey,
});
export type SpawnInput = z.output<typeof SpawnInput>;

/** A call of a web tool is made within the model call, where nobody can be asked first. */
function assertWaitable(names: readonly string[]): void {
  const web = names.filter(isWebTool);
  if (web.length === 0) return;
  throw new MadroxError(
    "invalid_input",
    `require_approval can't hold ${web.join(", ")}: the Messages API runs them itself. Leave the tool out, or bound it with web.`,
    { field: "require_approval" },
  );
}

/**
 * Everything that a spawn commits, decided; `servers` are its remote servers, as they answered. Throws `invalid_input` or
 * `too_large`, naming the field.
 */
export function spawnRequestOf(
  context: ToolContext,
  input: SpawnInput,
  servers: readonly ListedServer[] = [],
): SpawnRequest {
  assertMayGrant(context, input);
  const resolved = resolveModel(input.model ?? context.defaultModel);
  if (!resolved.ok) {
    throw new MadroxError("invalid_input", resolved.message, {
      field: "model",
      reason: resolved.reason,
      models: ALIASES,
    });
  }
  const { model } = resolved;
  if (input.effort && !model.efforts.includes(input.effort)) {
    throw new MadroxError(
      "invalid_input",
      model.efforts.length === 0
        ? `${model.id} has no effort setting. Leave effort out.`
        : `${model.id} takes effort ${model.efforts.join(", ")}, not ${input.effort}.`,
      { field: "effort", efforts: model.efforts },
    );
  }
  if (input.max_tokens > model.maxOutput) {
    throw new MadroxError(
      "invalid_input",
      `${model.id} writes at most ${model.maxOutput} tokens a call; max_tokens is ${input.max_tokens}.`,
      {
        field: "max_tokens",
        maximum: model.maxOutput,
      },
    );
  }
  if (input.system_prompt)
    assertSize(
      "system_prompt",
      input.system_prompt,
      MAX_SYSTEM_BYTES,
      "Shorten it; longer material belongs into a message.",
    );
  if (input.initial_prompt) assertSize("initial_prompt", input.initial_prompt);
  if (input.workspace === "parent" && input.parent_instance_id === undefined) {
    throw new MadroxError(
      "invalid_input",
      "workspace: parent needs a parent_instance_id. Name the instance whose files it shares, or leave workspace out.",
      { field: "workspace" },
    );
  }
  const shared = input.parent_instance_id !== undefined && !context.config.enableIsolation;
  const own = toolsFor(input.tools ?? roleById(input.role).tools, context.instanceTools).map(definitionOf);
  const tools = [...own, ...servers.flatMap((listed) => listed.definitions), ...webTools(input)];
  assertWaitable(input.require_approval);
  const unguarded = input.require_approval.filter((name) => !tools.some((tool) => tool.name === name));
  if (unguarded.length > 0) {
    throw new MadroxError(
      "invalid_input",
      `require_approval names ${unguarded.slice(0, 5).join(", ").slice(0, 200).toWellFormed()}, which the instance would not have. Its tools: ${tools.map(({ name }) => name).join(", ") || "none"}.`,
      { field: "require_approval", tools: tools.map(({ name }) => name) },
    );
  }
  return {
    tenant: context.principal.tenant,
    name: input.name,
    role: input.role,
    model: model.id,
    effort: input.effort ?? null,
    max_tokens: input.max_tokens,
    compact_at_tokens: input.compact_at_tokens,
    system: systemPromptOf(input.role, input.system_prompt),
    tools,
    mcp_servers: servers.map((listed) => listed.server),
    secrets: secretsIn(input),
    workspace: input.workspace ?? (shared ? "parent" : "own"),
    parent_instance_id: input.parent_instance_id ?? null,
    initial_prompt: input.initial_prompt ?? null,
    limits: limitsIn(input),
    spawner: context.principal.instance,
    require_approval: input.require_approval,
    ...(context.trace ? { trace: context.trace } : {}),
  };
}

export const spawnClaude = defineTool({
  name: "spawn_claude",
  title: "Spawn a Claude instance",
  description:
    "Start a new Claude instance with a name and a role, ready to take messages. It keeps its conversation until it is terminated. Returns its instance_id; with initial_prompt it starts to work at once.",
  annotations: ADDS,
  changes: true,
  scope: "operate",
  input: SpawnInput,
  output: answer({
    instance_id: z.string(),
    limits: z.looseObject({}),
    remaining: z.looseObject({}),
    name: z.string(),
    role: z.string(),
    model: z.string(),
    tools: z.array(z.string()),
    left_out: z.array(z.looseObject({})).optional().describe("Tools of remote servers that can't be used, and why"),
    message_id: z.string().optional(),
    simulated,
  }),
  forInstances: {
    without: ["web", "mcp_servers", "environment_vars"],
    touches: (input) => touching("spawn", input.parent_instance_id),
    description:
      "Start a new Claude instance below you, with a name and a role, ready to take messages. It can't see your conversation: tell it everything it needs. Returns its instance_id; with initial_prompt it starts to work at once. It works within your limits.",
  },
  async run(context, given) {
    // An instance's children are its own, or those of somebody below it.
    const parent = given.parent_instance_id ?? context.principal.instance ?? undefined;
    const input = { ...given, parent_instance_id: parent };
    const servers = await remoteServers(context, input);
    const left = servers.flatMap(({ server, left }) => left.map((tool) => ({ server: server.name, ...tool })));
    const request = spawnRequestOf(context, input, servers);
    const receipt = unwrap(
      await context.orchestrator.spawn({
        ...request,
        ...originOf(context),
      }),
    );
    return {
      success: true,
      message: receipt.message_id
        ? `${input.name} (${input.role}) is at work on its initial prompt. Read the answer with get_instance_output.`
        : `${input.name} (${input.role}) is ready. Talk to it with send_to_instance.`,
      instance_id: receipt.instance_id,
      name: input.name,
      role: input.role,
      model: request.model,
      tools: request.tools.map((tool) => tool.name),
      ...(left.length > 0 ? { left_out: left } : {}),
      limits: receipt.limits,
      remaining: receipt.remaining,
      ...(receipt.message_id ? { message_id: receipt.message_id } : {}),
      ...(context.config.anthropicApiKey === null ? { simulated: true as const } : {}),
    };
  },
});
