/** What Hono keeps of a request between the app's middleware and the route that answers. */
import type { AccessConfig } from "../auth/access-config.ts";
import type { Config } from "../contracts/config.ts";

export interface HonoEnv {
  Bindings: Env;
  Variables: {
    config: Config;
    access: AccessConfig;
  };
}
