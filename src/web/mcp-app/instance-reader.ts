/**
 * An instance as the host lets it be read: its record, and its conversation from where it was read last.
 */
import type { InstanceRecord, OutputRow } from "../shared/records.ts";
import type { Host } from "./host.ts";

export interface Seen {
  record: InstanceRecord;
  rows: readonly OutputRow[];
}

/** Rows in one answer: hosts cap how long one may be. */
const PAGE_ROWS = 100;

export class InstanceReader {
  readonly #read: Host["read"];
  readonly #id: string;
  #rows: readonly OutputRow[] = [];

  constructor(read: Host["read"], id: string) {
    this.#read = read;
    this.#id = id;
  }

  /** Throws `ServerError`; what was read before is kept then. */
  readonly look = async (): Promise<Seen> => {
    const [{ status }] = await Promise.all([
      this.#read("get_instance_status", { instance_id: this.#id }),
      this.#readOn(),
    ]);
    return { record: status as InstanceRecord, rows: this.#rows };
  };

  async #readOn(): Promise<void> {
    for (let more = true; more; ) {
      const last = this.#rows.at(-1)?.message_index;
      const page = await this.#read("get_instance_output", {
        instance_id: this.#id,
        limit: PAGE_ROWS,
        ...(last === undefined ? {} : { cursor: String(last) }),
      });
      const known = this.#rows.at(-1)?.message_index ?? -1;
      // Another look may have read the same meanwhile.
      const fresh = (page.output as OutputRow[]).filter((row) => row.message_index > known);
      if (fresh.length > 0) this.#rows = [...this.#rows, ...fresh];
      more = page.next_cursor !== null;
    }
  }
}
