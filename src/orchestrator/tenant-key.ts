/**
 * The tenant's own key, for deployments without ENCRYPTION_KEY.
 */
import type { Config } from "../contracts/config.ts";
import { hasSecrets, newKey, type Secrets, seal } from "../platform/secrets.ts";
import { inTransaction } from "../platform/transaction.ts";

/** The key, which is made on first use. */
export function tenantKey(storage: DurableObjectStorage): string {
  return inTransaction(storage, (tx) => {
    tx.exec("INSERT OR IGNORE INTO tenant_key (id, key) VALUES (1, ?)", newKey());
    return tx.exec<{ key: string }>("SELECT key FROM tenant_key").one().key;
  });
}

/** The secrets, sealed with the deployment's key or the tenant's; null when there are none. */
export async function sealed(
  storage: DurableObjectStorage,
  secrets: Secrets | undefined,
  config: Pick<Config, "encryptionKey">,
  tenant: string,
): Promise<string | null> {
  if (!secrets || !hasSecrets(secrets)) return null;
  const { encryptionKey } = config;
  return encryptionKey === null
    ? seal(secrets, tenantKey(storage), "tenant", tenant)
    : seal(secrets, encryptionKey, "deployment", tenant);
}
