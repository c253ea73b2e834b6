import type { Instance } from "./instance/instance.ts";
import type { Job } from "./jobs/job.ts";
import type { Orchestrator } from "./orchestrator/orchestrator.ts";
import type { AccessVariable, ConfigVariable } from "./platform/variables.ts";

/** Bindings of wrangler.toml, and the vars and secrets. */
interface Bindings extends Partial<Record<AccessVariable | ConfigVariable, string>> {
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
