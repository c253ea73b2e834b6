/** Team templates: those that every tenant has, and those that a tenant adds. */
import { summaryOf, TeamTemplate } from "../../contracts/team-template.ts";
import { MadroxError, unwrap } from "../../platform/errors.ts";
import { TEAMS, teamByName } from "../../roles/teams/index.ts";
import { recorded } from "../../tools/runtime/audit.ts";
import { UNBOUND } from "../../tools/runtime/inheritance.ts";
import { teamRequestOf } from "../../tools/spawn-team.ts";
import { json } from "../json.ts";
import { jsonBody } from "../request-body.ts";
import { defineRoute, type Route } from "../route.ts";

const listTemplates = defineRoute({
  method: "GET",
  path: "/templates",
  access: "read",
  operation: { id: "listTemplates", tag: "teams", summary: "The team templates" },
  async handle({ context }) {
    const stored = await context.orchestrator.templates();
    const templates = [
      ...TEAMS.map((template) => ({ ...summaryOf(template), built_in: true })),
      ...stored.map((template) => ({ ...summaryOf(template), built_in: false })),
    ];
    return json({ success: true, message: `${templates.length} templates.`, templates });
  },
});

const getTemplate = defineRoute({
  method: "GET",
  path: "/templates/:name",
  access: "read",
  operation: { id: "getTemplate", tag: "teams", summary: "A team template" },
  async handle({ context, params: { name } }) {
    const stored = await context.orchestrator.templates();
    const own = stored.find((template) => template.name === name);
    const template = own ?? teamByName(name);
    if (!template) throw unknown(name);
    return json({ success: true, message: template.summary, built_in: own === undefined, template });
  },
});

const storeTemplate = defineRoute({
  method: "POST",
  path: "/templates",
  access: "operate",
  body: jsonBody(TeamTemplate),
  operation: {
    id: "storeTemplate",
    tag: "teams",
    summary: "Store a team template",
    success: { statuses: [200, 201] },
    errors: ["conflict", "limit_reached"],
  },
  async handle({ context, body: template }) {
    if (teamByName(template.name)) {
      throw new MadroxError("conflict", `${template.name} is built in. Choose another name.`, { name: template.name });
    }
    // What could not be spawned is not stored.
    teamRequestOf(context, template, {}, { parent: undefined, ...UNBOUND });
    const { created } = await recorded(context, "store_template", template.name, async (audit) =>
      unwrap(await context.orchestrator.storeTemplate(template, audit)),
    );
    const message = created
      ? `Stored ${template.name}. spawn_team starts a team of it.`
      : `${template.name} is stored already, the same.`;
    return json({ success: true, message, created, template }, created ? 201 : 200);
  },
});

const deleteTemplate = defineRoute({
  method: "DELETE",
  path: "/templates/:name",
  access: "operate",
  operation: { id: "deleteTemplate", tag: "teams", summary: "Delete a stored template" },
  async handle({ context, params: { name } }) {
    await recorded(context, "delete_template", name, async (audit) => {
      if (await context.orchestrator.deleteTemplate(name, audit)) return;
      if (teamByName(name)) throw new MadroxError("forbidden", `${name} is built in and can't be deleted.`, { name });
      throw unknown(name);
    });
    return json({ success: true, message: `Deleted ${name}. Teams that were made of it stay.`, name });
  },
});

function unknown(name: string): MadroxError {
  return new MadroxError(
    "not_found",
    `There is no team template named ${JSON.stringify(name.slice(0, 60).toWellFormed())}. GET /templates lists them.`,
  );
}

export const TEMPLATE_ROUTES: readonly Route[] = [listTemplates, getTemplate, storeTemplate, deleteTemplate];
