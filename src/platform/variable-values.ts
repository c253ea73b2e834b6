/**
 * How the text of a deployment's variables is read, whatever they are for.
 */
import * as z from "zod";
import { MadroxError } from "./errors.ts";

/** Comma-separated. */
export const list = z
  .string()
  .optional()
  .transform((text) => (text ?? "").split(",").flatMap((part) => part.trim() || []));

export const orNull = (text: string | undefined) => (text === undefined || text.trim() === "" ? null : text.trim());

export function misconfigured(error: z.ZodError): MadroxError {
  const problems = error.issues.map((issue) => `${issue.path.join(".")} ${issue.message}`);
  return new MadroxError("misconfigured", `The server's configuration is wrong: ${problems.join("; ")}.`, { problems });
}
