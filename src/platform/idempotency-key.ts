/** A caller's key with a hash of the whole request. */
export interface Idempotency {
  key: string;
  body_hash: string;
}
