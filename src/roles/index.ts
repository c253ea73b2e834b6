import { ROLE_IDS, type Role, type RoleId } from "../contracts/role.ts";
import { architect } from "./architect.ts";
import { backendDeveloper } from "./backend-developer.ts";
import { BASE_PROMPT } from "./base-prompt.ts";
import { codeReviewer } from "./code-reviewer.ts";
import { dataAnalyst } from "./data-analyst.ts";
import { debuggerRole } from "./debugger.ts";
import { documentationWriter } from "./documentation-writer.ts";
import { frontendDeveloper } from "./frontend-developer.ts";
import { general } from "./general.ts";
import { securityAnalyst } from "./security-analyst.ts";
import { testingSpecialist } from "./testing-specialist.ts";

export { ROLE_IDS, type Role, type RoleId } from "../contracts/role.ts";

/** The type makes a missing role, or one filed under another's id, a compile error. */
const BY_ID: { readonly [Id in RoleId]: Role & { readonly id: Id } } = {
  general,
  frontend_developer: frontendDeveloper,
  backend_developer: backendDeveloper,
  testing_specialist: testingSpecialist,
  documentation_writer: documentationWriter,
  code_reviewer: codeReviewer,
  architect,
  debugger: debuggerRole,
  security_analyst: securityAnalyst,
  data_analyst: dataAnalyst,
};

/** Every role, in the order of `ROLE_IDS`. */
export const ROLES: readonly Role[] = ROLE_IDS.map((id) => BY_ID[id]);

/** Total over `RoleId`: text from outside is narrowed with `z.enum(ROLE_IDS)` first. */
export function roleById(id: RoleId): Role {
  return BY_ID[id];
}

/**
 * The whole system prompt of an instance: the role's prompt, the base prompt, then `added` as it was given, under a
 * heading of its own. Blank `added` adds nothing. The same arguments give the same bytes: the result is frozen at spawn
 * and cached by prefix, and all that varies between instances of one role comes last.
 */
export function systemPromptOf(role: RoleId, added?: string): string {
  const standing = `${roleById(role).prompt}\n\n${BASE_PROMPT}`;
  return added?.trim() ? `${standing}\n\n# Instructions for this instance\n\n${added}` : standing;
}
