/**
 * Coordinated tasks as tests start them, and a model that knows who asks it.
 */
import { type Json, request, spawn, tool } from "./door.ts";
import { type Script, type ScriptCall, scriptModel } from "./model.ts";

interface Step {
  step: string;
  kind: string;
  instance_id: string;
  status: string;
  message_ids: string[];
  started_at: string;
  cost: number;
  error?: { code: string; message: string };
}

interface Output {
  step: string;
  instance_id: string;
  text: string;
}

export type JobView = Json & {
  job_id: string;
  status: string;
  steps: Step[];
  failure?: { code: string; message: string };
  cost: number;
  result?: Record<string, unknown> & { summary: string | null; outputs: Output[] };
};

/** What the model was asked, in the order of arrival: by whom, and what. */
export interface Asked {
  who: string;
  text: string;
  /** Calls that were under way when this one came, this one included. */
  beside: number;
  schema: Record<string, unknown> | null;
}

export const asked: Asked[] = [];
let under = 0;
/** Calls under way at once, at most. */
let most = 0;
export const mostAtOnce = () => most;

export type Reply = string | Record<string, unknown> | Script;

/** The model answers by the name that its system prompt carries; `answer` decides on who asks what. */
export function play(answer: (who: string, text: string, call: ScriptCall) => Reply | Promise<Reply>): void {
  asked.length = 0;
  under = 0;
  most = 0;
  scriptModel(async (call) => {
    const who = /I AM (\w+)/.exec(JSON.stringify(call.body.system))?.[1] ?? "?";
    const format = (call.body.output_config as { format?: { schema: Record<string, unknown> } } | undefined)?.format;
    under += 1;
    most = Math.max(most, under);
    asked.push({ who, text: call.lastUserText, beside: under, schema: format?.schema ?? null });
    try {
      const reply = await answer(who, call.lastUserText, call);
      if (typeof reply === "string") return { blocks: [{ type: "text", text: reply }] };
      if ("blocks" in reply || "fault" in reply || "stopReason" in reply) return reply as Script;
      return { blocks: [{ type: "text", text: JSON.stringify(reply) }] };
    } finally {
      under -= 1;
    }
  });
}

/** Instances by name; the system prompt tells the model who it is. */
export async function team(...names: string[]): Promise<Record<string, string>> {
  const ids = await Promise.all(names.map((name) => spawn({ name, system_prompt: `I AM ${name}.` })));
  return Object.fromEntries(names.map((name, i) => [name, ids[i] ?? ""]));
}

export async function coordinate(input: Record<string, unknown>): Promise<string> {
  const answer = await tool("coordinate_instances", { task_description: "Build a bridge.", ...input });
  if (!answer.success) throw new Error(answer.message);
  return String(answer.task_id);
}

export async function view(jobId: string): Promise<JobView> {
  return (await tool("get_job_status", { job_id: jobId })) as JobView;
}

export async function finished(jobId: string): Promise<JobView> {
  for (;;) {
    const { done } = (await tool("wait", { ids: [jobId], timeout_seconds: 50 })) as Json & { done: Json[] };
    if (done.length > 0) return view(jobId);
  }
}

/** A page of the tenant's jobs, the newest first. */
export async function jobsPage(query = "limit=500"): Promise<Json & { jobs: Json[]; next_cursor: string | null }> {
  return (await request(`/jobs?${query}`)).json();
}

export const who = () => asked.map((call) => call.who);

/** What a model of the tests answers when nothing else is said: text where text is asked for, and what fits a schema. */
export function plainly(name: string, schema: Asked["schema"], plan: unknown = PLAN): Reply {
  const fields = (schema?.properties ?? {}) as Record<string, { enum?: string[] }>;
  if (!schema) return `the work of ${name}`;
  if (fields.tasks) return planFor(schema, plan as typeof PLAN);
  if (fields.choices)
    return { choices: ["Stone", "Steel"].map((choice) => ({ choice, description: `made of ${choice}` })) };
  if (fields.choice) return { choice: fields.choice.enum?.[0], confidence: 0.8, reasons: `reasons of ${name}` };
  return Object.fromEntries(Object.keys(fields).map((id) => [id, `the part of ${id}`]));
}

/** Sub-tasks by the place of their participant. */
export const PLAN = [
  { id: "a", participant: 0, depends_on: [] as string[] },
  { id: "b", participant: 1, depends_on: [] as string[] },
  { id: "c", participant: 0, depends_on: ["a", "b"] },
];

function planFor(schema: Record<string, unknown>, plan: typeof PLAN): Record<string, unknown> {
  const ids = /"participant":\{[^}]*"enum":(\[[^\]]*\])/.exec(JSON.stringify(schema))?.[1] ?? "[]";
  const participants = JSON.parse(ids) as string[];
  return {
    tasks: plan.map(({ id, participant, depends_on }) => ({
      id,
      participant: participants[participant],
      task: `Do ${id}.`,
      depends_on,
    })),
  };
}

export const schemaOf = (call: ScriptCall) =>
  (call.body.output_config as { format?: { schema: Record<string, unknown> } } | undefined)?.format?.schema ?? null;

/** Everybody answers plainly but for what `otherwise` says. */
export function playPlainly(
  otherwise: (who: string, text: string, call: ScriptCall) => Reply | undefined = () => undefined,
): void {
  play((name, text, call) => otherwise(name, text, call) ?? plainly(name, schemaOf(call)));
}
