/** Team templates over REST: those that everyone has, and those that a tenant adds. */
import { Hono } from "hono";
import { MAX_TEMPLATE_BYTES, summaryOf, TeamTemplate } from "../../contracts/team-template.ts";
import { MadroxError, unwrap } from "../../platform/errors.ts";
import { invalidInput } from "../../platform/invalid-input.ts";
import { TEAMS, teamByName } from "../../roles/teams/index.ts";
import { recorded } from "../../tools/runtime/audit.ts";
import { teamRequestOf } from "../../tools/spawn-team.ts";
import type { RestEnv } from "../hono-env.ts";
import { bodyOf, json, limited } from "../json.ts";

export function createTemplates(): Hono<RestEnv> {
  const app = new Hono<RestEnv>();

  app.get("/templates", async (c) => {
    const stored = await c.get("call").orchestrator.templates();
    const templates = [
      ...TEAMS.map((template) => ({ ...summaryOf(template), built_in: true })),
      ...stored.map((template) => ({ ...summaryOf(template), built_in: false })),
    ];
    return json({ success: true, message: `${templates.length} templates.`, templates });
  });

  app.get("/templates/:name", async (c) => {
    const name = c.req.param("name");
    const stored = await c.get("call").orchestrator.templates();
    const own = stored.find((template) => template.name === name);
    const template = own ?? teamByName(name);
    if (!template) throw unknown(name);
    return json({ success: true, message: template.summary, built_in: own === undefined, template });
  });

  app.post("/templates", limited, async (c) => {
    const template = parsed(await bodyOf(c.req.raw));
    if (teamByName(template.name)) {
      throw new MadroxError("conflict", `${template.name} is built in. Choose another name.`, { name: template.name });
    }
    // What could not be spawned is not stored.
    teamRequestOf(c.get("call"), template, {}, undefined);
    const call = c.get("call");
    const { created } = await recorded(call, "store_template", template.name, async (audit) =>
      unwrap(await call.orchestrator.storeTemplate(template, audit)),
    );
    const message = created
      ? `Stored ${template.name}. spawn_team starts a team of it.`
      : `${template.name} is stored already, the same.`;
    return json({ success: true, message, created, template }, created ? 201 : 200);
  });

  app.delete("/templates/:name", async (c) => {
    const name = c.req.param("name");
    const call = c.get("call");
    await recorded(call, "delete_template", name, async (audit) => {
      if (await call.orchestrator.deleteTemplate(name, audit)) return;
      if (teamByName(name)) throw new MadroxError("forbidden", `${name} is built in and can't be deleted.`, { name });
      throw unknown(name);
    });
    return json({ success: true, message: `Deleted ${name}. Teams that were made of it stay.`, name });
  });

  return app;
}

/** Throws `invalid_input`, naming the fields, for what is no template. */
function parsed(body: Record<string, unknown>): TeamTemplate {
  const result = TeamTemplate.safeParse(body);
  if (result.success) return result.data;
  throw invalidInput(result.error, {
    refusal: "That is no team template.",
    whole: "template",
    unknown: "is no field of a template",
    details: { limit_bytes: MAX_TEMPLATE_BYTES },
  });
}

function unknown(name: string): MadroxError {
  return new MadroxError(
    "not_found",
    `There is no team template named ${JSON.stringify(name.slice(0, 60).toWellFormed())}. GET /templates lists them.`,
  );
}
