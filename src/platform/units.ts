/** Money is counted in nano-dollars, so that a sub-cent turn is not lost; the outside sees dollars. */
export const NANO_PER_USD = 1_000_000_000;

/** The least amount that can be told from nothing: one nano-dollar, in USD. */
export const LEAST_USD = 1 / NANO_PER_USD;
