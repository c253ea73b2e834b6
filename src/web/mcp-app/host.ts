/**
 * The host: the program that shows this view beside a tool's answer, and through which the view runs tools. The view has no
 * other way to the outside.
 */
import { App, applyDocumentTheme, applyHostFonts, applyHostStyleVariables } from "@modelcontextprotocol/ext-apps";
import { VERSION } from "../../platform/version.ts";
import { ServerError } from "../shared/server.ts";
import { answerIn } from "./answer.ts";

type Context = NonNullable<ReturnType<App["getHostContext"]>>;
export type Input = Record<string, unknown>;
export type Answer = Record<string, unknown>;

/** Acts of the visitor that the model is told of, the newest. */
const ACTS_TOLD = 10;

export interface HostState {
  connection: "connecting" | "connected" | "failed" | "ended";
  /** Theme, size and whatever else the host has said of the place that the view stands in. */
  context: Context;
  /** The call that the view stands beside: null until the host has told. */
  input: Input | null;
  /** Its answer, once there is one; of a call that failed there is none. */
  answer: Answer | null;
  /** The call is over, one way or another. */
  answered: boolean;
}

export class Host {
  readonly #app = new App(
    { name: "madrox", version: VERSION },
    { availableDisplayModes: ["inline", "fullscreen"] },
    { autoResize: false },
  );
  readonly #listeners = new Set<() => void>();
  readonly #acts: string[] = [];
  #state: HostState = { connection: "connecting", context: {}, input: null, answer: null, answered: false };

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly state = (): HostState => this.#state;

  /** Whether the host answered at all. */
  async connect(): Promise<boolean> {
    const app = this.#app;
    app.ontoolinput = ({ arguments: input }) => this.#set({ input: input ?? {} });
    app.ontoolresult = (result) => {
      const answer = answerIn(result);
      this.#set({ answer: answer.success === true ? answer : null, answered: true });
    };
    app.ontoolcancelled = () => this.#set({ answered: true });
    app.onhostcontextchanged = () => this.#look();
    app.onteardown = () => {
      this.#set({ connection: "ended" });
      return {};
    };
    try {
      await app.connect();
    } catch {
      this.#set({ connection: "failed" });
      return false;
    }
    this.#look();
    this.#set({ connection: "connected" });
    return true;
  }

  /** Whether the host runs tools for views. */
  get runsTools(): boolean {
    return this.#app.getHostCapabilities()?.serverTools !== undefined;
  }

  /** Runs a tool that reads. Throws `ServerError`: in the server's words, or the host's when it did not pass the call on. */
  readonly read = async (tool: string, input: Input): Promise<Answer> => {
    let answer: Answer;
    try {
      answer = answerIn(await this.#app.callServerTool({ name: tool, arguments: input }));
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new ServerError("unreachable", `The call ${tool} did not get through: ${why}`, 0);
    }
    if (answer.success === true) return answer;
    throw new ServerError(String(answer.error ?? "internal"), String(answer.message), 0);
  };

  /** Runs a tool that changes something, and tells the model that the visitor did it. Throws as `read`. */
  readonly act = async (tool: string, input: Input): Promise<Answer> => {
    const answer = await this.read(tool, input);
    this.#tell(`${tool} ${JSON.stringify(input)}: ${String(answer.message)}`);
    return answer;
  };

  sendHeight(height: number): void {
    void this.#app.sendSizeChanged({ height });
  }

  /** Asks for all the room that the host has, or for the place in the conversation again. */
  async show(mode: "inline" | "fullscreen"): Promise<void> {
    const shown = await this.#app.requestDisplayMode({ mode });
    this.#set({ context: { ...this.#state.context, displayMode: shown.mode } });
  }

  #tell(act: string): void {
    if (!this.#app.getHostCapabilities()?.updateModelContext) return;
    this.#acts.push(act);
    const told = this.#acts.slice(-ACTS_TOLD).map((line) => `- ${line}`);
    const text = `In the Madrox view the user has, latest last:\n${told.join("\n")}`;
    // The act itself is done: whether the model hears of it is up to the host.
    this.#app.updateModelContext({ content: [{ type: "text", text }] }).catch(() => undefined);
  }

  /** Takes over what the host says of the place. */
  #look(): void {
    const context = this.#app.getHostContext() ?? {};
    if (context.theme) applyDocumentTheme(context.theme);
    if (context.styles?.variables) applyHostStyleVariables(context.styles.variables);
    if (context.styles?.css?.fonts) applyHostFonts(context.styles.css.fonts);
    this.#set({ context });
  }

  #set(change: Partial<HostState>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of this.#listeners) listener();
  }
}
