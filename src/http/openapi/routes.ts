/** What describes the server: for programs, for people, and the picture that clients show of it. */
import { Hono } from "hono";
import type { RestEnv } from "../hono-env.ts";
import { docsPage } from "./docs-page.ts";
import { openApi } from "./document.ts";

/** Many of one: dots around a dot. */
const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#1f1b2e"/><g fill="#e8a87c"><circle cx="16" cy="16" r="5"/><circle cx="16" cy="5.5" r="2.5"/><circle cx="25" cy="10.7" r="2.5"/><circle cx="25" cy="21.3" r="2.5"/><circle cx="16" cy="26.5" r="2.5"/><circle cx="7" cy="21.3" r="2.5"/><circle cx="7" cy="10.7" r="2.5"/></g></svg>`;

export function createDescription(): Hono<RestEnv> {
  const app = new Hono<RestEnv>();

  app.get("/openapi.json", (c) => c.json(openApi(new URL(c.req.url).origin), 200, { "cache-control": "max-age=300" }));
  app.get("/docs", (c) => docsPage(openApi(new URL(c.req.url).origin), crypto.randomUUID()));
  // Clients that know only the old place take any picture from there.
  for (const path of ["/favicon.svg", "/favicon.ico"]) {
    app.get(path, () => {
      const headers = {
        "content-type": "image/svg+xml",
        "cache-control": "public, max-age=86400",
        "cross-origin-resource-policy": "cross-origin",
      };
      return new Response(ICON, { headers });
    });
  }

  return app;
}
