/**
 * HTTP as it stands on the wire: request lines and headers that no client library would send.
 */
import { connect, type Socket } from "node:net";

/** How long a peer may say nothing before what it said counts as all. */
const SILENCE_MS = 5_000;

export interface RawAnswer {
  /** 0 where the connection was closed without an answer. */
  status: number;
  head: string;
  body: string;
}

/** Sends a request word for word and reads until the connection is closed: have it say `Connection: close`. */
export function sendRaw(url: string, text: string): Promise<RawAnswer> {
  return new Promise((done) => {
    const socket = openSocket(url);
    let said = "";
    const end = () => {
      socket.destroy();
      const [head = "", ...rest] = said.split("\r\n\r\n");
      done({ status: Number(/^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1] ?? 0), head, body: rest.join("\r\n\r\n") });
    };
    socket.setTimeout(SILENCE_MS, end);
    socket.on("data", (chunk) => {
      said += chunk.toString("latin1");
    });
    socket.once("end", end);
    socket.once("error", end);
    socket.write(text, "latin1");
  });
}

/** A connection to the server that a URL names. */
export function openSocket(url: string): Socket {
  const { hostname, port } = new URL(url);
  return connect(Number(port), hostname);
}

/** A request in HTTP/1.1, its target word for word. */
export function rawRequest(
  method: string,
  target: string,
  headers: Readonly<Record<string, string>> = {},
  body = "",
): string {
  const lines = Object.entries({
    Host: "localhost",
    ...(body ? { "Content-Length": String(Buffer.byteLength(body)) } : {}),
    ...headers,
    Connection: "close",
  });
  return `${method} ${target} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n${body}`;
}
