/**
 * What a thousand instances do while nobody wants anything of them, read from the databases that they leave on the disk.
 */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Bench, Row } from "./row.ts";

const INSTANCES = 1_000;
const AT_ONCE = 16;
/** Until the last alarm of a turn has gone off. */
const REST_MS = 20_000;
/** How long they are watched. */
const WATCH_MS = 30_000;
/** The idle deadline of an instance is an hour ahead; whatever comes before half of that is for something else. */
const SOON_MS = 30 * 60_000;

interface Idlers {
  /** Files of their databases and their Orchestrator's. */
  files: string[];
  /** When each one's alarm goes off, in ms since the epoch. */
  alarms: number[];
}

let made: Promise<Idlers> | undefined;

/** Instances that have each answered one message, and the objects that are new since. */
function idlers(bench: Bench): Promise<Idlers> {
  made ??= (async () => {
    const folders = ["Instance", "Orchestrator"].map((name) => bench.objects(name));
    const before = new Set(folders.flatMap(databasesIn));
    const known = new Set(alarmsIn(bench.objects("Instance")).map(({ object }) => object));
    const client = bench.tenant("tenant-of-idlers");
    let left = INSTANCES;
    const worker = async () => {
      while (left-- > 0) {
        const { instance_id } = await client.tool("spawn_claude", { name: "bench" });
        await client.tool("send_to_instance", { instance_id, message: "Good day." });
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    await pause(REST_MS);
    return {
      files: folders.flatMap(databasesIn).filter((file) => !before.has(file)),
      alarms: alarmsIn(bench.objects("Instance")).flatMap(({ object, at }) => (known.has(object) ? [] : [at])),
    };
  })();
  return made;
}

const pause = (ms: number) => new Promise((done) => setTimeout(done, ms));

function databasesIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith(".sqlite") && file !== "metadata.sqlite")
    .map((file) => join(folder, file));
}

function alarmsIn(folder: string): { object: string; at: number }[] {
  const database = new DatabaseSync(join(folder, "metadata.sqlite"), { readOnly: true });
  try {
    // The runtime counts in nanoseconds.
    const rows = database.prepare("SELECT actor_id AS object, scheduled_time / 1000000 AS at FROM _cf_ALARM").all();
    return rows.map(({ object, at }) => ({ object: String(object), at: Number(at) }));
  } finally {
    database.close();
  }
}

/** What changes with every write: to the database, or to the log before it. */
function stampOf(file: string): string {
  return [file, `${file}-wal`]
    .map((path) => statSync(path, { throwIfNoEntry: false }))
    .map((stat) => (stat ? `${stat.size} ${stat.mtimeMs}` : "none"))
    .join();
}

const writes: Row = {
  name: "databases written in 30 s while 1,000 instances idle",
  floorName: "databases of those instances, and of their Orchestrator",
  unit: "of",
  target: 0,
  async measure(bench) {
    const { files } = await idlers(bench);
    const before = new Map(files.map((file) => [file, stampOf(file)]));
    await pause(WATCH_MS);
    return { product: [files.filter((file) => stampOf(file) !== before.get(file)).length], floor: [files.length] };
  },
};

const alarms: Row = {
  name: "alarms of 1,000 idle instances before their deadline",
  floorName: "their alarms",
  unit: "of",
  target: 0,
  async measure(bench) {
    const { alarms } = await idlers(bench);
    if (alarms.length !== INSTANCES) throw new Error(`${INSTANCES} idle instances have ${alarms.length} alarms.`);
    return { product: [alarms.filter((at) => at < Date.now() + SOON_MS).length], floor: [alarms.length] };
  },
};

export const IDLE_ROWS: readonly Row[] = [alarms, writes];
