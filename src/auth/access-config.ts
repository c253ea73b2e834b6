/**
 * Who may call, as configured. Apart from `config.ts`, which the objects read: a mistake in a key must not stop work that has
 * begun.
 */
import * as z from "zod";
import { list, misconfigured, orNull } from "../platform/variable-values.ts";
import type { AccessVariable } from "../platform/variables.ts";
import { type AccessKey, parseAccessKeys } from "./keys.ts";

export interface AccessConfig {
  /** Null: only this machine may call. */
  accessKeys: readonly AccessKey[] | null;
  /** The origin under which the server is reached, where it can't tell that from a request. */
  publicUrl: string | null;
  /** Host names that the server answers to, beside loopback. */
  allowedHosts: readonly string[];
  /** Origins whose pages may call, beside the server's own. */
  allowedOrigins: readonly string[];
}

/** An origin: a scheme, a host, and no path. */
function parseOrigin(text: string): string | null {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  return ["https:", "http:"].includes(url.protocol) && url.href === `${url.origin}/` ? url.origin : null;
}

const NO_ORIGIN = "must be made of a scheme and a host, like https://madrox.example.com";

const Vars = z.object({
  ACCESS_KEYS: z
    .string()
    .optional()
    .transform(orNull)
    .transform((text, context) => {
      if (text === null) return null;
      const read = parseAccessKeys(text);
      if (read.ok) return read.keys;
      context.addIssue({ code: "custom", message: read.problem, input: null });
      return z.NEVER;
    }),
  PUBLIC_URL: z
    .string()
    .optional()
    .transform(orNull)
    .refine((text) => text === null || parseOrigin(text) !== null, NO_ORIGIN)
    .transform((text) => text && parseOrigin(text)),
  ALLOWED_HOSTS: list.transform((hosts) => hosts.map((host) => host.toLowerCase())),
  ALLOWED_ORIGINS: list
    .refine((origins) => origins.every((origin) => parseOrigin(origin) !== null), NO_ORIGIN)
    .transform((origins) => origins.flatMap((origin) => parseOrigin(origin) ?? [])),
} satisfies Record<AccessVariable, z.ZodType>);

const read = new WeakMap<object, AccessConfig>();

/** Throws `misconfigured`, naming the variable and what it may be, and never what it is. */
export function accessConfigOf(env: Env): AccessConfig {
  const known = read.get(env);
  if (known) return known;
  const result = Vars.safeParse(env);
  if (!result.success) throw misconfigured(result.error);
  const vars = result.data;
  const access: AccessConfig = {
    accessKeys: vars.ACCESS_KEYS,
    publicUrl: vars.PUBLIC_URL,
    allowedHosts: [...vars.ALLOWED_HOSTS, ...(vars.PUBLIC_URL ? [new URL(vars.PUBLIC_URL).hostname] : [])],
    allowedOrigins: vars.ALLOWED_ORIGINS,
  };
  read.set(env, access);
  return access;
}
