import * as z from "zod";
import { ALIASES } from "../anthropic/models.ts";
import type { LimitChange, SpawnRequest, TeamRequest } from "../contracts/orchestrator.ts";
import type { Power } from "../contracts/powers.ts";
import { originOf } from "../contracts/request-origin.ts";
import { hasUniqueNames, summaryOf, TeamMember, type TeamTemplate } from "../contracts/team-template.ts";
import { MadroxError, unwrap } from "../platform/errors.ts";
import { own } from "../platform/own.ts";
import { TEAMS, teamByName } from "../roles/teams/index.ts";
import {
  assertSize,
  idempotencyKey,
  instanceId,
  prose,
  resourceLimits,
  simulated,
  spendingLimits,
  text,
  timeoutMinutes,
  turnMinutes,
} from "./runtime/fields.ts";
import { type Inheritance, inheritanceOf, powersHeld } from "./runtime/inheritance.ts";
import { touching } from "./runtime/reachability.ts";
import { ADDS, answer, defineTool, type ToolContext } from "./runtime/tool.ts";
import { DEFAULT_MAX_TOKENS, limitsIn, spawningOf } from "./spawn-claude.ts";

const Overrides = z
  .strictObject({
    model: text()
      .max(200)
      .optional()
      .describe(`Of all: ${Object.keys(ALIASES).join(", ")}, or a full model id`),
    effort: z.enum(["low", "medium", "high", "xhigh", "max"]).optional().describe("Of all"),
    ...spendingLimits,
    timeout_minutes: timeoutMinutes,
    resource_limits: resourceLimits,
    max_turn_minutes: turnMinutes,
    names: z.record(text(), prose().max(60)).optional().describe("New names, by the template's: {Lead: Grace}"),
    leave_out: z.array(text()).max(100).optional().describe("Members to do without, by the template's names"),
    add: z.array(TeamMember).max(20).optional().describe("Further members"),
  })
  .describe("What is to be different from the template. Limits are those of the whole team");
type Overrides = z.output<typeof Overrides>;

const member = z.looseObject({ instance_id: z.string(), name: z.string(), role: z.string(), model: z.string() });

export const spawnTeam = defineTool({
  name: "spawn_team",
  title: "Spawn a team",
  description: `Start a whole team from a template: a supervisor, and members as its children, all or none. Built in: ${TEAMS.map(({ name }) => name).join(", ")}; more may be stored. With task_description the supervisor gets the task and its team's ids, and leads the work; without, talk to it yourself, or name them all in coordinate_instances.`,
  annotations: ADDS,
  changes: true,
  powers: ["spawn", "message", "spend"],
  scope: "operate",
  forInstances: { touches: (input) => touching("spawn", input.parent_instance_id) },
  input: z.strictObject({
    template: text().min(1).max(200).describe("The template's name"),
    task_description: prose().optional().describe("What the team is to do; the supervisor begins at once"),
    overrides: Overrides.optional(),
    parent_instance_id: instanceId.optional().describe("The instance that the supervisor belongs to"),
    idempotency_key: idempotencyKey,
  }),
  output: answer({
    template: z.string(),
    coordination_type: z.string(),
    supervisor: member,
    members: z.array(member),
    limits: z.looseObject({}),
    remaining: z.looseObject({}),
    message_id: z.string().optional(),
    simulated,
  }),
  async run(context, input) {
    if (input.task_description) assertSize("task_description", input.task_description);
    const template = await templateNamed(context, input.template);
    // An instance's teams are below it, or below somebody who is.
    const parent = input.parent_instance_id ?? context.principal.instance ?? undefined;
    const inheritance = await inheritanceOf(context, parent);
    const request = teamRequestOf(context, template, input.overrides ?? {}, { parent, ...inheritance });
    const receipt = unwrap(
      await context.orchestrator.spawnTeam({
        ...request,
        task: input.task_description ?? null,
        ...originOf(context),
      }),
    );
    const shown = ({ name, role, model, tools }: TeamRequest["supervisor"], id: string) => ({
      instance_id: id,
      name,
      role,
      model,
      tools: tools.map((tool) => tool.name),
    });
    const { supervisor } = receipt;
    const members = request.members.map((one, i) => shown(one, receipt.members[i]?.instance_id ?? ""));
    return {
      success: true,
      message: supervisor.message_id
        ? `${request.supervisor.name} leads a team of ${members.length} and is at work on the task. Wait for its message_id.`
        : `${request.supervisor.name} leads a team of ${members.length}. Send it a task, or name it as coordinator.`,
      template: template.name,
      coordination_type: template.coordination_type,
      supervisor: shown(request.supervisor, supervisor.instance_id),
      members,
      limits: supervisor.limits,
      remaining: supervisor.remaining,
      ...(supervisor.message_id ? { message_id: supervisor.message_id } : {}),
      ...(context.config.anthropicApiKey === null ? { simulated: true as const } : {}),
    };
  },
});

