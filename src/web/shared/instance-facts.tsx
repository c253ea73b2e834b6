/**
 * What is known of an instance beside its conversation: money, limits, health, family.
 */
import { Bar } from "./budget-bar.tsx";
import { useFleet } from "./fleet-context.ts";
import type { InstanceRecord } from "./records.ts";
import { Link } from "./route.tsx";
import { StateMark } from "./state-mark.tsx";
import { count, lasted, modelName, moment, roleName, short, usd } from "./wording.ts";

export function Funds({ record, onLimits }: { record: InstanceRecord; onLimits: (() => void) | null }) {
  const { rows } = useFleet();
  const row = rows.get(record.instance_id);
  const { limits, remaining } = record;
  const spent = row?.subtree_cost ?? record.total_cost;
  const tokens = row?.tokens ?? record.total_tokens_used;
  const binding = (scope: string) => {
    if (scope === "tenant") return "by the cap of all instances";
    return scope === record.instance_id ? "by its own cap" : `by the cap of ${rows.get(scope)?.name ?? "one above it"}`;
  };
  return (
    <section className="fact-group" aria-label="Spending and limits">
      <h2>
        Spending
        {onLimits ? (
          <button type="button" className="button small" onClick={onLimits}>
            Set limits
          </button>
        ) : null}
      </h2>
      <div className="fund">
        <p>
          <strong>{usd(spent)}</strong>
          <span className="quiet">{limits.max_cost === null ? "no cap of its own" : `of ${usd(limits.max_cost)}`}</span>
        </p>
        {limits.max_cost === null ? null : (
          <Bar
            used={spent / Math.max(limits.max_cost, 1e-9)}
            label={`${usd(spent)} of ${usd(limits.max_cost)} spent`}
          />
        )}
      </div>
      {limits.max_total_tokens === null ? null : (
        <div className="fund">
          <p>
            <strong>{short(tokens)}</strong>
            <span className="quiet">of {short(limits.max_total_tokens)} tokens</span>
          </p>
          <Bar
            used={tokens / limits.max_total_tokens}
            label={`${count(tokens)} of ${count(limits.max_total_tokens)} tokens used`}
          />
        </div>
      )}
      <dl className="facts">
        <dt>Left to spend</dt>
        <dd>
          {usd(remaining.cost)} <span className="quiet">{binding(remaining.cost_scope)}</span>
        </dd>
        {record.unsettled_cost > 0 ? (
          <>
            <dt>Perhaps billed</dt>
            <dd>
              {usd(record.unsettled_cost)} <span className="quiet">for calls that broke off</span>
            </dd>
          </>
        ) : null}
        <dt>Idle time</dt>
        <dd>{limits.timeout_minutes === null ? "no limit" : lasted(limits.timeout_minutes * 60_000)}</dd>
        <dt>One turn</dt>
        <dd>{limits.max_turn_minutes === null ? "no limit" : lasted(limits.max_turn_minutes * 60_000)}</dd>
      </dl>
    </section>
  );
}

export function Health({ record }: { record: InstanceRecord }) {
  const errors = Object.entries(record.errors);
  return (
    <section className="fact-group" aria-label="Health">
      <h2>Health</h2>
      <div className="fund">
        <p>
          <strong>{Math.round(record.health_score * 100)}%</strong>
          <span className="quiet">{Math.round(record.success_rate * 100)}% of its messages succeeded</span>
        </p>
      </div>
      <dl className="facts">
        <dt>Model calls</dt>
        <dd>{count(record.request_count)}</dd>
        <dt>Answers in</dt>
        <dd>
          {lasted(record.response_time_ms.mean)}{" "}
          <span className="quiet">95% within {lasted(record.response_time_ms.p95)}</span>
        </dd>
        <dt>Tokens</dt>
        <dd>
          {short(record.tokens.input)} in, {short(record.tokens.output)} out
          <span className="quiet">
            {" "}
            {short(record.tokens.cache_read)} from cache, {short(record.tokens.cache_write)} to it
          </span>
        </dd>
        {errors.length > 0 ? (
          <>
            <dt>Failures</dt>
            <dd>{errors.map(([code, times]) => `${code} ${times}`).join(", ")}</dd>
          </>
        ) : null}
        <dt>Alive for</dt>
        <dd>{lasted(record.uptime_seconds * 1000)}</dd>
        <dt>Last active</dt>
        <dd>{moment(record.last_activity)}</dd>
      </dl>
    </section>
  );
}

export function Family({ record }: { record: InstanceRecord }) {
  const { rows } = useFleet();
  const parent = record.parent_instance_id === null ? undefined : rows.get(record.parent_instance_id);
  const children = [...rows.values()].filter((row) => row.parent_instance_id === record.instance_id);
  return (
    <section className="fact-group" aria-label="Family">
      <h2>Children {children.length > 0 ? <span className="quiet">{children.length}</span> : null}</h2>
      {parent ? (
        <p className="quiet">
          Belongs to <Link to={`/instances/${parent.instance_id}`}>{parent.name}</Link>
        </p>
      ) : null}
      {children.length === 0 ? <p className="quiet">It has none.</p> : null}
      <ul className="children">
        {children.map((child) => (
          <li key={child.instance_id}>
            <Link to={`/instances/${child.instance_id}`}>{child.name}</Link>
            <span className="quiet">{roleName(child.role)}</span>
            <StateMark state={child.state} />
          </li>
        ))}
      </ul>
    </section>
  );
}

export function Identity({ record }: { record: InstanceRecord }) {
  return (
    <p className="identity">
      <span>{roleName(record.role)}</span>
      <span>{modelName(record.model)}</span>
      <code>{record.instance_id}</code>
      {record.simulated ? <span className="tag">simulated</span> : null}
    </p>
  );
}
