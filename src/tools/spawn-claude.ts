import * as z from "zod";
import { ALIASES, resolveModel } from "../anthropic/models.ts";
import type { LimitChange, SpawnRequest } from "../contracts/orchestrator.ts";
import { POWERS } from "../contracts/powers.ts";
import { originOf } from "../contracts/request-origin.ts";
import { TOOL_PRESETS } from "../contracts/tool-presets.ts";
import { MadroxError, unwrap } from "../platform/errors.ts";
import type { ListedServer } from "../remote-mcp/server-tools.ts";
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
import { assertMayGrant, environmentVars, mcpServers, remoteServers, secretsIn, web } from "./runtime/grants.ts";
import { type Inheritance, inheritanceOf } from "./runtime/inheritance.ts";
import { touching } from "./runtime/reachability.ts";
import { ADDS, answer, defineTool, type ToolContext } from "./runtime/tool.ts";
import { type Toolset, toolsetOf } from "./runtime/toolset.ts";

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
    .describe(
      `Powers (${POWERS.join(", ")}) or tools of its own whose every call waits for leave (answer_question). A tool's guard holds for all that can do the same. Its children inherit it`,
    ),
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

/** A spawn as it is committed, and what its answer says of the tools beside that. */
export interface Spawning extends Pick<Toolset, "withheld" | "guarded"> {
  request: SpawnRequest;
}

/**
 * Everything that a spawn commits, decided; `servers` are its remote servers, as they answered. Throws `invalid_input`, `too_large` or
 * `forbidden`, naming the field.
 */
export function spawningOf(
  context: ToolContext,
  input: SpawnInput,
  inheritance: Inheritance,
  servers: readonly ListedServer[] = [],
): Spawning {
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
  const { tools, ...said } = toolsetOf(
    { ...input, tools: input.tools ?? roleById(input.role).tools },
    context.instanceTools,
    servers,
    inheritance,
  );
  const request: SpawnRequest = {
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
  return { request, ...said };
}

export const spawnClaude = defineTool({
  name: "spawn_claude",
  title: "Spawn a Claude instance",
  description:
    "Start a new Claude instance with a name and a role, ready to take messages. It keeps its conversation until it is terminated. Returns its instance_id; with initial_prompt it starts to work at once.",
  annotations: ADDS,
  changes: true,
  powers: ["spawn", "message", "spend"],
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
    left_out: z
      .array(z.looseObject({}))
      .optional()
      .describe("Tools of a preset that can't be handed on, or of remote servers that can't be used, and why"),
    require_approval: z.array(z.string()).optional().describe("Its tools whose every call waits for leave"),
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
    const { request, withheld, guarded } = spawningOf(context, input, await inheritanceOf(context, parent), servers);
    const unusable = servers.flatMap(({ server, left }) => left.map((tool) => ({ server: server.name, ...tool })));
    const left = [...withheld, ...unusable];
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
      ...(guarded.length > 0 ? { require_approval: guarded } : {}),
      limits: receipt.limits,
      remaining: receipt.remaining,
      ...(receipt.message_id ? { message_id: receipt.message_id } : {}),
      ...(context.config.anthropicApiKey === null ? { simulated: true as const } : {}),
    };
  },
});
