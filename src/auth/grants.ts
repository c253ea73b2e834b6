/**
 * Grants: what the owner of an access key has allowed a client. The OAuth library keeps them in KV, under the keys that its pinned
 * version has; this reads them, and keeps one kind of record beside them:
 *
 * `issued:<user>:<grant>:<SHA-256 of a refresh token>`: empty; written with each refresh token that is issued, gone after `ISSUED_SECONDS`.
 * The library itself remembers the last two only, so it can't tell a refresh token that was replaced long ago, which
 * somebody has stolen, from one that somebody has made up.
 */

/** What a grant stores of the access key that it acts for. */
export interface GrantProps {
  tenant: string;
  keyId: string;
}

export interface Grant extends GrantProps {
  grantId: string;
  userId: string;
  clientId: string;
}

/** How long a refresh token that was replaced is still known. */
const ISSUED_SECONDS = 30 * 24 * 60 * 60;

/** The shape of the library's tokens and codes: user id, grant id, secret. Longer ones would be too long a key for the store. */
export const TOKEN_SHAPE = /^[\w.-]{1,80}:[\w-]{1,64}:[\w-]{1,128}$/;

/** The library's user id of the owner of grants. */
export function userIdOf({ tenant, keyId }: GrantProps): string {
  return `${tenant}.${keyId}`;
}

/** The grant that a token names. That there is one says nothing of whether the token was ever valid. */
export async function grantNamedIn(token: string, kv: KVNamespace): Promise<Grant | null> {
  const [userId = "", grantId = ""] = token.split(":");
  const stored = await kv.get<{ clientId: string }>(`grant:${userId}:${grantId}`, "json");
  return stored && grantOf(userId, grantId, stored.clientId);
}

export async function rememberIssued(refreshToken: string, kv: KVNamespace): Promise<void> {
  await kv.put(await issuedKey(refreshToken), "", { expirationTtl: ISSUED_SECONDS });
}

/** Whether this refresh token was issued for its grant, in the last `ISSUED_SECONDS`. */
export async function wasIssued(refreshToken: string, kv: KVNamespace): Promise<boolean> {
  return (await kv.get(await issuedKey(refreshToken))) !== null;
}

async function issuedKey(refreshToken: string): Promise<string> {
  const [userId = "", grantId = ""] = refreshToken.split(":");
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(refreshToken)));
  return `issued:${userId}:${grantId}:${hash.reduce((hex, byte) => hex + byte.toString(16).padStart(2, "0"), "")}`;
}

/**
 * The store, noting the grants that end by way of it, whole or one token of them: the library does not tell what a request has
 * really ended, but it deletes the records.
 */
export function watchEnds(kv: KVNamespace): { store: KVNamespace; ended(): Grant[] } {
  const ended = new Map<string, Grant>();
  const remove = async (key: string) => {
    const [, userId = "", grantId = ""] = /^(?:grant|token):([^:]+):([^:]+)/.exec(key) ?? [];
    const record = grantId && !ended.has(grantId) ? await kv.get<StoredEnd>(key, "json") : null;
    await kv.delete(key);
    const clientId = record?.clientId ?? record?.grant?.clientId;
    const grant = clientId === undefined ? null : grantOf(userId, grantId, clientId);
    if (grant) ended.set(grantId, grant);
  };
  const store = new Proxy(kv, {
    get(target, name) {
      if (name === "delete") return remove;
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { store, ended: () => [...ended.values()] };
}

/** The client in the library's record of a grant, or in that of an access token. */
interface StoredEnd {
  clientId?: string;
  grant?: { clientId?: string };
}

function grantOf(userId: string, grantId: string, clientId: string): Grant | null {
  const [tenant, keyId] = userId.split(".");
  return tenant && keyId ? { tenant, keyId, grantId, userId, clientId } : null;
}
