import type { Client } from "./client.ts";
import type { Times } from "./measure.ts";
import type { ModelServer } from "./model.ts";

/** What a row has to work with. */
export interface Bench {
  product: Client;
  /** The floor's Worker: `read` and `insert` over MCP, `POST /turn`, and anything else, which answers `ok`. */
  floor: Client;
  model: ModelServer;
  /** The product with access keys, as one of its tenants. */
  tenant(name: string): Client;
  /** Where the tenants' objects of a class lie. */
  objects(className: string): string;
  /** Memory of the runtime's process, in MiB. */
  residentMiB(): number;
}

/** One line of the report. */
export interface Row {
  name: string;
  /** What its times are divided by. */
  floorName: string;
  /** How many floors its p50 may take; null when it is only shown. */
  target: number | null;
  /** What is counted; ms where nothing is said. */
  unit?: "ms" | "MiB" | "KiB" | "of";
  measure(bench: Bench): Promise<Times>;
}
