/**
 * What a request carries from its admission to the door that answers it.
 */
import type { AccessConfig } from "../auth/access.ts";
import type { Config } from "../contracts/config.ts";
import type { Principal } from "../contracts/principal.ts";
import type { CallContext } from "./context.ts";

export interface RestEnv {
  Bindings: Env;
  Variables: {
    config: Config;
    access: AccessConfig;
    /** Set once a rule has let the request in. */
    admitted?: true;
    /** Absent on routes that take callers without a key. */
    principal?: Principal;
    call: CallContext;
  };
}
