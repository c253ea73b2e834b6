import type { TeamTemplate } from "../../contracts/team-template.ts";
import { dataPipeline } from "./data-pipeline.ts";
import { research } from "./research.ts";
import { securityAudit } from "./security-audit.ts";
import { softwareEngineering } from "./software-engineering.ts";

/** The templates that every tenant has, in the order in which they are shown. A further one is a file here, and a line. */
export const TEAMS: readonly TeamTemplate[] = [softwareEngineering, research, securityAudit, dataPipeline];

export function teamByName(name: string): TeamTemplate | undefined {
  return TEAMS.find((team) => team.name === name);
}
