/**
 * A `response_schema` that the Messages API can't enforce: it goes into the conversation, and the answer is held to it here
 * alone.
 */
import { schemaAsText } from "../../anthropic/answer-format/description.ts";
import type { Reply } from "../../anthropic/reply.ts";
import type { Failure } from "../../platform/errors.ts";
import type { Tx } from "../../platform/transaction.ts";
import { show } from "../store/output.ts";
import { fenced, type TurnStore } from "../store/turn-store.ts";
import { setSchemaDescribed, type TurnRow } from "../store/turns.ts";
import { announce, endCall } from "./model-call-steps.ts";

type Schema = Record<string, unknown>;

/** `why`: the end of a sentence. */
export function describeSchema(store: TurnStore, turn: TurnRow, schema: Schema, why: string, now: number): void {
  fenced(store, (tx) => describe(tx, store, turn, schema, why, now));
}

/** The API refused a request that asked for the schema: the turn calls it again, with the schema in the conversation. */
export function describeAfterRefusal(
  store: TurnStore,
  turn: TurnRow,
  schema: Schema,
  refused: { callId: number; partial: Reply | null; error: Failure },
  now: number,
): void {
  const { callId, partial: reply, error } = refused;
  fenced(store, (tx) => {
    announce(tx, endCall(tx, store, { id: callId, n: turn.n, outcome: "failed", reply, error }, now), now);
    describe(tx, store, turn, schema, error.message, now);
  });
}

function describe(tx: Tx, store: TurnStore, turn: TurnRow, schema: Schema, why: string, now: number): void {
  store.transcript.append(tx, turn.n, "user", [{ type: "text", text: schemaAsText(schema) }], now);
  const text = `The Messages API can't hold the answer to response_schema, so it was put into the conversation, and the answer is checked here: ${why}`;
  show(tx, { n: turn.n, type: "notice", text }, now);
  setSchemaDescribed(tx, turn.n);
}
