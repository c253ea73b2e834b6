/**
 * MCP calls with next to nothing of the client's own in their time: a kept connection, one write, one parse.
 */
import { Agent, request } from "node:http";

export type Answer = Record<string, unknown>;

export class Client {
  readonly #url: string;
  readonly #mcpPath: string;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #headers: Record<string, string>;
  #id = 0;

  /** `key`: an access key of a server that asks for one. */
  constructor(url: string, mcpPath = "/mcp", key: string | null = null) {
    this.#url = url;
    this.#mcpPath = mcpPath;
    this.#headers = key === null ? {} : { authorization: `Bearer ${key}` };
  }

  /** Runs a tool; throws when it fails. Clients of 2025 that skip `initialize` are served too: there is no session. */
  async tool(name: string, input: Answer): Promise<Answer> {
    const result = await this.#call("tools/call", { name, arguments: input });
    const [content] = result.content as { text: string }[];
    if (result.isError || !content) throw new Error(`${name} failed: ${content?.text}`);
    return JSON.parse(content.text) as Answer;
  }

  async toolCount(): Promise<number> {
    return ((await this.#call("tools/list", {})).tools as unknown[]).length;
  }

  /** A plain request; the answer's text. */
  post(path: string, body: string, headers: Record<string, string> = {}): Promise<string> {
    return this.#request("POST", path, body, { ...headers, "content-length": String(Buffer.byteLength(body)) });
  }

  /** The JSON that is at a path, as text. */
  get(path: string): Promise<string> {
    return this.#request("GET", path, "", { accept: "application/json" });
  }

  #request(method: string, path: string, body: string, headers: Record<string, string>): Promise<string> {
    return new Promise((done, failed) => {
      const outgoing = request(
        this.#url + path,
        { method, agent: this.#agent, headers: { ...this.#headers, ...headers } },
        (incoming) => {
          let text = "";
          incoming.setEncoding("utf8");
          incoming.on("data", (chunk: string) => {
            text += chunk;
          });
          incoming.once("error", failed);
          incoming.once("end", () => {
            if (incoming.statusCode === 200) done(text);
            else failed(new Error(`${path} was answered with HTTP ${incoming.statusCode}: ${text.slice(0, 500)}`));
          });
        },
      );
      outgoing.once("error", failed);
      outgoing.end(body);
    });
  }

  /** Opens a stream; resolves with what reads on in it until this has come. */
  open(path: string, method: "GET" | "POST" = "GET", body = ""): Promise<(awaited: string) => Promise<void>> {
    return new Promise((opened, failed) => {
      const headers = { ...this.#headers, "content-length": Buffer.byteLength(body) };
      const outgoing = request(this.#url + path, { method, agent: this.#agent, headers }, (incoming) => {
        incoming.setEncoding("utf8");
        opened(
          (awaited) =>
            new Promise((arrived, broken) => {
              let text = "";
              incoming.on("data", (chunk: string) => {
                text += chunk;
                if (!text.includes(awaited)) return;
                incoming.destroy();
                arrived();
              });
              incoming.once("end", () =>
                broken(new Error(`${path} ended without "${awaited}": ${text.slice(0, 500)}`)),
              );
            }),
        );
      });
      outgoing.once("error", failed);
      outgoing.end(body);
    });
  }

  /** Follows a stream and throws away what it says. Resolves with what ends that, once the first of it is there. */
  async follow(path: string): Promise<() => void> {
    const ended = new AbortController();
    const response = await fetch(this.#url + path, { headers: this.#headers, signal: ended.signal });
    const body = response.body?.getReader();
    if (!response.ok || !body) throw new Error(`${path} was answered with HTTP ${response.status}.`);
    const readOn = async () => {
      while (!(await body.read()).done);
    };
    // It breaks off when it is ended.
    readOn().catch(() => undefined);
    return () => ended.abort();
  }

  /** Follows the tenant's log as the dashboard does. Resolves with what ends that, once the first frame is there. */
  watch(): Promise<() => void> {
    return new Promise((watching, failed) => {
      const socket = new WebSocket(`${this.#url.replace("http", "ws")}/live`, ["madrox.live"]);
      socket.addEventListener("open", () => socket.send(JSON.stringify({ type: "follow", after: null })));
      socket.addEventListener("error", () => failed(new Error("The live socket failed.")));
      socket.addEventListener("message", ({ data }) => {
        const { events } = JSON.parse(String(data)) as { events: { seq: number }[] };
        const last = events.at(-1);
        if (last) socket.send(JSON.stringify({ type: "ack", seq: last.seq }));
        watching(() => socket.close());
      });
    });
  }

  close(): void {
    this.#agent.destroy();
  }

  async #call(method: string, params: Answer): Promise<Answer> {
    this.#id += 1;
    const body = JSON.stringify({ jsonrpc: "2.0", id: this.#id, method, params });
    const text = await this.post(this.#mcpPath, body, {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "mcp-protocol-version": "2025-11-25",
    });
    const data = text.match(/^data: (\{.*\})$/m)?.[1] ?? text;
    const answer = JSON.parse(data) as { result?: Answer; error?: { message: string } };
    if (!answer.result) throw new Error(`${method} failed: ${answer.error?.message ?? text.slice(0, 500)}`);
    return answer.result;
  }
}
