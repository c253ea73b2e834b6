import { short, usd } from "./wording.ts";

export interface Budget {
  subtree_cost: number;
  max_cost: number | null;
  tokens: number;
  max_total_tokens: number | null;
}

/** The cap of which the most is used, and how much of it. */
export function tightest(budget: Budget): { used: number; what: "cost" | "tokens"; text: string } {
  const cost = budget.max_cost === null ? -1 : budget.max_cost === 0 ? 1 : budget.subtree_cost / budget.max_cost;
  const tokens = budget.max_total_tokens ? budget.tokens / budget.max_total_tokens : -1;
  return cost >= tokens && budget.max_cost !== null
    ? { used: cost, what: "cost", text: `${usd(budget.subtree_cost)} of ${usd(budget.max_cost)}` }
    : {
        used: Math.max(0, tokens),
        what: "tokens",
        text: `${short(budget.tokens)} of ${short(budget.max_total_tokens ?? 0)} tokens`,
      };
}

/** A part of a whole, where there is nothing to warn of. */
export function Share({ of, label }: { of: number; label: string }) {
  return (
    <svg className="bar" viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label={label}>
      <rect className="track" width="100" height="6" />
      <rect className="fill" width={Math.max(of > 0 ? 0.8 : 0, of * 100)} height="6" />
    </svg>
  );
}

/** How much of a cap is used. Above four fifths it warns, in its shape as well as in its colour. */
export function Bar({ used, label }: { used: number; label: string }) {
  const share = Math.min(1, Math.max(0, used));
  const level = share >= 0.98 ? "full" : share >= 0.8 ? "high" : "fine";
  return (
    <svg
      className="bar"
      data-level={level}
      viewBox="0 0 100 6"
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      <rect className="track" width="100" height="6" />
      <rect className="fill" width={share === 0 ? 0 : Math.max(1.5, share * 100)} height="6" />
    </svg>
  );
}
