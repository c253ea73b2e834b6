/**
 * How the page's parts run a tool: over REST on the dashboard, through the host in the app.
 */
import { createContext, useContext } from "react";
import { type Run, run } from "./server.ts";

export const RunContext = createContext<Run>(run);

export function useRun(): Run {
  return useContext(RunContext);
}
