import type { Job } from "./coordination/job.ts";
import type { Instance } from "./instance/instance.ts";
import type { Orchestrator } from "./orchestrator/orchestrator.ts";

/** Bindings of wrangler.toml, and the vars and secrets that `config.ts` reads. */
interface Bindings {
  ORCHESTRATOR: DurableObjectNamespace<Orchestrator>;
  INSTANCE: DurableObjectNamespace<Instance>;
  JOB: DurableObjectNamespace<Job>;
  /** Where files are kept when their instance has ended. Without it they stay in its object. */
  FILES?: R2Bucket;
  /** The built page of the dashboard. Without it there is none. */
  ASSETS?: Fetcher;
  /** Clients, grants and tokens of OAuth. Used only where there are access keys. */
  OAUTH_KV?: KVNamespace;
  /** Counts failed logins and calls without a key, by address. Without it they are not limited. */
  LOGIN_RATE?: RateLimit;
  /** Counts the calls of each key. Without it they are not limited. */
  KEY_RATE?: RateLimit;
  ACCESS_KEYS?: string;
  ANTHROPIC_API_KEY?: string;
  ANTHROPIC_API_KEYS?: string;
  ANTHROPIC_BASE_URL?: string;
  AI_GATEWAY_TOKEN?: string;
  DEFAULT_MODEL?: string;
  MAX_INSTANCES?: string;
  MAX_TOKENS_PER_INSTANCE?: string;
  MAX_TOTAL_COST?: string;
  INSTANCE_TIMEOUT_MINUTES?: string;
  RETENTION_DAYS?: string;
  EVENT_RETENTION_DAYS?: string;
  ALLOW_PRIVATE_WEBHOOKS?: string;
  OTEL_EXPORTER_OTLP_ENDPOINT?: string;
  OTEL_EXPORTER_OTLP_HEADERS?: string;
  MAX_DEPTH?: string;
  MAX_CHILDREN?: string;
  MAX_STEPS?: string;
  MODEL_IDLE_TIMEOUT_SECONDS?: string;
  SIMULATOR_CHUNK_DELAY_MS?: string;
  WORKSPACE_PREFIX?: string;
  WORKSPACE_DIR?: string;
  WORKSPACE_MAX_BYTES?: string;
  WORKSPACE_MAX_FILES?: string;
  WORKSPACE_MAX_FILE_BYTES?: string;
  ENABLE_ISOLATION?: string;
  ENCRYPTION_KEY?: string;
  ALLOW_PRIVATE_MCP?: string;
  LOG_LEVEL?: string;
  PUBLIC_URL?: string;
  ALLOWED_HOSTS?: string;
  ALLOWED_ORIGINS?: string;
}

declare global {
  interface Env extends Bindings {}
  namespace Cloudflare {
    interface Env extends Bindings {}
    interface GlobalProps {
      mainModule: typeof import("./worker.ts");
      durableNamespaces: "Orchestrator" | "Instance" | "Job";
    }
  }
}
