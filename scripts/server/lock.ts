/**
 * A lock between processes, held by a file that SQLite has locked: the system takes it back when the process ends, however it
 * ends, so that no lock is ever left behind.
 */

import { DatabaseSync } from "node:sqlite";
import { setTimeout as pause } from "node:timers/promises";

const WAIT_MS = 100;

export class Lock {
  readonly #database: DatabaseSync;

  private constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** Takes the lock of this file; null when another process has it. The folder has to be there. */
  static take(file: string): Lock | null {
    const database = new DatabaseSync(file, { timeout: 0 });
    try {
      database.exec("BEGIN EXCLUSIVE");
      return new Lock(database);
    } catch (error) {
      database.close();
      if (isBusy(error)) return null;
      throw error;
    }
  }

  /** Takes the lock of this file as soon as nobody else has it. */
  static async wait(file: string): Promise<Lock> {
    for (;;) {
      const lock = Lock.take(file);
      if (lock) return lock;
      await pause(WAIT_MS);
    }
  }

  release(): void {
    this.#database.close();
  }
}

function isBusy(error: unknown): boolean {
  const SQLITE_BUSY = 5;
  return error instanceof Error && (error as Error & { errcode?: number }).errcode === SQLITE_BUSY;
}
