/**
 * The MCP App (extension `io.modelcontextprotocol/ui`): hosts that show apps put a live view of the fleet beside the answers of
 * some tools. Its page is built from src/web/mcp-app into one file among the assets. Clients that do not declare the extension, and
 * deployments without the page, see nothing of it.
 */
import { EXTENSION_ID, getUiCapability, RESOURCE_MIME_TYPE } from "@modelcontextprotocol/ext-apps/server";
import {
  CLIENT_CAPABILITIES_META_KEY,
  type ClientCapabilities,
  ResourceNotFoundError,
} from "@modelcontextprotocol/server";
import * as z from "zod";
import { ulid } from "../../platform/ids.ts";

export const APPS = EXTENSION_ID;

export const APP_URI = "ui://madrox/fleet";

/** The tools whose answers are shown with the view: the tree of all, of a team or below an instance, or one instance's page. */
const SHOWN_BY: ReadonlySet<string> = new Set([
  "spawn_team",
  "get_instance_tree",
  "get_instance_status",
  "get_instance_output",
]);

/** As `resources/list` names it. */
export const APP_RESOURCE = {
  uri: APP_URI,
  name: "fleet",
  title: "Madrox, live",
  description: "The tree of instances and each instance's page, as a view for hosts that show MCP Apps",
  mimeType: RESOURCE_MIME_TYPE,
};

/** It loads nothing from anywhere and connects to nothing: all it knows, it asks the host for. */
const UI = {
  csp: { connectDomains: [], resourceDomains: [], frameDomains: [], baseUriDomains: [] },
  prefersBorder: true,
};

const SESSION = "mcp-session-id";
/** How a session begins whose client has declared the extension. */
const SESSION_MARK = "apps-";

const Capabilities = z.looseObject({
  extensions: z.looseObject({ [EXTENSION_ID]: z.looseObject({ mimeTypes: z.array(z.string()) }) }),
});
const Initialize = z.looseObject({
  method: z.literal("initialize"),
  params: z.looseObject({ capabilities: Capabilities }),
});
const Modern = z.looseObject({
  params: z.looseObject({
    _meta: z.looseObject({ [CLIENT_CAPABILITIES_META_KEY]: Capabilities }),
  }),
});

/**
 * Whether the client of a request shows apps. One of revision 2026-07-28 says so in each request. One of 2025 says so once, in
 * `initialize`, and nothing is kept here: it gets a session id that says it (`withSession`), and sends that back every time.
 */
export function supportsApps(request: Request, body: unknown): boolean {
  return request.headers.get(SESSION)?.startsWith(SESSION_MARK) || declared(body);
}

function declared(body: unknown): boolean {
  const modern = Modern.safeParse(body).data?.params._meta[CLIENT_CAPABILITIES_META_KEY];
  const capabilities = modern ?? Initialize.safeParse(body).data?.params.capabilities;
  return (
    getUiCapability(capabilities as ClientCapabilities | undefined)?.mimeTypes?.includes(RESOURCE_MIME_TYPE) ?? false
  );
}

/** The answer to the `initialize` of a client that shows apps, with the session id to know it by; any other as it is. */
export function withSession(response: Response, body: unknown): Response {
  if (!Initialize.safeParse(body).success || !declared(body)) return response;
  const marked = new Response(response.body, response);
  marked.headers.set(SESSION, SESSION_MARK + ulid());
  return marked;
}

/** What `tools/list` says of a tool to clients that show apps. */
export function appMeta(tool: string): { ui?: { resourceUri: string } } {
  return SHOWN_BY.has(tool) ? { ui: { resourceUri: APP_URI } } : {};
}

/** The page, for `resources/read`. Throws `ResourceNotFoundError` where it was not built. */
export async function readApp(env: Env): Promise<{ mimeType: string; text: string; _meta: { ui: typeof UI } }> {
  const built = await env.ASSETS?.fetch("https://assets/app");
  if (!built?.ok) {
    throw new ResourceNotFoundError(
      APP_URI,
      "The app is not part of this deployment: `vite build --mode app` makes it.",
    );
  }
  return { mimeType: RESOURCE_MIME_TYPE, text: await built.text(), _meta: { ui: UI } };
}
