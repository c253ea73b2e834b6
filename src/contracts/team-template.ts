/**
 * Team templates: who works together, on what terms, and who leads. Data only; `spawn_team` makes instances of it.
 */

import * as z from "zod";
import { LEAST_USD } from "../platform/units.ts";
import { COORDINATION_TYPES, type CoordinationType } from "./job.ts";
import { ROLE_IDS } from "./role.ts";
import { TOOL_PRESETS } from "./tool-presets.ts";

const words = (max: number) =>
  z
    .string()
    .max(max)
    .refine((text) => text.isWellFormed() && !text.includes("\0"), "must be valid Unicode without NUL characters")
    .refine((text) => text.trim() !== "", "must not be empty");

/** Characters of one prompt, at most: it is added to a role's own, which says most of what there is to say. */
const MAX_PROMPT_CHARACTERS = 8_000;
const MAX_MEMBERS = 20;

const seat = {
  name: words(60).describe("Unique in the team"),
  role: z.enum(ROLE_IDS).default("general"),
  prompt: words(MAX_PROMPT_CHARACTERS).describe("Its part in the team, added to its role's prompt"),
  tools: z
    .union([z.enum(TOOL_PRESETS), z.array(z.string().max(100)).max(100)])
    .optional()
    .describe("As for spawn_claude"),
  model: z.string().max(100).optional().describe("Default: the server's"),
  effort: z.enum(["low", "medium", "high", "xhigh", "max"]).optional(),
};

export const TeamMember = z.strictObject({
  ...seat,
  workspace: z.enum(["own", "parent"]).default("parent").describe("parent: the files of the supervisor, shared by all"),
});
export type TeamMember = z.output<typeof TeamMember>;

export const TeamTemplate = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z][a-z0-9_]{0,39}$/, "must be 1 to 40 lower-case letters, digits or _, beginning with a letter"),
    title: words(80),
    summary: words(200).describe("One line, to choose it by"),
    coordination_type: z.enum(COORDINATION_TYPES).default("delegated"),
    /** Its tools are `full` unless given: it has to reach the others. */
    supervisor: z.strictObject(seat),
    members: z.array(TeamMember).min(1).max(MAX_MEMBERS),
    /** Suggestions, for the whole team: USD, fresh tokens, and idle minutes after which a member ends. */
    limits: z
      .strictObject({
        max_cost: z.number().min(LEAST_USD).max(1_000_000).optional(),
        max_total_tokens: z.int().min(1).optional(),
        timeout_minutes: z.number().positive().max(525_600).optional(),
      })
      .default({}),
  })
  .refine(hasUniqueNames, "members and supervisor must have names of their own");
export type TeamTemplate = z.output<typeof TeamTemplate>;

/** Bytes of a stored template as JSON, and how many a tenant may store. */
export const MAX_TEMPLATE_BYTES = 64 * 1024;
export const MAX_TEMPLATES = 50;

/** A template as lists show it. */
export interface TemplateSummary {
  name: string;
  title: string;
  summary: string;
  coordination_type: CoordinationType;
  supervisor: { name: string; role: string };
  members: { name: string; role: string }[];
}

export function summaryOf(template: TeamTemplate): TemplateSummary {
  const { name, title, summary, coordination_type, supervisor, members } = template;
  const shown = (member: { name: string; role: string }) => ({ name: member.name, role: member.role });
  return { name, title, summary, coordination_type, supervisor: shown(supervisor), members: members.map(shown) };
}

export function hasUniqueNames(team: { supervisor: { name: string }; members: { name: string }[] }): boolean {
  const names = [team.supervisor, ...team.members].map(({ name }) => name);
  return new Set(names).size === names.length;
}
