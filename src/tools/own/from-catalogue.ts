/**
 * The catalogue in the hands of instances: the same tools, run by the same dispatcher, with the instance as the caller. What it
 * may touch is checked there; who it is comes from its object and not from anything the model writes.
 */

import type { InstanceTool, InstanceToolContext as OwnContext } from "../../contracts/instance-tool.ts";
import { instanceOf, jobOf, orchestratorOf } from "../../contracts/stubs.ts";
import { createLog } from "../../platform/log.ts";
import { dispatch } from "../runtime/dispatch.ts";
import { SuspendSignal } from "../runtime/suspension.ts";
import { jsonSchemaOf, type Tool, type ToolContext } from "../runtime/tool.ts";

/** How long an instance waits unless it says otherwise, and at most, in seconds: waiting costs it nothing. */
const DEFAULT_WAIT_SECONDS = 3_600;
const MAX_WAIT_SECONDS = 86_400;

export function fromCatalogue(tool: Tool): InstanceTool {
  return {
    name: tool.name,
    description: tool.forInstances?.description ?? tool.description,
    input_schema: schemaFor(tool),
    preset: "full",
    powers: tool.powers,
    // What changes something does it once for the call's key.
    repeatable: true,
    async run(input, own) {
      try {
        const answer = await dispatch(contextFor(own), tool.name, argumentsFor(tool, input, own));
        return { content: JSON.stringify(answer), isError: !answer.success };
      } catch (error) {
        if (error instanceof SuspendSignal) return { waitpoint: error.waitpoint };
        throw error;
      }
    },
  };
}

function contextFor(own: OwnContext): Omit<ToolContext, "idempotency"> {
  return {
    principal: { tenant: own.tenant, instance: own.instanceId, scopes: ["operate"], keyId: null, client: null },
    config: own.config,
    log: createLog(own.config.logLevel, { tenant: own.tenant, caller: own.instanceId }),
    orchestrator: orchestratorOf(own.env, own.tenant),
    instance: (id) => instanceOf(own.env, own.tenant, id),
    jobApi: (id) => jobOf(own.env, own.tenant, id),
    instanceTools: own.instanceTools,
    defaultModel: own.config.defaultModel,
    signal: own.signal,
    progress: () => undefined,
    job: own.job,
    trace: own.trace ?? null,
    suspension: { startedAt: own.startedAt, wokenEarly: own.wokenEarly, eventSeq: own.eventSeq },
  };
}

/** The call's own key, and a patience that fits whoever waits for nothing. */
function argumentsFor(tool: Tool, input: Record<string, unknown>, own: OwnContext): Record<string, unknown> {
  const { idempotency_key: _chosen, ...rest } = input;
  const fields = propertiesOf(tool);
  const patience = fields.timeout_seconds ? { timeout_seconds: DEFAULT_WAIT_SECONDS } : {};
  return { ...patience, ...rest, ...(fields.idempotency_key ? { idempotency_key: own.key } : {}) };
}

/** The catalogue's schema without what an instance does not choose, and with its own patience. */
function schemaFor(tool: Tool): Record<string, unknown> {
  const schema = jsonSchemaOf(tool.input);
  const { idempotency_key: _key, timeout_seconds: timeout, ...properties } = propertiesOf(tool);
  for (const field of tool.forInstances?.without ?? []) delete properties[field];
  const patience = {
    type: "number",
    minimum: 0,
    maximum: MAX_WAIT_SECONDS,
    default: DEFAULT_WAIT_SECONDS,
    description: "How long to wait; waiting costs nothing",
  };
  const required = ((schema.required as string[] | undefined) ?? []).filter((field) => field in properties);
  return { ...schema, properties: { ...properties, ...(timeout ? { timeout_seconds: patience } : {}) }, required };
}

function propertiesOf(tool: Tool): Record<string, unknown> {
  return (jsonSchemaOf(tool.input).properties as Record<string, unknown> | undefined) ?? {};
}
