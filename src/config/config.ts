/**
 * The one place that reads bindings and vars, but for who may come in (`auth/access-config.ts`). Everything else takes a `Config`.
 */

import * as z from "zod";
import { resolveModel } from "../anthropic/models.ts";
import type { Config } from "../contracts/config.ts";
import { LOG_LEVELS } from "../platform/log.ts";
import { byTenant } from "../platform/tenant-name.ts";
import { LEAST_USD } from "../platform/units.ts";
import { list, misconfigured, orNull } from "../platform/variable-values.ts";
import type { ConfigVariable } from "../platform/variables.ts";

const count = (fallback: number, minimum: number) =>
  z
    .string()
    .optional()
    .transform((text, context) => {
      if (text === undefined || text === "") return fallback;
      const value = Number(text);
      if (Number.isInteger(value) && value >= minimum) return value;
      context.addIssue({ code: "custom", message: `must be a whole number of at least ${minimum}, not "${text}"` });
      return z.NEVER;
    });

/** Above 0, and at least `least`, where less could not be kept apart from nothing. */
const amount = (fallback: number, least = 0) =>
  z
    .string()
    .optional()
    .transform((text, context) => {
      if (text === undefined || text === "") return fallback;
      const value = Number(text);
      if (Number.isFinite(value) && value > 0 && value >= least) return value;
      const bound = least > 0 ? `of at least ${least}` : "above 0";
      context.addIssue({ code: "custom", message: `must be a number ${bound}, not "${text}"` });
      return z.NEVER;
    });

const flag = (fallback: boolean) =>
  z
    .string()
    .optional()
    .transform((text, context) => {
      const value = text?.trim().toLowerCase() ?? "";
      if (value === "") return fallback;
      if (["true", "1", "yes", "on"].includes(value)) return true;
      if (["false", "0", "no", "off"].includes(value)) return false;
      context.addIssue({ code: "custom", message: `must be true or false, not "${text}"` });
      return z.NEVER;
    });

function modelProblem(name: string): string {
  const found = resolveModel(name);
  return found.ok ? "" : `is no model that can be used: ${found.message}`;
}

