/** The ids of the roles, in the order in which they are shown. */
export const ROLE_IDS = [
  "general",
  "frontend_developer",
  "backend_developer",
  "testing_specialist",
  "documentation_writer",
  "code_reviewer",
  "architect",
  "debugger",
  "security_analyst",
  "data_analyst",
] as const;

export type RoleId = (typeof ROLE_IDS)[number];

/**
 * What an instance is by trade.
 *
 * `prompt` begins with a one-line sentence, "You are a <title> ...", that no other role has. It is frozen into an
 * instance at spawn and is the start of the cached prefix, so it holds nothing that changes: no dates, budgets or names
 * of other instances. What holds for every role stands in `roles/base-prompt.ts` instead.
 */
export interface Role {
  readonly id: RoleId;
  /** The role in words, for people: "Code Reviewer". */
  readonly title: string;
  /** One line, under 100 characters, to choose a role by. */
  readonly summary: string;
  /** The tools of an instance whose spawn names none: what the work needs, and no more. */
  readonly tools: "none" | "read_only" | "standard" | "full";
  /** The role's own part of the system prompt; `systemPromptOf` makes the whole. */
  readonly prompt: string;
}
