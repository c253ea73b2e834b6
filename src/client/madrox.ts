/**
 * The client: the catalogue's tools as methods, and over them what takes several calls: an answer however long it takes, a
 * live stream, a whole list. Needs `fetch` and nothing else: Node, browsers and Workers.
 */
import { errorOf, MadroxError, objectOf } from "./error.ts";
import { Http, type MadroxOptions } from "./http.ts";
import { newKey } from "./key.ts";
import { follow, type MadroxEvent, type StreamOptions } from "./stream.ts";
import {
  type CallOptions,
  CHANGING,
  type GetInstanceOutputAnswer,
  type GetInstanceStatusInput,
  type SendToInstanceAnswer,
  type SendToInstanceInput,
  Tools,
  type WaitAnswer,
} from "./tools.ts";

/** The most that one call of the server waits, in seconds. */
const WAIT_SECONDS = 50;

export type MessageResponse = NonNullable<SendToInstanceAnswer["response"]>;
export type OutputRow = GetInstanceOutputAnswer["output"][number];

export interface WaitOptions extends CallOptions {
  /** How many of them: `all` (default), `any`, or a number. */
  until?: "all" | "any" | number;
  /** Gives up after this time, in seconds, and answers with what there is. Default: waits for ever. */
  timeoutSeconds?: number;
}

export class Madrox extends Tools {
  readonly #http: Http;

  constructor(options: MadroxOptions = {}) {
    super();
    this.#http = new Http(options);
  }

  /**
   * Runs a tool by its name. A tool that changes something gets an idempotency key, unless `input` has one: sent again after a
   * failure, it has no second effect. Throws `MadroxError` for an answer with `success: false`.
   */
  async call<Answer>(tool: string, input: object, { signal }: CallOptions = {}): Promise<Answer> {
    const given = CHANGING.has(tool) ? { idempotency_key: newKey(), ...input } : input;
    const init = {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ tool, arguments: given }),
    };
    return this.#http.request(
      "/tools/execute",
      init,
      async (response) => {
        const text = await response.text();
        const answer = objectOf(text);
        if (answer?.success !== true) throw errorOf(response.status, text);
        return answer as Answer;
      },
      signal,
    );
  }

  /**
   * Sends a message and waits for its answer, however long it takes. Throws `MadroxError` when it fails; a message that waits
   * because a budget is used up is `budget_exceeded`, and goes on once `setLimits` raises that.
   */
  async ask(
    instanceId: string,
    message: string,
    options: Omit<SendToInstanceInput, "instance_id" | "message" | "wait_for_response" | "timeout_seconds"> &
      CallOptions = {},
  ): Promise<MessageResponse> {
    const { signal, ...rest } = options;
    const input = {
      idempotency_key: newKey(),
      ...rest,
      instance_id: instanceId,
      message,
      timeout_seconds: WAIT_SECONDS,
    };
    for (;;) {
      // The same key: it is the same message, and each call waits for it anew.
      const answer = await this.sendToInstance(input, { signal });
      if (answer.response) return answer.response;
    }
  }

  /**
   * Waits until messages have their answers, instances are at rest, or coordinated tasks are over; calls `wait` as often as it
   * takes. What can't go on by itself (`paused`: its budget is used up) is not waited for, and stays in `pending`. `done` has
   * failed messages too, each with its `error`.
   */
  async waitUntilDone(ids: readonly string[], options: WaitOptions = {}): Promise<WaitAnswer> {
    const { until = "all", timeoutSeconds = Number.POSITIVE_INFINITY, signal } = options;
    const deadline = Date.now() + timeoutSeconds * 1000;
    const different = new Set(ids).size;
    const needed = until === "all" ? different : until === "any" ? 1 : until;
    for (;;) {
      const seconds = Math.max(0, Math.min(WAIT_SECONDS, (deadline - Date.now()) / 1000));
      const input = { ids: [...ids], until, timeout_seconds: seconds };
      const answer = await this.wait(input, { signal });
      const open = answer.pending.filter(({ status }) => status !== "paused");
      if (answer.done.length >= needed || open.length === 0 || Date.now() >= deadline) return answer;
    }
  }

  /**
   * What happens in an instance, live: `text` as it is written, `output` rows as in getInstanceOutput, `status` changes;
   * `restart` says that the answer under way is written anew. Connections that break are opened again: each event comes once.
   * Ends when the instance has ended, or when the loop over it is left.
   */
  stream(instanceId: string, options: StreamOptions = {}): AsyncGenerator<MadroxEvent, void, void> {
    const { signal } = options;
    return follow(this.#http, `/instances/${encodeURIComponent(instanceId)}/events`, options, async () => {
      const { status } = await this.getInstanceStatus({ instance_id: instanceId }, { signal });
      return status.state === "terminated";
    });
  }

  /** The event log of all instances, live, in the same way. Ends only when the loop over it is left. */
  events(options: StreamOptions & { instanceId?: string } = {}): AsyncGenerator<MadroxEvent, void, void> {
    const query = options.instanceId === undefined ? "" : `?instance_id=${encodeURIComponent(options.instanceId)}`;
    return follow(this.#http, `/events${query}`, options);
  }

  /** Everything an instance received, said and did, in order, page by page as it is needed. */
  async *output(instanceId: string, { signal }: CallOptions = {}): AsyncGenerator<OutputRow, void, void> {
    let cursor: string | null = null;
    do {
      const page: GetInstanceOutputAnswer = await this.getInstanceOutput(
        { instance_id: instanceId, ...(cursor === null ? {} : { cursor }) },
        { signal },
      );
      yield* page.output;
      cursor = page.next_cursor;
    } while (cursor !== null);
  }

  /** The status records of all instances that fit, page by page as they are needed. */
  async *instances(
    filter: Pick<GetInstanceStatusInput, "state" | "role" | "parent_id"> = {},
    { signal }: CallOptions = {},
  ): AsyncGenerator<Record<string, unknown>, void, void> {
    let cursor: string | null | undefined;
    do {
      const input = { ...filter, ...(cursor ? { cursor } : {}) };
      const page = await this.getInstanceStatus(input, { signal });
      yield* Object.values(page.status.instances as Record<string, Record<string, unknown>>);
      cursor = page.next_cursor;
    } while (cursor);
  }

  /** All files of an instance's workspace as a zip archive. */
  workspaceZip(instanceId: string, { signal }: CallOptions = {}): Promise<Blob> {
    const path = `/instances/${encodeURIComponent(instanceId)}/workspace.zip`;
    return this.#http.request(path, {}, (response) => response.blob(), signal);
  }

  /** Whether the server is well, and its figures. Throws `MadroxError` when it is not. */
  health({ signal }: CallOptions = {}): Promise<Record<string, unknown>> {
    return this.#http.request(
      "/health",
      {},
      async (response) => {
        const text = await response.text();
        const health = objectOf(text);
        if (!health) throw new MadroxError("bad_answer", "/health answers with no JSON.", { status: response.status });
        return health;
      },
      signal,
    );
  }
}
