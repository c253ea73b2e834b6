/**
 * The tenant's own key, for deployments without ENCRYPTION_KEY.
 */
import type { Config } from "../contracts/config.ts";
import { hasSecrets, newKey, type Secrets, seal } from "../platform/secrets.ts";
import { first } from "../platform/sqlite.ts";

/** Made on first use. */
export function tenantKey(sql: SqlStorage): string {
  sql.exec("INSERT OR IGNORE INTO vault (id, key) VALUES (1, ?)", newKey());
  return first<{ key: string }>(sql, "SELECT key FROM vault")?.key ?? "";
}

/** Null when there are none. */
export async function sealed(
  sql: SqlStorage,
  secrets: Secrets | undefined,
  config: Pick<Config, "encryptionKey">,
  tenant: string,
): Promise<string | null> {
  if (!secrets || !hasSecrets(secrets)) return null;
  const { encryptionKey } = config;
  return encryptionKey === null
    ? seal(secrets, tenantKey(sql), "tenant", tenant)
    : seal(secrets, encryptionKey, "deployment", tenant);
}
