/**
 * The live socket: a tenant's event log as it grows, over WebSocket. What is said on it: orchestrator/viewers.ts.
 */
import { Hono } from "hono";
import { viewerSocket } from "../../contracts/stubs.ts";
import { MadroxError } from "../../platform/errors.ts";
import type { RestEnv } from "../hono-env.ts";

export function createLive(): Hono<RestEnv> {
  const app = new Hono<RestEnv>();

  app.get("/live", async (c) => {
    if (c.req.header("upgrade")?.toLowerCase() !== "websocket") {
      throw new MadroxError(
        "invalid_input",
        "This is a WebSocket: connect with ws:// or wss://. GET /events has the same as server-sent events.",
      );
    }
    return viewerSocket(c.env, c.get("call").principal.tenant);
  });

  return app;
}
