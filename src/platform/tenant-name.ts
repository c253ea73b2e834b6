/**
 * The one rule for names of tenants. A name is part of object names, of storage prefixes, of the user ids of OAuth, and a key of the
 * JSON in `ACCESS_KEYS` and `ANTHROPIC_API_KEYS`.
 */
import * as z from "zod";

/** Characters, at most; each is one byte. */
export const MAX_TENANT_NAME = 64;

/** The rule in words. */
export const TENANT_NAME_RULE = `1 to ${MAX_TENANT_NAME} letters, digits, _ or -, and not __proto__`;

/** `__proto__` is a name that JavaScript objects do not keep like others. */
export function isTenantName(text: string): boolean {
  return /^[A-Za-z0-9_-]+$/.test(text) && text.length <= MAX_TENANT_NAME && text !== "__proto__";
}

/** An object from tenants to something. */
export function byTenant<Value extends z.ZodType>(value: Value) {
  const name = z.string().refine(isTenantName, TENANT_NAME_RULE);
  return z
    .unknown()
    .refine((json) => typeof json !== "object" || json === null || !Object.hasOwn(json, "__proto__"), TENANT_NAME_RULE)
    .pipe(z.record(name, value));
}
