import type { CallToolResult, InputRequiredResult, Server, ServerContext } from "@modelcontextprotocol/server";

/** A tool as the protocol has it: whatever it answers goes out as it is. */
export interface RawTool {
  name: string;
  description: string;
  inputSchema: { type: "object"; [keyword: string]: unknown };
  run(
    input: Record<string, unknown>,
    call: ServerContext,
  ): Promise<CallToolResult | InputRequiredResult> | CallToolResult | InputRequiredResult;
}

export const NO_INPUT: RawTool["inputSchema"] = { type: "object", properties: {} };

export function textResult(text: string): CallToolResult {
  return { content: [{ type: "text", text }] };
}

/** Answers `tools/list` and `tools/call`. */
export function serveTools(server: Server, tools: readonly RawTool[]): void {
  server.setRequestHandler("tools/list", () => ({ tools: tools.map(({ run: _run, ...shown }) => shown) }) as never);
  server.setRequestHandler("tools/call", async ({ params }, call) => {
    const tool = tools.find(({ name }) => name === params.name);
    if (!tool) return { ...textResult(`There is no tool ${params.name}.`), isError: true };
    return tool.run(params.arguments ?? {}, call);
  });
}