/** The caller's own template of that name, or the built-in one. Throws `not_found`, naming those there are. */
async function templateNamed(context: ToolContext, name: string): Promise<TeamTemplate> {
  const stored = await context.orchestrator.templates();
  const found = stored.find((template) => template.name === name) ?? teamByName(name);
  if (found) return found;
  const all = [...TEAMS, ...stored];
  throw new MadroxError(
    "not_found",
    `There is no team template named ${JSON.stringify(name.slice(0, 60).toWellFormed())}. There are: ${all.map((one) => one.name).join(", ")}.`,
    { templates: all.map(summaryOf) },
  );
}

/**
 * What a team of this template is spawned with. The template's limits and the overrides' bind the supervisor, and with it all
 * below it; times bind each. Throws `invalid_input` for overrides that do not fit the template, and what spawning throws.
 */
export function teamRequestOf(
  context: ToolContext,
  template: TeamTemplate,
  overrides: Overrides,
  { parent, ...inheritance }: Inheritance & { parent: string | undefined },
): Omit<TeamRequest, "task" | "idempotency"> {
  const { supervisor, members } = castOf(template, overrides);
  const { max_cost, max_total_tokens, ...times } = limitsIn(overrides);
  const { timeout_minutes } = template.limits;
  const seat = (
    one: TeamTemplate["supervisor"],
    below: Inheritance,
    asked: LimitChange,
    suggested: LimitChange,
  ): SpawnRequest => ({
    ...spawningOf(
      context,
      {
        name: one.name,
        role: one.role,
        system_prompt: one.prompt,
        model: overrides.model ?? one.model,
        effort: overrides.effort ?? one.effort,
        max_tokens: DEFAULT_MAX_TOKENS,
        tools: one.tools,
        require_approval: [],
        ...asked,
      },
      below,
    ).request,
    suggested_limits: suggested,
  });
  const money = { max_cost, max_total_tokens };
  const leading = seat({ tools: "full", ...supervisor }, inheritance, { ...times, ...money }, template.limits);
  const below = context.principal.instance === null ? inheritance : { ...inheritance, most: heldBy(context, leading) };
  return {
    supervisor: { ...leading, parent_instance_id: parent ?? null },
    members: members.map((one) => ({ ...seat(one, below, times, { timeout_minutes }), workspace: one.workspace })),
    coordination_type: template.coordination_type,
  };
}

/** What a supervisor that is spawned like this can do. */
function heldBy({ instanceTools }: ToolContext, { tools, require_approval = [] }: SpawnRequest): Power[] {
  return powersHeld({ tools: tools.map(({ name }) => name), remote_tools: [], require_approval }, instanceTools);
}

/** Who is in the team: the template's people, without those left out, with those added, under their new names. */
function castOf(template: TeamTemplate, { names = {}, leave_out: leftOut = [], add = [] }: Overrides) {
  const known = [template.supervisor, ...template.members].map(({ name }) => name);
  const strangers = [...Object.keys(names), ...leftOut].filter((name) => !known.includes(name));
  if (strangers.length > 0) {
    const shown = strangers.slice(0, 5).map((name) => JSON.stringify(name.slice(0, 60).toWellFormed()));
    throw refused(`${template.name} has nobody named ${shown.join(", ")}: it has ${known.join(", ")}`);
  }
  if (leftOut.includes(template.supervisor.name))
    throw refused(`${template.supervisor.name} leads the team and can't be left out`);
  const named = <One extends { name: string }>(one: One): One => ({
    ...one,
    name: own(names, one.name) ?? one.name,
  });
  const stay = template.members.filter(({ name }) => !leftOut.includes(name));
  const cast = { supervisor: named(template.supervisor), members: [...stay.map(named), ...add] };
  if (cast.members.length === 0) throw refused("nobody is left in the team but its supervisor");
  if (!hasUniqueNames(cast)) throw refused("two of the team would have the same name");
  return cast;
}

function refused(why: string): MadroxError {
  return new MadroxError("invalid_input", `overrides: ${why}.`, { issues: [{ field: "overrides", problem: why }] });
}
