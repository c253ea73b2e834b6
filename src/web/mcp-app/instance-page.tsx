/**
 * One instance: its conversation, what it waits for, its limits, and what the visitor can do about it.
 */
import { type SyntheticEvent, useMemo, useState } from "react";
import { Bar, tightest } from "../shared/budget-bar.tsx";
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
import type { InstanceRecord, InstanceState } from "../shared/records.ts";
import { Link } from "../shared/route.tsx";
import { RunContext } from "../shared/run-context.ts";
import type { Run } from "../shared/server.ts";
import { StateMark } from "../shared/state-mark.tsx";
import { usd } from "../shared/wording.ts";
import { HeadEnd } from "./head-end.tsx";
import type { Host } from "./host.ts";
import { InstanceReader } from "./instance-reader.ts";
import { usePolled } from "./polled.ts";

/** How often it is looked at, while it works and while it rests. */
const WORKING_MS = 2_500;
const RESTING_MS = 10_000;

interface InstancePageProps {
  id: string;
  host: Host;
  mode: string;
  onActed: () => void;
}

export function InstancePage({ id, host, mode, onActed }: InstancePageProps) {
  const reader = useMemo(() => new InstanceReader(host.read, id), [host, id]);
  const polled = usePolled(reader.look, ({ record }) => (works(record.state) ? WORKING_MS : RESTING_MS));
  const { data, error, refresh } = polled;
  const [limits, setLimits] = useState(false);
  const { pending, problem, perform } = useAction();
  const run = useMemo<Run>(
    () => async (tool, input) => {
      const answer = await host.act(tool, input);
      refresh();
      onActed();
      return answer;
    },
    [host, refresh, onActed],
  );
  const back = (
    <p className="crumbs">
      <Link to="/">All instances</Link>
    </p>
  );

  if (!data) {
    return (
      <>
        <h1 className="visually-hidden">Instance</h1>
        {back}
        {error ? <Failed what="The instance" error={error} /> : <Loading what="the instance" />}
      </>
    );
  }
  const { record, rows } = data;
  const active = record.state !== "terminated";
  const interrupt = () =>
    perform(async () => {
      await run("interrupt_instance", { instance_id: id, reason: "interrupted by the user in the view" });
    });

  return (
    <RunContext value={run}>
      <header className="instance-head">
        <div className="app-head">
          {back}
          <HeadEnd host={host} mode={mode} polled={polled} />
        </div>
        <div className="instance-title">
          <h1>{record.name}</h1>
          <StateMark state={record.state} />
          {works(record.state) ? (
            <button type="button" className="button small" disabled={pending} onClick={() => void interrupt()}>
              <Icon name="stop" />
              <span>Interrupt</span>
            </button>
          ) : null}
        </div>
        <Identity record={record} />
        <Budget record={record} />
        {problem ? (
          <p className="problem" role="alert">
            {problem}
          </p>
        ) : null}
      </header>
      <div className="app-instance">
        <div className="app-talk">
          <Callouts record={record} state={record.state} onRaise={() => setLimits(true)} />
          {record.questions?.map((question) => (
            <QuestionCard key={question.question_id} question={question} named={false} />
          ))}
          <ConversationView conversation={{ rows, writing: null, loaded: true, error: null }} name={record.name} />
          {active ? <MessageBox id={id} name={record.name} state={record.state} /> : null}
        </div>
        {/* Where there is room for it, it is open. */}
        <details className="app-facts" key={mode} open={mode === "fullscreen"} onToggle={intoSight}>
          <summary>Limits, health and children</summary>
          <div className="instance-side">
            <Funds record={record} onLimits={active ? () => setLimits(true) : null} />
            <Health record={record} />
            <Family record={record} />
          </div>
        </details>
      </div>
      {limits ? <LimitsDialog record={record} onClose={() => setLimits(false)} /> : null}
    </RunContext>
  );
}

/** What it and all below it cost, and the cap of which the most is used. */
function Budget({ record }: { record: InstanceRecord }) {
  const row = useFleet().rows.get(record.instance_id);
  const cost = row?.subtree_cost ?? record.total_cost;
  const { used, what, text } = tightest({
    subtree_cost: cost,
    max_cost: record.limits.max_cost,
    tokens: row?.tokens ?? record.total_tokens_used,
    max_total_tokens: record.limits.max_total_tokens,
  });
  return (
    <p className="app-budget">
      <span>{usd(cost)} spent</span>
      <Bar used={used} label={`${Math.round(used * 100)}% of its ${what} cap`} />
      <span className="quiet">{text}</span>
    </p>
  );
}

/** In the conversation the view is not high enough to show what opens at its end. */
function intoSight({ currentTarget: { open, offsetTop } }: SyntheticEvent<HTMLDetailsElement>): void {
  if (open && document.documentElement.dataset.mode !== "fullscreen") window.scrollTo({ top: offsetTop - 8 });
}

const works = (state: InstanceState) => state === "busy" || state === "waiting" || state === "initializing";
