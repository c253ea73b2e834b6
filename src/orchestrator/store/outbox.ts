/**
 * The Orchestrator's outbox: the calls that it has to make to its instances and jobs. A row is written with the change that
 * caused it and delivered afterwards (platform/delivery.ts). A delivery may be repeated; the object makes that harmless.
 */
import type { AuditedCall } from "../../contracts/audited-call.ts";
import type { InstanceApi } from "../../contracts/instance.ts";
import type { JobApi } from "../../contracts/job.ts";
import { Deliveries, type DeliveryPolicy, type DeliveryTable } from "../../platform/delivery.ts";
import { unwrap } from "../../platform/errors.ts";
import { isJobId } from "../../platform/ids.ts";
import { describe, type Log } from "../../platform/log.ts";
import { first, type Row } from "../../platform/sqlite.ts";
import type { Tx } from "../../platform/transaction.ts";

/**
 * `wake`: start, or continue with changed limits. `stop`: finish the running turn, then end. `stop_now`: end at once. `erase`:
 * delete everything. `forget`: delete the conversation, once its files are kept elsewhere. `cancel`: the instance that started the
 * job has ended. A job takes `wake`, `cancel` and `erase`; an instance takes all but `cancel`.
 */
export type OutboxCall = "wake" | "stop" | "stop_now" | "erase" | "forget" | "cancel";

const OUTBOX: DeliveryTable = {
  name: "outbox",
  key: ["id"],
  columns: ["target", "call"],
  due: "due_at",
  tries: "tries",
};

const POLICY: DeliveryPolicy = { firstMs: 2_000, factor: 2, ceilingMs: 60_000, leaseMs: 5_000, atOnce: 32 };

/** `target`: an instance or a job. `asked`: the call that caused it, if it is to be recorded once done. Replaces a pending one. */
export function enqueue(tx: Tx, target: string, call: OutboxCall, now: number, asked?: AuditedCall): void {
  tx.exec(
    "INSERT OR REPLACE INTO outbox (id, target, call, due_at, asked) VALUES (?, ?, ?, ?, ?)",
    idOf(target, call),
    target,
    call,
    now,
    asked ? JSON.stringify(asked) : null,
  );
}

/** The call that caused a pending one, where that is known. */
export function callerOf(sql: SqlStorage, target: string, call: OutboxCall): AuditedCall | undefined {
  const row = first<{ asked: string | null }>(sql, "SELECT asked FROM outbox WHERE id = ?", idOf(target, call));
  return row?.asked ? (JSON.parse(row.asked) as AuditedCall) : undefined;
}

/** A `stop_now` replaces a pending `stop`. */
function idOf(target: string, call: OutboxCall): string {
  return `${call === "stop_now" ? "stop" : call}:${target}`;
}

/** Takes back a pending call. */
export function dequeue(tx: Tx, target: string, call: OutboxCall): void {
  tx.exec("DELETE FROM outbox WHERE id = ? AND call = ?", idOf(target, call), call);
}

/** Takes back every pending call to one object. */
export function dequeueAll(tx: Tx, target: string): void {
  for (const call of ["wake", "stop", "erase", "forget", "cancel"] as const)
    tx.exec("DELETE FROM outbox WHERE id = ?", idOf(target, call));
}

/** The objects that the outbox calls. */
export interface Receivers {
  instance(id: string): InstanceApi;
  job(id: string): Pick<JobApi, "wake" | "cancel" | "erase">;
}

interface OutboxRow extends Row {
  id: string;
  target: string;
  call: OutboxCall;
}

export type Outbox = Deliveries<OutboxRow, void>;

/** The deliveries of a tenant's outbox. */
export function outboxOf({
  storage,
  receivers,
  erased,
  log,
  onIdle,
}: {
  storage: DurableObjectStorage;
  receivers: Receivers;
  /** An instance or a job has deleted everything of its own. */
  erased: (id: string) => void;
  log: Log;
  onIdle: () => void;
}): Outbox {
  return new Deliveries<OutboxRow, void>({
    storage,
    table: OUTBOX,
    policy: POLICY,
    onIdle,
    send: async ({ target, call }) => {
      if (isJobId(target)) await callJob(receivers.job(target), call);
      else await callInstance(receivers.instance(target), call);
      if (call === "erase") erased(target);
    },
    onDelivered: "delete",
    onFailed: ({ target, call }, error) => log.warning("delivery.failed", { target, call, error: describe(error) }),
  });
}

async function callJob(job: ReturnType<Receivers["job"]>, call: OutboxCall): Promise<void> {
  if (call === "cancel") await job.cancel("the instance that started it was terminated");
  else if (call === "erase") unwrap(await job.erase());
  else await job.wake();
}

async function callInstance(instance: InstanceApi, call: OutboxCall): Promise<void> {
  switch (call) {
    case "cancel":
      return;
    case "wake":
      return instance.wake();
    case "forget":
      unwrap(await instance.forget());
      return;
    case "erase":
      unwrap(await instance.erase());
      return;
    case "stop":
    case "stop_now":
      return instance.stop({ force: call === "stop_now" });
  }
}
