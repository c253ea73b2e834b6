/**
 * A host that shows MCP Apps, as small as it can be: an MCP client of the server, a frame without any rights but scripts and
 * forms, and the bridge of the field's library between them. It runs in the browser; the tests steer it by `window.host`.
 */
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import {
  AppBridge,
  getToolUiResourceUri,
  type McpUiHostContext,
  PostMessageTransport,
  RESOURCE_MIME_TYPE,
} from "@modelcontextprotocol/ext-apps/app-bridge";

/** What the extension's specification has hosts put around a view that asks for nothing more. */
const POLICY =
  "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; media-src 'self' data:; connect-src 'none'";

/** What a host says of itself that views follow. */
export interface Look {
  theme: "light" | "dark";
  ground: string;
}

export interface Opened {
  mcp: string;
  key: string;
  tool: string;
  input: Record<string, unknown>;
  look: Look;
  /** `none`: this host runs no tools for views; `refused`: its user lets none through. */
  tools?: "all" | "none" | "refused";
}

export interface HostWindow {
  /** Calls the tool as a model would, and shows its view. */
  open(opened: Opened): Promise<void>;
  change(look: Look): void;
  /** What the view had the model be told, the latest. */
  told: string;
}

let bridge: AppBridge | undefined;

function contextOf({ theme, ground }: Look): McpUiHostContext {
  const variables = { "--color-background-primary": ground } as NonNullable<McpUiHostContext["styles"]>["variables"];
  return { theme, styles: { variables } };
}

const host: HostWindow = {
  told: "",
  async open({ mcp, key, tool: name, input, look, tools: lets = "all" }) {
    const client = new Client(
      { name: "host", version: "1" },
      {
        capabilities: { extensions: { "io.modelcontextprotocol/ui": { mimeTypes: [RESOURCE_MIME_TYPE] } } },
        versionNegotiation: { mode: "auto" },
      },
    );
    const requestInit = { headers: { authorization: `Bearer ${key}` } };
    await client.connect(new StreamableHTTPClientTransport(new URL(mcp), { requestInit }));
    const { tools } = await client.listTools();
    const tool = tools.find((one) => one.name === name);
    const uri = tool && getToolUiResourceUri(tool);
    if (!tool || !uri) throw new Error(`${name} has no view.`);
    const [page] = (await client.readResource({ uri })).contents;
    if (page?.mimeType !== RESOURCE_MIME_TYPE || !("text" in page)) throw new Error("The view is no page.");

    const frame = document.createElement("iframe");
    frame.title = "Madrox";
    frame.setAttribute("sandbox", "allow-scripts allow-forms");
    document.body.replaceChildren(frame);
    const view = frame.contentWindow;
    if (!view) throw new Error("The frame has no window.");
    const made = new AppBridge(
      client,
      { name: "host", version: "1" },
      { ...(lets === "none" ? {} : { serverTools: {} }), updateModelContext: { text: {} } },
      { hostContext: { ...contextOf(look), toolInfo: { tool }, availableDisplayModes: ["inline", "fullscreen"] } },
    );
    bridge = made;
    made.onsizechange = ({ height }) => {
      if (height !== undefined) frame.style.height = `${height}px`;
    };
    made.onrequestdisplaymode = async ({ mode }) => {
      document.body.dataset.mode = mode;
      return { mode };
    };
    made.onupdatemodelcontext = async ({ content }) => {
      const [block] = content ?? [];
      host.told = block?.type === "text" ? block.text : "";
      return {};
    };
    const ready = new Promise<void>((shown) => {
      made.oninitialized = () => shown();
    });
    await made.connect(new PostMessageTransport(view, view));
    // Connecting has set it to pass everything on.
    if (lets === "refused") {
      made.oncalltool = async () => ({ isError: true, content: [{ type: "text", text: "The user said no." }] });
    }
    frame.srcdoc = page.text.replace("<head>", `<head><meta http-equiv="Content-Security-Policy" content="${POLICY}">`);
    await ready;
    await made.sendToolInput({ arguments: input });
    await made.sendToolResult(await client.callTool({ name, arguments: input }));
  },
  change(look) {
    bridge?.setHostContext(contextOf(look));
  },
};

(window as unknown as { host: HostWindow }).host = host;
