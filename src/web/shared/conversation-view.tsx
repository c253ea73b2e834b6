/**
 * What an instance received, said and did, with the answer that is being written. It stays at the end while the reader does.
 */
import { useEffect, useMemo, useRef } from "react";
import type { Conversation } from "./conversation-stream.ts";
import { Icon } from "./icon.tsx";
import { Failed, Loading, Nothing } from "./notice.tsx";
import { Prose } from "./prose.tsx";
import { type Said, type ToolUse, type Turn, turnsOf } from "./turns.ts";
import { count, moment, usd } from "./wording.ts";

/** The reader counts as being at the end this near to it. */
const NEAR_PX = 120;

export function ConversationView({ conversation, name }: { conversation: Conversation; name: string }) {
  const { rows, writing, loaded, error } = conversation;
  const turns = useMemo(() => turnsOf(rows), [rows]);
  const scroller = useRef<HTMLElement>(null);
  const atEnd = useRef(true);
  // whatever is added moves the end.
  useEffect(() => {
    const box = scroller.current;
    if (box && atEnd.current) box.scrollTop = box.scrollHeight;
  }, [turns, writing?.text]);
  const onScroll = () => {
    const box = scroller.current;
    if (box) atEnd.current = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_PX;
  };
  const empty = turns.length === 0 && !writing;

  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so keys have to reach it.
    <section className="conversation" ref={scroller} onScroll={onScroll} aria-label="Conversation" tabIndex={0}>
      {error ? <Failed what="The conversation" error={error} /> : null}
      {empty && !loaded && !error ? <Loading what="the conversation" /> : null}
      {empty && loaded && !error ? (
        <Nothing title="Nothing has been said yet">Send {name} a message below.</Nothing>
      ) : null}
      {turns.map((turn) => (
        <TurnView
          key={turn.message_id}
          turn={turn}
          writing={writing?.message_id === turn.message_id ? writing.text : null}
        />
      ))}
      {writing && !turns.some((turn) => turn.message_id === writing.message_id) ? (
        <article className="turn">
          <WritingView text={writing.text} />
        </article>
      ) : null}
    </section>
  );
}

function TurnView({ turn, writing }: { turn: Turn; writing: string | null }) {
  return (
    <article className="turn">
      {turn.parts.map((part) =>
        part.kind === "tool" ? <ToolView key={part.index} tool={part} /> : <SaidView key={part.index} said={part} />,
      )}
      {writing !== null ? <WritingView text={writing} /> : null}
    </article>
  );
}

function SaidView({ said }: { said: Said }) {
  return (
    <div className="said" data-kind={said.kind}>
      {said.kind === "response" || said.kind === "progress" ? (
        <Prose text={said.text} />
      ) : (
        <p className="plain">{said.text}</p>
      )}
      {said.kind === "user" || said.kind === "response" ? (
        <p className="said-foot">
          <time dateTime={said.at}>{moment(said.at)}</time>
          {said.tokens > 0 ? (
            <span>
              {count(said.tokens)} tokens, {usd(said.cost)}
            </span>
          ) : null}
        </p>
      ) : null}
    </div>
  );
}

function WritingView({ text }: { text: string }) {
  return (
    <div className="said writing" data-kind="response" data-writing="true">
      <Prose text={text} />
      <p className="said-foot">Writing …</p>
    </div>
  );
}

function ToolView({ tool }: { tool: ToolUse }) {
  return (
    <details className="tool" data-failed={tool.failed}>
      <summary>
        <Icon name="tool" />
        <span className="tool-name">{tool.name}</span>
        <span className="tool-gist">{gist(tool.input)}</span>
        <span className="tool-end">{tool.result === null ? "running" : tool.failed ? "failed" : "done"}</span>
      </summary>
      <div className="tool-body">
        <p className="tool-label">Input</p>
        <pre>{tool.input}</pre>
        {tool.result === null ? null : (
          <>
            <p className="tool-label">{tool.failed ? "Failure" : "Result"}</p>
            <pre>{tool.result}</pre>
          </>
        )}
      </div>
    </details>
  );
}

/** The first value of a tool's input, to recognise the call by. */
function gist(input: string): string {
  const [first] = Object.values(JSON.parse(input) as Record<string, unknown>);
  const text = typeof first === "string" ? first : first === undefined ? "" : JSON.stringify(first);
  return text.replace(/\s+/g, " ").slice(0, 120);
}
