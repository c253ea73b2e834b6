/**
 * What a server sends while a call runs: progress, log messages, and questions to the client as the revisions of 2025 had them.
 */
import type { ServerContext } from "@modelcontextprotocol/server";
import { NO_INPUT, type RawTool, textResult } from "./tool.ts";

/** Between two messages, so that a client that got them in one piece would be noticed. */
const pause = () => new Promise((done) => setTimeout(done, 50));

type Form = Extract<Parameters<ServerContext["mcpReq"]["send"]>[0], { method: "elicitation/create" }>["params"];

/** A tool that puts a form before the user and says what came back. */
function asks(name: string, description: string, form: (input: Record<string, unknown>) => object): RawTool {
  return {
    name,
    description,
    inputSchema: { type: "object", properties: { message: { type: "string" } } },
    async run(input, call) {
      const { action, content } = await call.mcpReq.send({ method: "elicitation/create", params: form(input) as Form });
      return textResult(`Elicitation completed: action=${action}, content=${JSON.stringify(content ?? {})}`);
    },
  };
}

const titled = (...options: [string, string][]) => options.map(([value, title]) => ({ const: value, title }));

export const PUSHING_TOOLS: readonly RawTool[] = [
  {
    name: "test_tool_with_logging",
    description: "Logs three lines.",
    inputSchema: NO_INPUT,
    async run(_input, call) {
      for (const data of ["Tool execution started", "Tool processing data", "Tool execution completed"]) {
        await call.mcpReq.notify({ method: "notifications/message", params: { level: "info", data } });
        await pause();
      }
      return textResult("It has logged.");
    },
  },
  {
    name: "test_logging_tool",
    description: "Logs a line, to a client that asked for such lines.",
    inputSchema: NO_INPUT,
    async run(_input, call) {
      await call.mcpReq.log("info", "It runs.");
      return textResult("It has logged, where that was asked for.");
    },
  },
  {
    name: "test_tool_with_progress",
    description: "Tells of its progress three times.",
    inputSchema: NO_INPUT,
    async run(_input, call) {
      const progressToken = call.mcpReq._meta?.progressToken;
      for (const progress of [0, 50, 100]) {
        if (progressToken !== undefined) {
          await call.mcpReq.notify({
            method: "notifications/progress",
            params: { progressToken, progress, total: 100, message: `${progress} of 100` },
          });
        }
        await pause();
      }
      return textResult(String(progressToken ?? "Nobody asked how it goes."));
    },
  },
  {
    name: "test_streaming_elicitation",
    description: "Answers in a stream, in which there is nothing but the answer.",
    inputSchema: NO_INPUT,
    run: () => textResult("No questions."),
  },
  {
    name: "test_reconnection",
    description: "Answers. A server that lets clients go in the middle of a call would do so here.",
    inputSchema: NO_INPUT,
    run: () => textResult("It has not let go."),
  },
  {
    name: "test_sampling",
    description: "Has the client ask its model.",
    inputSchema: { type: "object", properties: { prompt: { type: "string" } }, required: ["prompt"] },
    async run({ prompt }, call) {
      const { content } = await call.mcpReq.send({
        method: "sampling/createMessage",
        params: { messages: [{ role: "user", content: { type: "text", text: String(prompt) } }], maxTokens: 100 },
      });
      return textResult(`LLM response: ${JSON.stringify(content)}`);
    },
  },
  asks("test_elicitation", "Has the client ask its user.", ({ message }) => ({
    message,
    requestedSchema: {
      type: "object",
      properties: { username: { type: "string" }, email: { type: "string" } },
      required: ["username", "email"],
    },
  })),
  asks("test_elicitation_sep1034_defaults", "A form with a default of each kind.", () => ({
    message: "Review the form.",
    requestedSchema: {
      type: "object",
      properties: {
        name: { type: "string", default: "John Doe" },
        age: { type: "integer", default: 30 },
        score: { type: "number", default: 95.5 },
        status: { type: "string", enum: ["active", "inactive", "pending"], default: "active" },
        verified: { type: "boolean", default: true },
      },
      required: [],
    },
  })),
  asks("test_elicitation_sep1330_enums", "A form with a choice of each kind.", () => ({
    message: "Choose.",
    requestedSchema: {
      type: "object",
      properties: {
        untitledSingle: { type: "string", enum: ["option1", "option2", "option3"] },
        titledSingle: { type: "string", oneOf: titled(["value1", "First"], ["value2", "Second"]) },
        legacyEnum: { type: "string", enum: ["opt1", "opt2"], enumNames: ["Option One", "Option Two"] },
        untitledMulti: { type: "array", items: { type: "string", enum: ["option1", "option2", "option3"] } },
        titledMulti: { type: "array", items: { anyOf: titled(["value1", "First"], ["value2", "Second"]) } },
      },
      required: [],
    },
  })),
];
