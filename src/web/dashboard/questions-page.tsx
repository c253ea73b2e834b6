import { useFleet } from "../shared/fleet-context.ts";
import { Failed, Loading, Nothing } from "../shared/notice.tsx";
import { QuestionCard } from "../shared/question-card.tsx";
import type { Question } from "../shared/records.ts";
import { useResource } from "./resource.ts";

/** Everything that instances ask and wait for, the oldest first. */
export function QuestionsPage() {
  const { latest, opened } = useFleet();
  const version = `${latest.question ?? 0} ${latest.instance ?? 0} ${opened}`;
  const { data, error } = useResource<{ questions: Question[] }>("/questions", version);
  return (
    <>
      <header className="page-head">
        <h1>Questions</h1>
        <p className="quiet">Each instance here waits for its answer. Nothing is paid meanwhile.</p>
      </header>
      {error ? <Failed what="The questions" error={error} /> : null}
      {!data && !error ? <Loading what="the questions" /> : null}
      {data?.questions.length === 0 ? (
        <Nothing title="Nobody asks anything">
          Questions of instances, and tool calls that need approval, appear here.
        </Nothing>
      ) : null}
      <div className="questions">
        {data?.questions.map((question) => (
          <QuestionCard key={question.question_id} question={question} />
        ))}
      </div>
    </>
  );
}
