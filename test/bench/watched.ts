/**
 * What it costs those that work to be looked at.
 */
import { sideBySide } from "./measure.ts";
import type { Row } from "./row.ts";
import { at, send, spawnUsed, terminate, times } from "./steps.ts";

const INSTANCES = 20;
/** Half of them follow the log, as the dashboard's tree does, the others an instance's stream, as its page does. */
const VIEWERS = 50;

const watched: Row = {
  name: `${INSTANCES} streamed turns of 2 s at once, ${VIEWERS} viewers`,
  floorName: "the same with nobody looking",
  target: 1.1,
  async measure(bench) {
    const { product } = bench;
    const ids = await times(INSTANCES, () => spawnUsed(bench));
    const round = (i: number) => Promise.all(ids.map((id) => send(bench, id, `round ${i} [100 pieces]`, true)));
    let leave: (() => void)[] = [];
    const result = await sideBySide({
      samples: 6,
      warmUp: 1,
      product: {
        before: async () => {
          const half = VIEWERS / 2;
          const onTree = Array.from({ length: half }, () => product.watch());
          const onPages = Array.from({ length: half }, (_, i) =>
            product.follow(`/instances/${at(ids, i % INSTANCES)}/events`),
          );
          leave = await Promise.all([...onTree, ...onPages]);
        },
        run: round,
        after: async () => {
          for (const go of leave) go();
        },
      },
      floor: { run: round },
    });
    await terminate(bench, ids);
    return result;
  },
};

export const WATCHED_ROWS: readonly Row[] = [watched];
