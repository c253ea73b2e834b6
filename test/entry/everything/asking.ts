/**
 * What asks the client something in its answer, as revision 2026-07-28 has it: the client calls again with what was asked, and with the
 * state that the server gave it, sealed.
 */
import {
  acceptedContent,
  type ClientCapabilities,
  createRequestStateCodec,
  type InputRequests,
  inputRequired,
  type ServerContext,
} from "@modelcontextprotocol/server";
import type { Prompt } from "../../../src/http/mcp/prompts.ts";
import { NO_INPUT, type RawTool, textResult } from "./tool.ts";

interface State {
  tool: string;
  round: number;
  name?: string;
}

/** Every isolate has the same key: whichever answers the next call can read it. */
export const requestState = createRequestStateCodec<State>({
  key: new TextEncoder().encode("the key of the conformance scenarios"),
});

const TEXT = { type: "string" } as const;
const FLAG = { type: "boolean" } as const;

/** A form with one field. */
function form(message: string, field: string, type: typeof TEXT | typeof FLAG = TEXT) {
  return inputRequired.elicit({
    message,
    requestedSchema: { type: "object", properties: { [field]: type }, required: [field] },
  });
}

/** What the user gave for a field of the form `key`, or undefined. */
export function given(call: ServerContext, key: string, field: string): unknown {
  return acceptedContent<Record<string, unknown>>(call.mcpReq.inputResponses, key)?.[field];
}

export const askName = () => form("What is your name?", "name");

const askModel = (text: string, maxTokens: number) =>
  inputRequired.createMessage({ messages: [{ role: "user", content: { type: "text", text } }], maxTokens });

/** What the client's model said, or undefined. */
function said(call: ServerContext, key: string): string | undefined {
  const response = call.mcpReq.inputResponses?.[key] as { content?: { text?: string } } | undefined;
  return response?.content?.text;
}

function rootsIn(call: ServerContext): string[] | undefined {
  const response = call.mcpReq.inputResponses?.client_roots as { roots?: { uri: string }[] } | undefined;
  return response?.roots?.map(({ uri }) => uri);
}

function tool(name: string, description: string, run: RawTool["run"]): RawTool {
  return { name: `test_${name}`, description, inputSchema: NO_INPUT, run };
}

/** What a client can be asked, as it declared with this very request. */
function declaredBy(call: ServerContext): ClientCapabilities {
  const envelope = call.mcpReq.envelope as Record<string, unknown> | undefined;
  return (envelope?.["io.modelcontextprotocol/clientCapabilities"] ?? {}) as ClientCapabilities;
}

export const ASKING_TOOLS: readonly RawTool[] = [
  tool("input_required_result_elicitation", "Asks for a name.", (_input, call) => {
    const name = given(call, "user_name", "name");
    if (typeof name !== "string") return inputRequired({ inputRequests: { user_name: askName() } });
    return textResult(`Hello, ${name}!`);
  }),
  tool("input_required_result_sampling", "Asks the client's model.", (_input, call) => {
    const text = said(call, "capital_question");
    if (text !== undefined) return textResult(text);
    return inputRequired({ inputRequests: { capital_question: askModel("What is the capital of France?", 100) } });
  }),
  tool("input_required_result_list_roots", "Asks for the client's roots.", (_input, call) => {
    const roots = rootsIn(call);
    if (roots) return textResult(`Roots: ${roots.join(", ")}`);
    return inputRequired({ inputRequests: { client_roots: inputRequired.listRoots() } });
  }),
  tool("input_required_result_request_state", "Asks for leave, and reads its state again.", async (_input, call) => {
    const state = call.mcpReq.requestState<State>();
    if (state?.tool === "request_state" && given(call, "confirm", "ok") !== undefined) return textResult("state-ok");
    return inputRequired({
      inputRequests: { confirm: form("Please confirm", "ok", FLAG) },
      requestState: await requestState.mint({ tool: "request_state", round: 1 }),
    });
  }),
  tool("input_required_result_tampered_state", "Takes no state but its own.", async (_input, call) => {
    const state = call.mcpReq.requestState<State>();
    if (state?.tool === "tampered_state" && given(call, "confirm", "ok") !== undefined) return textResult("state-ok");
    return inputRequired({
      inputRequests: { confirm: form("Please confirm", "ok", FLAG) },
      requestState: await requestState.mint({ tool: "tampered_state", round: 1 }),
    });
  }),
  tool("input_required_result_multiple_inputs", "Asks for three things at once.", async (_input, call) => {
    const [name, greeting, roots] = [given(call, "user_name", "name"), said(call, "greeting"), rootsIn(call)];
    if (typeof name === "string" && greeting !== undefined && roots)
      return textResult(`${greeting}, ${name}, in ${roots.join(", ")}`);
    return inputRequired({
      inputRequests: {
        user_name: askName(),
        greeting: askModel("Generate a greeting", 50),
        client_roots: inputRequired.listRoots(),
      },
      requestState: await requestState.mint({ tool: "multiple_inputs", round: 1 }),
    });
  }),
  tool("input_required_result_multi_round", "Asks twice.", async (_input, call) => {
    const state = call.mcpReq.requestState<State>();
    const name = given(call, "step1", "name");
    const color = given(call, "step2", "color");
    if (state?.round === 2 && typeof color === "string") return textResult(`${state.name} likes ${color}.`);
    if (state?.round === 1 && typeof name === "string") {
      return inputRequired({
        inputRequests: { step2: form("Step 2: What is your favorite color?", "color") },
        requestState: await requestState.mint({ tool: "multi_round", round: 2, name }),
      });
    }
    return inputRequired({
      inputRequests: { step1: form("Step 1: What is your name?", "name") },
      requestState: await requestState.mint({ tool: "multi_round", round: 1 }),
    });
  }),
  tool("input_required_result_capabilities", "Asks for what the client can be asked.", (_input, call) => {
    if (call.mcpReq.inputResponses !== undefined) return textResult("Answered.");
    const declared = declaredBy(call);
    const inputRequests: InputRequests = {
      ...(declared.elicitation ? { user_name: askName() } : {}),
      ...(declared.sampling ? { greeting: askModel("Generate a greeting", 50) } : {}),
    };
    if (Object.keys(inputRequests).length === 0) return textResult("There is nothing that this client can be asked.");
    return inputRequired({ inputRequests });
  }),
  tool("missing_capability", "Asks the client's model, whether or not it has one.", (_input, call) => {
    const text = said(call, "answer");
    if (text !== undefined) return textResult(text);
    return inputRequired({ inputRequests: { answer: askModel("Say something.", 16) } });
  }),
];

export const ASKING_PROMPTS: readonly Prompt[] = [
  {
    name: "test_input_required_result_prompt",
    title: "Asks first",
    description: "Asks for the context that it is to use.",
    arguments: [],
    answer: (_given, call) => {
      const context = given(call, "user_context", "context");
      if (typeof context !== "string") {
        const asked = form("What context should the prompt use?", "context");
        return inputRequired({ inputRequests: { user_context: asked } });
      }
      return { messages: [{ role: "user", content: { type: "text", text: `Use this context: ${context}` } }] };
    },
  },
];
