/**
 * One instance: its conversation as it happens, and everything else about it.
 */
import { useState } from "react";
import { useConversation } from "../shared/conversation-stream.ts";
import { ConversationView } from "../shared/conversation-view.tsx";
import { useFleet } from "../shared/fleet-context.ts";
import { Icon } from "../shared/icon.tsx";
import { Callouts } from "../shared/instance-callouts.tsx";
import { Family, Funds, Health, Identity } from "../shared/instance-facts.tsx";
import { LimitsDialog } from "../shared/limits-dialog.tsx";
import { MessageBox } from "../shared/message-box.tsx";
import { useAction } from "../shared/modal.tsx";
import { Failed, Loading } from "../shared/notice.tsx";
import { QuestionCard } from "../shared/question-card.tsx";
import type { InstanceRecord } from "../shared/records.ts";
import { Link } from "../shared/route.tsx";
import { run } from "../shared/server.ts";
import { StateMark } from "../shared/state-mark.tsx";
import { InstanceFiles } from "./instance-files.tsx";
import { useResource } from "./resource.ts";
import { SpawnDialog } from "./spawn-dialog.tsx";
import { TerminateDialog } from "./terminate-dialog.tsx";

type Opened = "limits" | "terminate" | "spawn" | null;

export function InstancePage({ id }: { id: string }) {
  const { rows, latestOf, opened: connections } = useFleet();
  const row = rows.get(id);
  const seen = latestOf.get(id) ?? 0;
  const version = `${seen} ${row?.state} ${row?.waiting_for} ${row?.max_cost} ${row?.max_total_tokens} ${connections}`;
  const { data, error } = useResource<{ status: InstanceRecord }>(`/instances/${id}`, version);
  const conversation = useConversation(id, `${seen} ${connections}`);
  const [opened, setOpened] = useState<Opened>(null);
  const { pending, problem, perform } = useAction();
  const record = data?.status;

  if (!record) return error ? <Failed what="The instance" error={error} /> : <Loading what="the instance" />;
  const state = row?.state ?? record.state;
  const active = state !== "terminated";
  const working = state === "busy" || state === "waiting";
  const interrupt = () =>
    perform(async () => {
      await run("interrupt_instance", { instance_id: id, reason: "interrupted on the dashboard" });
    });

  return (
    <div className="instance">
      <div className="instance-main">
        <header className="instance-head">
          <p className="crumbs">
            <Link to="/">Instances</Link>
          </p>
          <div className="instance-title">
            <h1>{record.name}</h1>
            <StateMark state={state} />
          </div>
          <Identity record={record} />
          {active ? (
            <div className="actions">
              {working ? (
                <button type="button" className="button" disabled={pending} onClick={() => void interrupt()}>
                  <Icon name="stop" />
                  <span>Interrupt</span>
                </button>
              ) : null}
              <button type="button" className="button" onClick={() => setOpened("spawn")}>
                <Icon name="plus" />
                <span>Spawn below</span>
              </button>
              <button type="button" className="button danger-text" onClick={() => setOpened("terminate")}>
                Terminate
              </button>
            </div>
          ) : null}
          {problem ? (
            <p className="problem" role="alert">
              {problem}
            </p>
          ) : null}
        </header>

        <Callouts record={record} state={state} onRaise={() => setOpened("limits")} />
        {record.questions?.map((question) => (
          <QuestionCard key={question.question_id} question={question} named={false} />
        ))}
        <ConversationView conversation={conversation} name={record.name} />
        {active ? <MessageBox id={id} name={record.name} state={state} /> : null}
      </div>

      <aside className="instance-side" aria-label="About the instance">
        <Funds record={record} onLimits={active ? () => setOpened("limits") : null} />
        <Health record={record} />
        <Family record={record} />
        <InstanceFiles id={id} version={seen} />
        <p>
          <Link to={`/events?instance=${id}`}>Its events</Link>
        </p>
      </aside>

      {opened === "limits" ? <LimitsDialog record={record} onClose={() => setOpened(null)} /> : null}
      {opened === "terminate" ? <TerminateDialog id={id} name={record.name} onClose={() => setOpened(null)} /> : null}
      {opened === "spawn" ? <SpawnDialog parent={id} onClose={() => setOpened(null)} /> : null}
    </div>
  );
}
