import type { Client } from "./client.ts";
import type { Times } from "./measure.ts";
import type { ModelServer } from "./model.ts";

/** What a row has to work with. */
export interface Bench {
  product: Client;
  /** The floor's Worker: `read` and `insert` over MCP, `POST /turn`, and anything else, which answers `ok`. */
  floor: Client;
  model: ModelServer;
}

/** One line of the report. */
export interface Row {
  name: string;
  /** What its times are divided by. */
  floorName: string;
  /** How many floors its p50 may take; null when it is only shown. */
  target: number | null;
  measure(bench: Bench): Promise<Times>;
}
