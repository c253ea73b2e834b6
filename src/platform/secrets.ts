/**
 * What an instance is given that nobody may read again: environment variables and the tokens of remote servers. It is kept
 * encrypted (AES-256-GCM), bound to its tenant, and opened only in the instance, when a tool asks for it.
 *
 * The key is ENCRYPTION_KEY, if the deployment has one: a secret that no storage holds. Without it each tenant has a key of its
 * own, made at random and kept by its Orchestrator, while the encrypted text moves on to the instance: that keeps secrets
 * out of whatever shows or copies one object's storage, and does not keep them from whoever has all of it.
 */
import * as z from "zod";
import { MadroxError } from "./errors.ts";

export interface Secrets {
  /** Environment variables of shell and programs, by name. */
  environment: Record<string, string>;
  /** Authorization tokens, by the name of the remote server. */
  tokens: Record<string, string>;
}

export const NO_SECRETS: Secrets = { environment: {}, tokens: {} };

const Stored = z.object({ environment: z.record(z.string(), z.string()), tokens: z.record(z.string(), z.string()) });

/** Which key opens a sealed text: the deployment's or the tenant's. */
export type KeyName = "deployment" | "tenant";

const IV_BYTES = 12;

export function hasSecrets({ environment, tokens }: Secrets): boolean {
  return Object.keys(environment).length > 0 || Object.keys(tokens).length > 0;
}

/** A new key of a tenant, in base64. */
export function newKey(): string {
  return toBase64(crypto.getRandomValues(new Uint8Array(32)));
}

/** Seals secrets under a key: any text, of which the real key is made. */
export async function seal(secrets: Secrets, key: string, name: KeyName, tenant: string): Promise<string> {
  const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES));
  const plain = new TextEncoder().encode(JSON.stringify(secrets));
  const sealed = await crypto.subtle.encrypt(algorithm(iv, tenant), await keyOf(key), plain);
  return `1.${name}.${toBase64(iv)}.${toBase64(new Uint8Array(sealed))}`;
}

export function keyNameOf(sealed: string): KeyName {
  return sealed.split(".")[1] === "deployment" ? "deployment" : "tenant";
}

/** Throws `misconfigured` when the key is not the one it was sealed under. */
export async function open(sealed: string, key: string, tenant: string): Promise<Secrets> {
  const [version, , iv = "", text = ""] = sealed.split(".");
  if (version !== "1") throw new Error("These secrets were sealed by newer code.");
  try {
    const plain = await crypto.subtle.decrypt(algorithm(fromBase64(iv), tenant), await keyOf(key), fromBase64(text));
    return Stored.parse(JSON.parse(new TextDecoder().decode(plain)));
  } catch {
    throw new MadroxError(
      "misconfigured",
      "The instance's secrets can't be opened: ENCRYPTION_KEY is not the one with which they were stored. Set it back, or spawn the instance anew.",
    );
  }
}

function algorithm(iv: Uint8Array, tenant: string) {
  return { name: "AES-GCM", iv, additionalData: new TextEncoder().encode(tenant) };
}

async function keyOf(text: string): Promise<CryptoKey> {
  const material = await crypto.subtle.importKey("raw", new TextEncoder().encode(text), "HKDF", false, ["deriveKey"]);
  const derivation = {
    name: "HKDF",
    hash: "SHA-256",
    salt: new Uint8Array(),
    info: new TextEncoder().encode("madrox secrets"),
  };
  return crypto.subtle.deriveKey(derivation, material, { name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
}

function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8_192) text += String.fromCharCode(...bytes.subarray(at, at + 8_192));
  return btoa(text);
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}
