/** The server's description, for programs and for people, and the icon that clients show for it. */
import { defineRoute, type Route } from "../route.ts";
import { docsPage } from "./docs-page.ts";
import { openApi } from "./document.ts";

/** Many of one: dots around a dot. */
const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#1f1b2e"/><g fill="#e8a87c"><circle cx="16" cy="16" r="5"/><circle cx="16" cy="5.5" r="2.5"/><circle cx="25" cy="10.7" r="2.5"/><circle cx="25" cy="21.3" r="2.5"/><circle cx="16" cy="26.5" r="2.5"/><circle cx="7" cy="21.3" r="2.5"/><circle cx="7" cy="10.7" r="2.5"/></g></svg>`;

const openApiJson = defineRoute({
  method: "GET",
  path: "/openapi.json",
  access: "anyone",
  operation: null,
  handle: ({ service, url }) =>
    Response.json(openApi(service.routes, url.origin), { headers: { "cache-control": "max-age=300" } }),
});

const docs = defineRoute({
  method: "GET",
  path: "/docs",
  access: "anyone",
  operation: null,
  handle: ({ service, url }) => docsPage(openApi(service.routes, url.origin), crypto.randomUUID()),
});

// Clients that know only the old place take any picture from there.
const icons = ["/favicon.svg", "/favicon.ico"].map((path) =>
  defineRoute({
    method: "GET",
    path,
    access: "anyone",
    operation: null,
    handle: () =>
      new Response(ICON, {
        headers: {
          "content-type": "image/svg+xml",
          "cache-control": "public, max-age=86400",
          "cross-origin-resource-policy": "cross-origin",
        },
      }),
  }),
);

export const DESCRIPTION_ROUTES: readonly Route[] = [openApiJson, docs, ...icons];
