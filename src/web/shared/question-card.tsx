import { type FormEvent, useId, useState } from "react";
import { useFleet } from "./fleet-context.ts";
import { useAction } from "./modal.tsx";
import type { Question } from "./records.ts";
import { Link } from "./route.tsx";
import { useRun } from "./run-context.ts";
import { lasted, moment } from "./wording.ts";

/** A question and the ways to answer it: its options, or in one's own words. */
export function QuestionCard({ question, named = true }: { question: Question; named?: boolean }) {
  const run = useRun();
  const { rows } = useFleet();
  const [text, setText] = useState("");
  const [answered, setAnswered] = useState(false);
  const { pending, problem, perform } = useAction();
  const id = useId();
  const approval = question.kind === "approval";
  const options = approval && question.options.length === 0 ? ["approve", "deny"] : question.options;
  const free = options.length === 0;

  const answer = async (words: string) => {
    const done = await perform(async () => {
      await run("answer_question", { question_id: question.question_id, answer: words });
    });
    if (done) setAnswered(true);
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (text.trim() !== "") void answer(text);
  };
  const asked = question.to === "human" ? null : (rows.get(question.to)?.name ?? "another instance");
  const does = approval ? "wants to use a tool" : asked ? `asks ${asked}` : "asks";
  const doing = named ? does : does.charAt(0).toUpperCase() + does.slice(1);
  const left = question.expires_at === null ? null : Date.parse(question.expires_at) - Date.now();

  return (
    <article className="question" aria-labelledby={id}>
      <p className="question-head">
        {named ? <Link to={`/instances/${question.instance_id}`}>{question.name}</Link> : null}
        <span>{doing}</span>
        <time dateTime={question.asked_at}>{moment(question.asked_at)}</time>
        {left !== null ? <span>{left > 0 ? `expires in ${lasted(left)}` : "expires now"}</span> : null}
      </p>
      <p className="question-text" id={id}>
        {question.question}
      </p>
      {answered ? (
        <p className="quiet" role="status">
          Answered. It goes on.
        </p>
      ) : (
        <form onSubmit={submit}>
          {options.length > 0 ? (
            <div className="options">
              {options.map((option, i) => (
                <button
                  key={option}
                  type="button"
                  className={`button ${approval && i === 0 ? "primary" : ""}`}
                  disabled={pending}
                  onClick={() => void answer(approval && option === "deny" && text.trim() ? `deny: ${text}` : option)}
                >
                  {approval ? option.charAt(0).toUpperCase() + option.slice(1) : option}
                </button>
              ))}
            </div>
          ) : null}
          {free || approval ? (
            <div className="question-words">
              <label className="field">
                <span className="visually-hidden">{approval ? "Why, if you deny it" : "Your answer"}</span>
                <textarea
                  rows={free ? 2 : 1}
                  placeholder={approval ? "Why, if you deny it" : "Your answer"}
                  value={text}
                  onChange={(event) => setText(event.target.value)}
                />
              </label>
              {free ? (
                <button type="submit" className="button primary" disabled={pending || text.trim() === ""}>
                  Answer
                </button>
              ) : null}
            </div>
          ) : null}
          {problem ? (
            <p className="problem" role="alert">
              {problem}
            </p>
          ) : null}
        </form>
      )}
    </article>
  );
}
