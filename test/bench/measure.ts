/**
 * Two series of times, taken by turns so that whatever else the machine does hits both alike.
 */

/** Times in ms of the product and of its floor. */
export interface Times {
  product: readonly number[];
  floor: readonly number[];
}

/** One sample: what is done before and after is not timed. */
export interface Sampler {
  before?(i: number): Promise<unknown>;
  run(i: number): Promise<unknown>;
  after?(i: number): Promise<unknown>;
}

export interface Series {
  samples: number;
  /** Samples before those that count. */
  warmUp: number;
  product: Sampler;
  floor: Sampler;
}

/** Runs both samplers by turns: first the one first, then the other. */
export async function sideBySide({ samples, warmUp, product, floor }: Series): Promise<Times> {
  const times = { product: [] as number[], floor: [] as number[] };
  for (let i = 0; i < warmUp + samples; i++) {
    const order = i % 2 === 0 ? (["product", "floor"] as const) : (["floor", "product"] as const);
    for (const side of order) {
      const ms = await sample(side === "product" ? product : floor, i);
      if (i >= warmUp) times[side].push(ms);
    }
  }
  return times;
}

async function sample(sampler: Sampler, i: number): Promise<number> {
  await sampler.before?.(i);
  const began = performance.now();
  await sampler.run(i);
  const ms = performance.now() - began;
  await sampler.after?.(i);
  return ms;
}

/** The value that a share `q` of the values does not exceed (nearest rank). */
export function percentile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN;
}
