/**
 * What is wrong with an input, as whoever sent it is told: the problems by field, and a sentence that names the first of them.
 * Both can hold words of the sender, so they are cut.
 */
import type * as z from "zod";
import { type Details, MadroxError } from "./errors.ts";

/** Problems in the list, and in the sentence, at most. */
const LISTED = 20;
const SAID = 5;
/** Characters of one. */
const FIELD = 100;
const PROBLEM = 1_000;

/**
 * `refusal`: the sentence before the problems. `whole`: what a problem of the input as a whole is listed under. `unknown`: what
 * is said of a field that there is not. `details` go along in the answer.
 */
export function invalidInput(
  error: z.ZodError,
  { refusal, whole, unknown, details }: { refusal: string; whole: string; unknown: string; details?: Details },
): MadroxError {
  const problems = error.issues.flatMap((issue) =>
    issue.code === "unrecognized_keys"
      ? issue.keys.map((field) => ({ field, problem: unknown }))
      : [{ field: issue.path.join(".") || whole, problem: issue.message }],
  );
  const issues = problems.slice(0, LISTED).map(({ field, problem }) => ({
    field: field.slice(0, FIELD).toWellFormed(),
    problem: problem.slice(0, PROBLEM).toWellFormed(),
  }));
  const said = issues.slice(0, SAID).map(({ field, problem }) => `${field}: ${problem}`);
  return new MadroxError("invalid_input", `${refusal} ${said.join("; ")}.`, { issues, ...details });
}
