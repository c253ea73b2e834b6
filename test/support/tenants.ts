/**
 * Two tenants on one server: Alice with a key of each scope, and Bob.
 */
import { keyed, newKey } from "./keyed.ts";

export const ALICE = newKey();

export const READER = newKey();

export const OPERATOR = newKey();

export const BOB = newKey();

export const server = keyed({
  alice: [ALICE, { key: READER, scopes: ["read"] }, { key: OPERATOR, scopes: ["operate"] }],
  bob: BOB,
});
