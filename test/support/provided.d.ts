/** What `vitest.config.ts` hands to the tests. */
import "vitest";

declare module "vitest" {
  interface ProvidedContext {
    /** How many cases test/http/app.fuzz.test.ts tries, and which. */
    fuzzCases: number;
    fuzzSeed: number;
  }
}
