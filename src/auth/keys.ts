/** Access keys: the secret `ACCESS_KEYS`, kept as hashes only. */
import { createHash, timingSafeEqual } from "node:crypto";
import * as z from "zod";
import { SCOPES, type Scope } from "../contracts/scopes.ts";
import { byTenant, TENANT_NAME_RULE } from "../platform/tenant-name.ts";

export interface AccessKey {
  /** First 8 hex digits of the hash: names the key in logs and tokens. */
  id: string;
  tenant: string;
  scopes: readonly Scope[];
  /** SHA-256 of the key. */
  hash: Uint8Array;
}

/** Characters of a key, at least: a shorter one could be guessed. */
const SHORTEST_KEY = 24;
const Key = z
  .string(`a key is text, or {"key": ..., "scopes": [...]}`)
  .regex(/^[\x21-\x7e]*$/, "a key is made of visible ASCII characters, without spaces")
  .min(SHORTEST_KEY, `a key has at least ${SHORTEST_KEY} characters (npm run keys makes one)`)
  .max(500, "a key has at most 500 characters");
const ScopedKey = z.strictObject({ key: Key, scopes: z.array(z.enum(SCOPES)).min(1) });
const KeyEntry = z.union([Key.transform((key) => ({ key, scopes: [...SCOPES] as Scope[] })), ScopedKey]);
const Tenants = byTenant(z.union([KeyEntry.transform((entry) => [entry]), z.array(KeyEntry).min(1)]));

export type ParsedKeys = { ok: true; keys: AccessKey[] } | { ok: false; problem: string };

/**
 * Parses `ACCESS_KEYS`: a JSON object from tenant to a key, `{"key", "scopes"}`, or a list of those. A key without scopes has
 * all of them. A problem is described without quoting anything that could be a key.
 */
export function parseAccessKeys(text: string): ParsedKeys {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { ok: false, problem: 'must be JSON like {"my-tenant": "<key>"}' };
  }
  const read = Tenants.safeParse(json);
  if (!read.success) return { ok: false, problem: problemOf(read.error) };
  const keys = Object.entries(read.data).flatMap(([tenant, entries]) =>
    entries.map(({ key, scopes }): AccessKey => {
      const hash = hashOf(key);
      return { id: hash.toString("hex").slice(0, 8), tenant, scopes, hash };
    }),
  );
  if (keys.length === 0) return { ok: false, problem: "names no tenant" };
  if (new Set(keys.map(({ id }) => id)).size < keys.length) {
    return { ok: false, problem: "has the same key twice" };
  }
  return { ok: true, keys };
}

/** The innermost complaint, with the tenant that it is about. */
function problemOf(error: z.ZodError): string {
  const [issue] = error.issues;
  const tenant = issue?.path[0];
  const where = tenant === undefined ? "" : `: ${String(tenant).slice(0, 64)}`;
  return `must map tenants (${TENANT_NAME_RULE}) to keys of at least ${SHORTEST_KEY} characters or lists of them, each a text or {"key", "scopes": ${JSON.stringify(SCOPES)}}${where}`;
}

/** The key with this text. Takes equal time for all texts of a length: every hash is compared, each in constant time. */
export function findKey(keys: readonly AccessKey[], text: string): AccessKey | undefined {
  const hash = hashOf(text);
  let found: AccessKey | undefined;
  for (const key of keys) if (timingSafeEqual(key.hash, hash)) found = key;
  return found;
}

function hashOf(key: string): Buffer {
  return createHash("sha256").update(key).digest();
}
