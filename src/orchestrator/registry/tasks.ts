/**
 * The table `task`: what tasks of the MCP extension wait for. A task that waits for one message needs no row: its id is the message's.
 */

import type { StoredTask } from "../../contracts/orchestrator.ts";
import { first } from "../../platform/sqlite.ts";
import type { Tx } from "../../platform/transaction.ts";

/** How long a task can be polled. */
export const TASK_LIFETIME_MS = 24 * 60 * 60 * 1000;

export function saveTask(tx: Tx, task: StoredTask): void {
  tx.exec("DELETE FROM task WHERE created_at < ?", task.created_at - TASK_LIFETIME_MS);
  tx.exec(
    "INSERT INTO task (task_id, ids, until, created_at) VALUES (?, ?, ?, ?)",
    task.task_id,
    JSON.stringify(task.ids),
    JSON.stringify(task.until),
    task.created_at,
  );
}

export function taskOf(sql: SqlStorage, taskId: string): StoredTask | null {
  const row = first<{ ids: string; until: string; created_at: number; cancelled: number }>(
    sql,
    "SELECT ids, until, created_at, cancelled FROM task WHERE task_id = ?",
    taskId,
  );
  return row
    ? {
        task_id: taskId,
        ids: JSON.parse(row.ids),
        until: JSON.parse(row.until),
        created_at: row.created_at,
        cancelled: row.cancelled === 1,
      }
    : null;
}

export function cancelTask(tx: Tx, taskId: string): void {
  tx.exec("UPDATE task SET cancelled = 1 WHERE task_id = ?", taskId);
}
