/** The least that one deploys with the Agents SDK: an Agent, and an MCP tool. The product's weight is shown beside it. */
import { McpServer } from "@modelcontextprotocol/server";
import { Agent } from "agents";
import { createMcpHandler } from "agents/mcp/server";
import * as z from "zod";

export class Counter extends Agent {}

export default {
  async fetch(request: Request, env: object, ctx: ExecutionContext): Promise<Response> {
    if (new URL(request.url).pathname !== "/mcp") return new Response("ok");
    const handler = createMcpHandler(() => {
      const server = new McpServer({ name: "agent", version: "1" });
      server.registerTool(
        "echo",
        { description: "Says it again.", inputSchema: z.object({ text: z.string() }) },
        ({ text }) => ({
          content: [{ type: "text", text }],
        }),
      );
      return server;
    });
    return handler(request, env, ctx);
  },
};
