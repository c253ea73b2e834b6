/**
 * What an instance was given in confidence, opened when a tool asks for it.
 */
import type { Config } from "../contracts/config.ts";
import { keyNameOf, NO_SECRETS, open, type Secrets } from "../platform/secrets.ts";
import type { Reporter } from "./reporting/reporter.ts";
import { sealedSecrets } from "./store/spec.ts";

/** Rejects when the key is the tenant's and its Orchestrator can't be reached. */
export async function openSecrets(parts: {
  sql: SqlStorage;
  tenant: string;
  config: Config;
  reporter: Reporter;
}): Promise<Secrets> {
  const { sql, tenant, config, reporter } = parts;
  const sealed = sealedSecrets(sql);
  if (sealed === null) return NO_SECRETS;
  const key =
    keyNameOf(sealed) === "deployment"
      ? (config.encryptionKey ?? "")
      : await reporter.ask((orchestrator) => orchestrator.tenantKey());
  return open(sealed, key, tenant);
}
