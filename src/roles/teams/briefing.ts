/** The first message of a team's supervisor: who is in the team, how it works, and the task. */
import type { CoordinationType } from "../../contracts/job.ts";

export interface RosterEntry {
  instance_id: string;
  name: string;
  role: string;
}

const WAYS: { readonly [Type in CoordinationType]: string } = {
  sequential:
    "In order. Give the first member the task; check its answer; give the next one the task and what came before; and so on in the order of the list. Send work back when it can't be built upon.",
  parallel:
    "At the same time. Cut the task into parts that need nothing of each other, give each member its part at once, wait for all of them, then merge what they found and settle what contradicts.",
  consensus:
    "By independent judgement. Put the same question to each member without showing one what another said; compare the answers; let them answer the strongest objection once; then decide, and report the minority view.",
  delegated:
    "By division. Plan the parts and what each needs of the others, give each part to the member whose role fits as soon as what it needs is there, hand results on, and review each before you accept it.",
};

export function briefingOf(roster: readonly RosterEntry[], type: CoordinationType, task: string): string {
  const members = roster.map(({ instance_id: id, name, role }) => `- ${name} (${role}): ${id}`).join("\n");
  return `# Your team

${members}

They know their own part in the team, and nothing of this task until you tell them. Reach them by id with
send_to_instance; with wait_for_response false, several work at once, and wait collects their answers.

# How you work together

${WAYS[type]}

# The task

${task}`;
}
