/** Whether a JSON value follows a schema, in a bounded number of steps. */
import type { CompiledSchema } from "./compile.ts";
import { BudgetedEvaluation } from "./evaluation.ts";
import { type Problem, Unfinished } from "./rule.ts";
import { pointer } from "./schema.ts";

export type Check =
  | { kind: "fits" }
  /**
   * `message`: one sentence with the place in the value, as a JSON pointer in a fragment. `instead`: what was meant at that
   * place (`path`), where a text differs from the only one like it in its capitals.
   */
  | { kind: "refused"; message: string; path: readonly (string | number)[]; instead?: unknown }
  /** There is no answer within the budget. `reason`: the rest of a sentence that begins with the value. */
  | { kind: "unfinished"; reason: string };

/**
 * A step is one keyword on one value, or one property or item, or 16 to 1,024 characters, by what is done to them, or ten
 * instructions of an expression on one character. What a step touches has a bound: a keyword pays before it looks.
 * Synchronous: `steps` is what bounds its time.
 */
export function check(schema: CompiledSchema, value: unknown, steps: number): Check {
  const run = new BudgetedEvaluation(schema.material, steps);
  try {
    const { problem } = run.apply(schema.root, value);
    return problem === null ? { kind: "fits" } : refusal(problem);
  } catch (error) {
    if (error instanceof Unfinished) return { kind: "unfinished", reason: error.message };
    throw error;
  }
}

function refusal(problem: Problem): Check {
  const path: (string | number)[] = [];
  let at = problem;
  for (; at.inner !== undefined; at = at.inner) path.push(at.at);
  const { instead } = at;
  const meant = instead === undefined ? {} : { instead };
  return { kind: "refused", message: `${pointer(path)} ${at.message}`, path, ...meant };
}
