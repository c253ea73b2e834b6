/**
 * The table of routes: all that the server answers. A path or method that is not here does not exist.
 */
import { DASHBOARD_ROUTES } from "./dashboard.ts";
import { MCP_ROUTES } from "./mcp/routes.ts";
import { CONSENT_ROUTES } from "./oauth/consent.ts";
import { DISCOVERY_ROUTES } from "./oauth/discovery.ts";
import { TOKEN_ROUTES } from "./oauth/token.ts";
import { DESCRIPTION_ROUTES } from "./openapi/routes.ts";
import { AUDIT_ROUTES } from "./rest/audit.ts";
import { EVENT_ROUTES } from "./rest/events.ts";
import { FILE_ROUTES } from "./rest/files.ts";
import { SERVER_ROUTES } from "./rest/health.ts";
import { INSTANCE_ROUTES } from "./rest/instances.ts";
import { JOB_ROUTES } from "./rest/jobs.ts";
import { SPEND_ROUTES } from "./rest/spend.ts";
import { TEMPLATE_ROUTES } from "./rest/templates.ts";
import { TOOL_ROUTES } from "./rest/tools.ts";
import { WEBHOOK_ROUTES } from "./rest/webhooks.ts";
import type { Route } from "./route.ts";

export const ROUTES: readonly Route[] = [
  ...MCP_ROUTES,
  ...TOOL_ROUTES,
  ...INSTANCE_ROUTES,
  ...FILE_ROUTES,
  ...TEMPLATE_ROUTES,
  ...JOB_ROUTES,
  ...EVENT_ROUTES,
  ...AUDIT_ROUTES,
  ...WEBHOOK_ROUTES,
  ...SPEND_ROUTES,
  ...SERVER_ROUTES,
  ...DESCRIPTION_ROUTES,
  ...DASHBOARD_ROUTES,
  ...DISCOVERY_ROUTES,
  ...TOKEN_ROUTES,
  ...CONSENT_ROUTES,
];