const Vars = z.object({
  ANTHROPIC_API_KEY: z.string().optional().transform(orNull),
  ANTHROPIC_BASE_URL: z
    .string()
    .optional()
    .transform(orNull)
    .refine((url) => url === null || /^https?:\/\//.test(url), "must be an http or https URL"),
  AI_GATEWAY_TOKEN: z.string().optional().transform(orNull),
  DEFAULT_MODEL: z
    .string()
    .optional()
    .transform((text) => orNull(text) ?? "sonnet")
    .refine((name) => resolveModel(name).ok, { error: (issue) => modelProblem(String(issue.input)) }),
  MAX_INSTANCES: count(10, 1),
  MAX_TOKENS_PER_INSTANCE: count(100_000, 1),
  MAX_TOTAL_COST: amount(100, LEAST_USD),
  INSTANCE_TIMEOUT_MINUTES: amount(60),
  RETENTION_DAYS: amount(30),
  EVENT_RETENTION_DAYS: count(30, 1),
  ALLOW_PRIVATE_WEBHOOKS: flag(false),
  OTEL_EXPORTER_OTLP_ENDPOINT: z
    .string()
    .optional()
    .transform(orNull)
    .refine((url) => url === null || (/^https?:\/\//.test(url) && URL.canParse(url)), "must be an http or https URL"),
  OTEL_EXPORTER_OTLP_HEADERS: list
    .transform((pairs) => pairs.map((pair) => /^([A-Za-z0-9!#$%&'*+.^_`|~-]+)=(.*)$/.exec(pair)))
    .refine((pairs) => pairs.every((pair) => pair !== null), "must be like name=value,other=value")
    .transform((pairs) => Object.fromEntries(pairs.map((pair) => [pair?.[1] ?? "", decoded(pair?.[2] ?? "")]))),
  MAX_DEPTH: count(5, 0),
  MAX_CHILDREN: count(Number.POSITIVE_INFINITY, 0),
  MAX_STEPS: count(200, 1),
  COMPACT_AT_TOKENS: count(200_000, 10_000),
  MODEL_IDLE_TIMEOUT_SECONDS: count(90, 1),
  SIMULATOR_CHUNK_DELAY_MS: count(0, 0),
  WORKSPACE_PREFIX: z
    .string()
    .optional()
    .transform((text) => orNull(text) ?? "claude_orchestrator")
    .refine((text) => /^[A-Za-z0-9_-]{1,64}$/.test(text), "must be 1 to 64 letters, digits, _ or -"),
  WORKSPACE_MAX_BYTES: count(256 * 1024 * 1024, 1),
  WORKSPACE_MAX_FILES: count(10_000, 1),
  WORKSPACE_MAX_FILE_BYTES: count(50 * 1024 * 1024, 1),
  ENABLE_ISOLATION: flag(true),
  ENCRYPTION_KEY: z
    .string()
    .optional()
    .transform(orNull)
    .refine((key) => key === null || key.length >= 32, "must have at least 32 characters, drawn at random"),
  ALLOW_PRIVATE_MCP: flag(false),
  WORKSPACE_DIR: z
    .literal("", "is not used: workspaces are kept in storage, not in a folder. Set WORKSPACE_PREFIX instead")
    .optional(),
  LOG_LEVEL: z
    .string()
    .optional()
    .transform((text) => (orNull(text) ?? "INFO").toUpperCase())
    .pipe(z.enum(LOG_LEVELS, { error: `must be one of ${LOG_LEVELS.join(", ")}` })),
  ANTHROPIC_API_KEYS: z
    .string()
    .optional()
    .transform(orNull)
    .transform((text, context) => {
      const read = byTenant(z.string().min(1)).safeParse(parsedOrNull(text ?? "{}"));
      if (read.success) return new Map(Object.entries(read.data));
      context.addIssue({ code: "custom", message: 'must be JSON like {"my-tenant": "sk-ant-..."}', input: null });
      return z.NEVER;
    }),
} satisfies Record<ConfigVariable, z.ZodType>);

/** A header's value as the OpenTelemetry specification writes it: percent-encoded where it has to be. */
function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

function parsedOrNull(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

const parsed = new WeakMap<object, Config>();

/** The configuration of this deployment. Throws `misconfigured`, naming the variable and what it may be. */
export function configOf(env: Env): Config {
  const known = parsed.get(env);
  if (known) return known;
  const result = Vars.safeParse(env);
  if (!result.success) throw misconfigured(result.error);
  const vars = result.data;
  const config: Config = {
    anthropicApiKey: vars.ANTHROPIC_API_KEY,
    tenantApiKeys: vars.ANTHROPIC_API_KEYS,
    anthropicBaseUrl: vars.ANTHROPIC_BASE_URL,
    aiGatewayToken: vars.AI_GATEWAY_TOKEN,
    defaultModel: vars.DEFAULT_MODEL,
    maxInstances: vars.MAX_INSTANCES,
    maxTokensPerInstance: vars.MAX_TOKENS_PER_INSTANCE,
    maxTotalCost: vars.MAX_TOTAL_COST,
    instanceTimeoutMinutes: vars.INSTANCE_TIMEOUT_MINUTES,
    retentionDays: vars.RETENTION_DAYS,
    maxDepth: vars.MAX_DEPTH,
    maxChildren: Number.isFinite(vars.MAX_CHILDREN) ? vars.MAX_CHILDREN : null,
    maxSteps: vars.MAX_STEPS,
    compactAtTokens: vars.COMPACT_AT_TOKENS,
    modelIdleTimeoutMs: vars.MODEL_IDLE_TIMEOUT_SECONDS * 1000,
    simulatorChunkDelayMs: vars.SIMULATOR_CHUNK_DELAY_MS,
    workspacePrefix: vars.WORKSPACE_PREFIX,
    workspace: {
      bytes: vars.WORKSPACE_MAX_BYTES,
      files: vars.WORKSPACE_MAX_FILES,
      fileBytes: vars.WORKSPACE_MAX_FILE_BYTES,
    },
    enableIsolation: vars.ENABLE_ISOLATION,
    encryptionKey: vars.ENCRYPTION_KEY,
    allowPrivateMcp: vars.ALLOW_PRIVATE_MCP,
    logLevel: vars.LOG_LEVEL,
    eventRetentionDays: vars.EVENT_RETENTION_DAYS,
    collector:
      vars.OTEL_EXPORTER_OTLP_ENDPOINT === null
        ? null
        : {
            url: `${vars.OTEL_EXPORTER_OTLP_ENDPOINT.replace(/\/+$/, "")}/v1/traces`,
            headers: vars.OTEL_EXPORTER_OTLP_HEADERS,
          },
    allowPrivateWebhooks: vars.ALLOW_PRIVATE_WEBHOOKS,
  };
  parsed.set(env, config);
  return config;
}

/** The configuration as it is for one tenant: with the Anthropic key that the tenant brings, if it does. */
export function configFor(env: Env, tenant: string): Config {
  const config = configOf(env);
  const anthropicApiKey = config.tenantApiKeys.get(tenant);
  return anthropicApiKey === undefined ? config : { ...config, anthropicApiKey };
}
