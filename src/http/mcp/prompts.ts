/**
 * What a person can ask for by name: in Claude Code `/mcp__madrox__plan_team`, in other clients a menu. Each prompt is a
 * message to the model that has the tools; none does anything itself.
 */
import {
  type GetPromptResult,
  type InputRequiredResult,
  ProtocolError,
  type Server,
  type ServerContext,
} from "@modelcontextprotocol/server";
import { ROLE_IDS } from "../../roles/index.ts";
import { TEAMS } from "../../roles/teams/index.ts";

export interface Prompt {
  name: string;
  title: string;
  description: string;
  /** Madrox's own have one at most, and none is required: Claude Code makes an argument of each word, and drops what is left. */
  arguments: { name: string; description: string; required: boolean }[];
  /** What the client gets, for arguments of which the required ones are there. */
  answer(given: Record<string, string>, call: ServerContext): Promise<PromptAnswer> | PromptAnswer;
}

/** The prompt's messages, or what the client is to ask its user first. */
type PromptAnswer = GetPromptResult | InputRequiredResult;

const INVALID_PARAMS = -32602;
/** Characters of one argument, at most. */
const MAX_ARGUMENT = 50_000;

/** One message of the user. */
const userMessage = (text: string): GetPromptResult => ({
  messages: [{ role: "user", content: { type: "text", text } }],
});

/** Claude Code hands over the first word only; beside the prompt, the model sees all that was typed. */
function taskOf(task: string | undefined): string {
  if (!task) return "the task that we have spoken of, or that you ask me for.";
  return `this task:

<task>
${task}
</task>

If I typed more than that after the command, all of it is the task.`;
}

export const PROMPTS: readonly Prompt[] = [
  {
    name: "plan_team",
    title: "Plan a team for a task",
    description: "Which instances a task needs, what each does and what it may cost. Starts nothing before you agree.",
    arguments: [{ name: "task", description: "What is to be done, and what it may cost", required: false }],
    answer: ({ task }) =>
      userMessage(`Plan a team of Claude instances, with the tools of Madrox, for ${taskOf(task)}

1. Decide whether it needs several instances at all. One is better when the parts depend on each other at every step.
2. Name each instance: its role (${ROLE_IDS.join(", ")}), the one job that it has, what it must be told (it sees nothing of
   this conversation), and what it delivers: a file or an answer. Templates for spawn_team: ${TEAMS.map(({ name }) => name).join(", ")}.
3. Say how they work together: independently (send_to_instance to each, then wait), one after the other, in parallel with a
   merge, by vote, or led by one of them (coordinate_instances), and who checks the result.
4. Set limits: max_cost for the parent of all, so that it binds everyone (what I said it may cost, or what you propose), and a
   model for each that is no dearer than its job needs.

Show me the plan as a table, and wait for my word before you spawn anything. Then carry it out: spawn, send, wait as often as
needed, read what came, and tell me what it cost.`),
  },
  {
    name: "review_progress",
    title: "Review progress",
    description: "How the instances stand: who works, who is stuck or waits for you, and what it has cost.",
    arguments: [{ name: "instance_id", description: "Only this one and what is below it", required: false }],
    answer: ({ instance_id: id }) =>
      userMessage(`Review how ${id ? `the instance ${id} and those below it stand` : "the Madrox instances stand"}.

1. get_instance_tree${id ? ` with root_id ${id}` : ""} shows who there is, with state and cost; get_instance_status has limits and health.
2. For each that is paused, in error, unhealthy or waiting: read the end of its get_instance_output and find out why.
3. List open questions, with what you would answer, and ask me before you call answer_question.

Report in this order: what needs a decision of mine, what is stuck and what would free it, what is done and where the result
is, what is under way. Then the cost so far, and what is left of each cap. Change nothing yet.`),
  },
  {
    name: "wrap_up",
    title: "Wrap up",
    description: "Collect the results, check them against the task, and end the instances that are done.",
    arguments: [{ name: "instance_id", description: "Only this one and what is below it", required: false }],
    answer: ({ instance_id: id }) =>
      userMessage(`Wrap up the work of ${id ? `the instance ${id} and those below it` : "the Madrox instances"}.

1. wait for what is still running, as often as needed; tell me what will not end by itself.
2. Collect the results: get_instance_output for answers, list_instance_files and retrieve_instance_file for files.
3. Hold them against what was asked, sentence by sentence. Name what is missing or unverified.
4. Show me the summary, where each result is, and what it cost, instance by instance.
5. Ask me, and then call terminate_instance for what is no longer needed: children end with their parent. Records, output and
   files stay readable after that.`),
  },
];

/** Answers `prompts/list` and `prompts/get`. */
export function servePrompts(server: Server, prompts: readonly Prompt[]): void {
  server.setRequestHandler("prompts/list", () => ({ prompts: prompts.map(({ answer: _answer, ...shown }) => shown) }));
  server.setRequestHandler("prompts/get", async ({ params }, call) => {
    const prompt = prompts.find(({ name }) => name === params.name);
    if (!prompt) {
      const names = prompts.map(({ name }) => name).join(", ");
      throw new ProtocolError(INVALID_PARAMS, `There is no prompt of that name. There are: ${names}.`);
    }
    const given: Record<string, string> = {};
    for (const { name, required } of prompt.arguments) {
      const value = params.arguments?.[name]?.trim() ?? "";
      if (required && value === "") throw new ProtocolError(INVALID_PARAMS, `${prompt.name} needs ${name}.`);
      if (value.length > MAX_ARGUMENT) {
        throw new ProtocolError(INVALID_PARAMS, `${name} is longer than ${MAX_ARGUMENT} characters.`);
      }
      given[name] = value;
    }
    const answer = await prompt.answer(given, call);
    return "messages" in answer ? { description: prompt.description, ...answer } : answer;
  });
}
