import { availableParallelism } from "node:os";
import { cloudflareTest } from "@cloudflare/vitest-pool-workers";
import { configDefaults, defineConfig } from "vitest/config";

import { importedDependencies, withoutDependencyMaps } from "./test/runner/dependencies.ts";
import { ModuleGraphGuard } from "./test/runner/module-graph.ts";

export default defineConfig({
  plugins: [
    withoutDependencyMaps(),
    cloudflareTest({
      wrangler: { configPath: "./test/entry/wrangler.toml" },
      miniflare: {
        // Also keeps whatever a developer's .dev.vars holds away from the tests.
        bindings: {
          ANTHROPIC_API_KEY: "a-key-for-tests",
          ANTHROPIC_API_KEYS: '{"brings-a-key": "a-key-of-the-tenant"}',
          ANTHROPIC_BASE_URL: "https://messages.test",
          MAX_INSTANCES: "100000",
          MAX_TOKENS_PER_INSTANCE: "1000000000",
          MAX_TOTAL_COST: "1000000",
          MODEL_IDLE_TIMEOUT_SECONDS: "1",
          LOG_LEVEL: "CRITICAL",
        },
        outboundService: () => new Response("Tests reach no network.", { status: 599 }),
      },
    }),
  ],
  test: {
    include: ["test/**/*.test.ts"],
    exclude: [...configDefaults.exclude, "test/e2e/**"],
    testTimeout: 30_000,
    // Tests wait for each other's objects more than they compute: one file more than there are cores keeps these at work.
    maxWorkers: availableParallelism() + 1,
    reporters: ["default", new ModuleGraphGuard()],
    deps: {
      optimizer: {
        ssr: {
          enabled: true,
          rolldownOptions: {
            external: [/^node:/, /^cloudflare:/],
            output: { minify: { mangle: false, compress: false, codegen: { removeWhitespace: true } } },
          },
          include: importedDependencies(import.meta.dirname),
        },
      },
    },
    // For test/http/app.fuzz.test.ts: how many cases, and which. `npm run fuzz` asks for more.
    provide: {
      fuzzCases: Number(process.env.FUZZ_CASES ?? 300),
      fuzzSeed: Number(process.env.FUZZ_SEED ?? 20_261_123),
    },
    // COVERAGE=1 npm test
    coverage: {
      enabled: process.env.COVERAGE === "1",
      provider: "istanbul",
      include: ["src/**/*.ts"],
      reporter: ["text-summary", "json-summary"],
      thresholds: { lines: 85 },
    },
  },
});
