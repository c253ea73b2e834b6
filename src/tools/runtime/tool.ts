/**
 * The shape of a tool in the catalogue. A tool's name, description and schemas stand in its own file and nowhere else.
 */
import * as z from "zod";
import type { Config } from "../../contracts/config.ts";
import type { InstanceApi } from "../../contracts/instance.ts";
import type { InstanceTool } from "../../contracts/instance-tool.ts";
import type { JobApi } from "../../contracts/job.ts";
import type { OrchestratorApi, Relations } from "../../contracts/orchestrator.ts";
import type { Power } from "../../contracts/powers.ts";
import type { Principal } from "../../contracts/principal.ts";
import type { Origin } from "../../contracts/request-origin.ts";
import type { Scope } from "../../contracts/scopes.ts";
import type { Log } from "../../platform/log.ts";
import type { Touch } from "./reachability.ts";
import type { Suspension } from "./suspension.ts";

/** `idempotency` is the caller's key bound to its whole input; `audit` is there for tools that change something. */
export interface ToolContext extends Origin {
  principal: Principal;
  config: Config;
  log: Log;
  /** The caller's tenant. */
  orchestrator: OrchestratorApi;
  instance(instanceId: string): InstanceApi;
  jobApi(jobId: string): JobApi;
  /** What the instances of this Worker may use. */
  instanceTools: readonly InstanceTool[];
  /** The model of a spawn that names none: the connection's, else the deployment's. */
  defaultModel: string;
  /** For an instance that calls: what it is to those that it touches. */
  relations?: Relations;
  /** For an instance that calls: it waits by suspending. */
  suspension?: Suspension;
  /** The coordinated task that the calling turn works for: what is sent on counts there too. */
  job?: string | null;
  /** The caller's `traceparent`: what is sent on is part of that trace. */
  trace?: string | null;
  /** Aborted when the caller has gone; work that is accepted goes on without it. */
  signal: AbortSignal;
  /** Tells a waiting caller how it stands. Does nothing for callers that can't be told. */
  progress(message: string): void;
}

export interface Annotations {
  readOnlyHint: boolean;
  destructiveHint: boolean;
  idempotentHint: boolean;
  openWorldHint: boolean;
}

export interface Tool {
  name: string;
  title: string;
  description: string;
  input: z.ZodType<Record<string, unknown>>;
  output: z.ZodType;
  annotations: Annotations;
  /** Whether it changes something, and therefore honours an idempotency key. */
  changes: boolean;
  /** All that it can do, for an instance that has it. */
  powers: readonly Power[];
  /** What a caller has to have to run it at all. */
  scope: Scope;
  /** Where it depends on the input: what this call needs, never less than `scope`. */
  scopeFor?(input: Record<string, unknown>): Scope;
  /** Fields that say how to answer and not what to do: a repeated call may differ in them. */
  unhashed?: readonly string[];
  /** Given: instances have it too, within this reach. */
  forInstances?: ForInstances<Record<string, unknown>>;
  run(context: ToolContext, input: Record<string, unknown>): Promise<ToolAnswer>;
  /**
   * For a tool that can wait long: does the same without waiting, and says which task stands for the rest. Returns an answer
   * where there is nothing to wait for. For callers that can follow a task.
   */
  begin?(context: ToolContext, input: Record<string, unknown>): Promise<ToolAnswer | StartedTask>;
}

/** A tool in the hands of instances: what it does to whom, and what differs from the tool outside. */
export interface ForInstances<Input> {
  /** Everything in the input that the call is about, with what is done to it (reachability.ts). */
  touches(input: Input): Touch[];
  description?: string;
  /** Input fields that instances don't get. */
  without?: readonly string[];
}

/** Work that is accepted and goes on. The id finds it again, from any connection. */
export interface StartedTask {
  taskId: string;
  /** ISO 8601 */
  createdAt: string;
}

export function isTask(answer: object): answer is StartedTask {
  return "taskId" in answer;
}

/** An answer in the shape of the public contract. `success: false` is a failure with more to say than its error. */
export type ToolAnswer = { success: boolean; message: string } & Record<string, unknown>;

/** A tool with its input's type, which the catalogue forgets: that is a list of like things. */
export function defineTool<Input extends z.ZodType<Record<string, unknown>>>(
  tool: Omit<Tool, "input" | "run" | "begin" | "scopeFor" | "forInstances"> & {
    input: Input;
    scopeFor?(input: z.output<Input>): Scope;
    forInstances?: ForInstances<z.output<Input>>;
    run(context: ToolContext, input: z.output<Input>): Promise<ToolAnswer>;
    begin?(context: ToolContext, input: z.output<Input>): Promise<ToolAnswer | StartedTask>;
  },
): Tool {
  return tool as unknown as Tool;
}

export const READS: Annotations = {
  readOnlyHint: true,
  destructiveHint: false,
  idempotentHint: true,
  openWorldHint: false,
};
export const ADDS: Annotations = {
  readOnlyHint: false,
  destructiveHint: false,
  idempotentHint: false,
  openWorldHint: true,
};
export const ENDS: Annotations = {
  readOnlyHint: false,
  destructiveHint: true,
  idempotentHint: true,
  openWorldHint: false,
};

/** Every answer says whether it worked, and what happened in a sentence. */
export function answer<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.looseObject({ success: z.boolean(), message: z.string(), ...shape });
}

/** Takes out what says nothing to a reader: every tool's schema is part of every client's prompt. */
function terse({ jsonSchema }: { jsonSchema: z.core.JSONSchema.BaseSchema }): void {
  if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
  if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
  if (jsonSchema.propertyNames) delete jsonSchema.propertyNames;
}

const jsonSchemas = new WeakMap<z.ZodType, Record<string, unknown>>();

/** A schema's JSON Schema, made once. Inputs as callers write them: what has a default is optional. */
export function jsonSchemaOf(schema: z.ZodType): Record<string, unknown> {
  const known = jsonSchemas.get(schema);
  if (known) return known;
  const { $schema: _dialect, ...made } = z.toJSONSchema(schema, { io: "input", override: terse }) as Record<
    string,
    unknown
  >;
  jsonSchemas.set(schema, made);
  return made;
}
