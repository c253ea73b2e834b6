/**
 * The one alarm of a Durable Object, with its time in memory: asking costs nothing, and setting it is a write only when the
 * time changes. Nothing is awaited: the runtime keeps back every answer until the writes before it are durable, so a write of
 * the alarm and the rows beside it are one commit.
 */
export class Alarm {
  readonly #storage: DurableObjectStorage;
  #at: number | null = null;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
  }

  /** Takes over what is stored. Before anything else. */
  async load(): Promise<void> {
    this.#at = await this.#storage.getAlarm();
  }

  /** ms since the epoch, or null. */
  get at(): number | null {
    return this.#at;
  }

  set(time: number): void {
    if (this.#at === time) return;
    this.#at = time;
    this.#write(this.#storage.setAlarm(time));
  }

  /** Sets it to `time`, unless it is set for an earlier one. */
  notAfter(time: number): void {
    if (this.#at === null || this.#at > time) this.set(time);
  }

  clear(): void {
    if (this.#at === null) return;
    this.#at = null;
    this.#write(this.#storage.deleteAlarm());
  }

  /** A write that fails breaks the object: nothing that came after it gets out, and the next object reads what is stored. */
  #write(write: Promise<void>): void {
    write.catch(() => undefined);
  }

  /** The alarm has gone off, and is no longer set. Call first in the handler. */
  fired(): void {
    this.#at = null;
  }
}
