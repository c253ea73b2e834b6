/**
 * Tool results as the host passes them on. Pure.
 */
import type { CallToolResult } from "@modelcontextprotocol/client";

/** The code of a call that the host did not let through. The server has none like it. */
export const REFUSED = "refused_by_host";

/**
 * What the server answered: its structure, or its text where a host passes on nothing else. Text that is no JSON is the host's
 * own, of a call that it did not let through: then `success` is false, and the text is the message.
 */
export function answerIn({ structuredContent, content }: CallToolResult): Record<string, unknown> {
  if (isRecord(structuredContent)) return structuredContent;
  const text = content.map((block) => (block.type === "text" ? block.text : "")).join("\n");
  try {
    const parsed: unknown = JSON.parse(text);
    if (isRecord(parsed)) return parsed;
  } catch {
    // Told below.
  }
  return { success: false, error: REFUSED, message: text || "The host gave no answer." };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
