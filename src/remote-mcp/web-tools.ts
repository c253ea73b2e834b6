/**
 * Web search and web fetch: Anthropic's own tools, which the Messages API runs within a model call. Only their settings are ours.
 * The basic versions: the later ones run code on the results, in a container that would have to be kept with the conversation.
 *
 * What they bring is input of the same call, and nothing bounds it before: an instance that has them has a soft cap.
 */

import type { ServerToolDefinition, ToolDefinition } from "../contracts/instance-spec.ts";
import type { Power } from "../contracts/powers.ts";

export const WEB_TOOLS = ["web_search", "web_fetch"] as const;
export type WebToolName = (typeof WEB_TOOLS)[number];

export const WEB_TOOL_POWERS: readonly Power[] = ["network", "spend"];

/** Uses in one model call, unless a spawn says otherwise. */
export const DEFAULT_USES = 5;
/** Of one page that is fetched: about 100 KB of text. */
const MAX_PAGE_TOKENS = 25_000;

export function isWebTool(name: string): name is WebToolName {
  return WEB_TOOLS.some((known) => known === name);
}

export function webTool(name: WebToolName, maxUses: number): ServerToolDefinition {
  switch (name) {
    case "web_search":
      return { type: "web_search_20250305", name, max_uses: maxUses };
    case "web_fetch":
      return { type: "web_fetch_20250910", name, max_uses: maxUses, max_content_tokens: MAX_PAGE_TOKENS };
  }
}

/** Whether calls of an instance with these tools can cost more than was reserved for them. */
export function isSoft(tools: readonly ToolDefinition[]): boolean {
  return tools.some((tool) => isWebTool(tool.name));
}
