/**
 * Transactions in the types: a function that has to run in one takes a `Tx`, and only `inTransaction` (and what is built on it)
 * hands one out. A function that only reads takes `SqlStorage`, which a `Tx` is too.
 */

declare const open: unique symbol;

/** The SQL of an open transaction. Not to be kept beyond the function that it was handed to. */
export type Tx = SqlStorage & { readonly [open]: true };

/**
 * Runs `work` in one transaction: all of its writes are kept, or, when it throws, none. `work` is synchronous, and may call
 * `inTransaction` again: the inner one is part of the outer.
 */
export function inTransaction<T>(storage: DurableObjectStorage, work: (tx: Tx) => T): T {
  return storage.transactionSync(() => work(storage.sql as Tx));
}
