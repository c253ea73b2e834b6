/**
 * The names of what a deployment can set, each once. What they mean stands in the README's configuration table.
 */

/** Who may come in: read by `auth/access-config.ts`. */
export const ACCESS_VARIABLES = ["ACCESS_KEYS", "PUBLIC_URL", "ALLOWED_HOSTS", "ALLOWED_ORIGINS"] as const;

/** Everything else: read by `config.ts`. */
export const CONFIG_VARIABLES = [
  "ANTHROPIC_API_KEY",
  "ANTHROPIC_BASE_URL",
  "AI_GATEWAY_TOKEN",
  "DEFAULT_MODEL",
  "MAX_INSTANCES",
  "MAX_TOKENS_PER_INSTANCE",
  "MAX_TOTAL_COST",
  "INSTANCE_TIMEOUT_MINUTES",
  "RETENTION_DAYS",
  "EVENT_RETENTION_DAYS",
  "ALLOW_PRIVATE_WEBHOOKS",
  "OTEL_EXPORTER_OTLP_ENDPOINT",
  "OTEL_EXPORTER_OTLP_HEADERS",
  "MAX_DEPTH",
  "MAX_CHILDREN",
  "MAX_STEPS",
  "COMPACT_AT_TOKENS",
  "MODEL_IDLE_TIMEOUT_SECONDS",
  "SIMULATOR_CHUNK_DELAY_MS",
  "WORKSPACE_PREFIX",
  "WORKSPACE_MAX_BYTES",
  "WORKSPACE_MAX_FILES",
  "WORKSPACE_MAX_FILE_BYTES",
  "ENABLE_ISOLATION",
  "ENCRYPTION_KEY",
  "ALLOW_PRIVATE_MCP",
  "WORKSPACE_DIR",
  "LOG_LEVEL",
  "ANTHROPIC_API_KEYS",
] as const;

export type AccessVariable = (typeof ACCESS_VARIABLES)[number];
export type ConfigVariable = (typeof CONFIG_VARIABLES)[number];

/** Those that are shown nowhere, and set with `wrangler secret put`. */
export const SECRETS: ReadonlySet<string> = new Set<AccessVariable | ConfigVariable>([
  "ACCESS_KEYS",
  "ANTHROPIC_API_KEY",
  "ANTHROPIC_API_KEYS",
  "AI_GATEWAY_TOKEN",
  "ENCRYPTION_KEY",
  "OTEL_EXPORTER_OTLP_HEADERS",
]);
