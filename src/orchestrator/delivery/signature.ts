/**
 * Webhook signatures by the Standard Webhooks specification: HMAC-SHA256 over id, time and body, so that a receiver can verify that a
 * call is from this server, unchanged, and not a replay.
 */
import { createHmac } from "node:crypto";

const PREFIX = "whsec_";

/** A new secret of 32 random bytes, in its text form. */
export function newSecret(): string {
  return PREFIX + btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(32))));
}

/** Whether it is a secret: `whsec_` and 24 to 64 bytes in base64. */
export function isSecret(text: string): boolean {
  if (!text.startsWith(PREFIX)) return false;
  const encoded = text.slice(PREFIX.length);
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(encoded) || encoded.length % 4 !== 0) return false;
  const bytes = atob(encoded).length;
  return bytes >= 24 && bytes <= 64;
}

/** The headers for a body. `now`: the time of this try, in ms since the epoch. */
export function signedHeaders(secret: string, id: string, body: string, now: number): Record<string, string> {
  const timestamp = String(Math.floor(now / 1000));
  const key = Uint8Array.from(atob(secret.slice(PREFIX.length)), (c) => c.charCodeAt(0));
  const signature = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64");
  return { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": `v1,${signature}` };
}
