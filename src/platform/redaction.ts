/**
 * Secrets in what tools answer: a result is stored, shown to whoever reads the output, and sent to the model, so a secret
 * that a command prints is taken out of it. This finds the value as it is; one that was encoded or cut up goes through, and
 * so does what a program writes into files.
 */
import type { Secrets } from "./secrets.ts";

/** Shorter values ("1", "test", "eu") are settings rather than secrets, and taking them out would garble every answer. */
const MIN_CHARACTERS = 6;

/** Values by the name under which they are shown, the longest first: one may be a part of another. */
export function secretValues({ environment, tokens }: Secrets): [name: string, value: string][] {
  const named = (values: Record<string, string>) => Object.entries(values);
  return [...named(environment), ...named(tokens)]
    .filter(([, value]) => value.trim().length >= MIN_CHARACTERS)
    .sort(([, a], [, b]) => b.length - a.length);
}

export function redacted(text: string, values: readonly [string, string][]): string {
  return values.reduce((shown, [name, value]) => shown.replaceAll(value, () => `[secret ${name}]`), text);
}
