/**
 * The sets of tools that a spawn may name.
 */

/** Sets of tools that a spawn may name: each has all of the one before it, and what it adds. `none` has nothing. */
export const TOOL_PRESETS = ["none", "read_only", "standard", "full"] as const;

export type ToolPreset = (typeof TOOL_PRESETS)[number];
