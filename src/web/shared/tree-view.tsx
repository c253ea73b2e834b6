/**
 * The tree of instances. Only the lines in sight are drawn, so a thousand scroll like ten. Keys as in every tree: up and down,
 * left and right to fold, Home, End, Enter to open.
 */
import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, useCallback, useLayoutEffect, useRef, useState } from "react";
import { Bar, tightest } from "./budget-bar.tsx";
import type { TreeLine } from "./fleet-tree.ts";
import { Icon } from "./icon.tsx";
import { useNavigation } from "./route.tsx";
import { StateMark } from "./state-mark.tsx";
import { count, modelName, roleName, usd, waitsFor } from "./wording.ts";

const LINE_PX = 60;

interface TreeViewProps {
  lines: readonly TreeLine[];
  onFold: (instanceId: string, folded: boolean) => void;
}

export function TreeView({ lines, onFold }: TreeViewProps) {
  const { go } = useNavigation();
  const list = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [chosen, setChosen] = useState<string | null>(null);
  useLayoutEffect(() => {
    const measure = () => setTop((list.current?.getBoundingClientRect().top ?? 0) + window.scrollY);
    measure();
    window.addEventListener("resize", measure);
    return () => window.removeEventListener("resize", measure);
  }, []);
  const virtual = useWindowVirtualizer({
    count: lines.length,
    estimateSize: () => LINE_PX,
    overscan: 12,
    scrollMargin: top,
    getItemKey: useCallback((index: number) => lines[index]?.row.instance_id ?? index, [lines]),
  });

  const at = Math.max(
    0,
    lines.findIndex((line) => line.row.instance_id === chosen),
  );
  const choose = (index: number) => {
    const line = lines[Math.min(lines.length - 1, Math.max(0, index))];
    if (!line) return;
    setChosen(line.row.instance_id);
    virtual.scrollToIndex(lines.indexOf(line), { align: "auto" });
  };
  const onKey = (event: KeyboardEvent) => {
    const line = lines[at];
    if (!line) return;
    const moves: Record<string, () => void> = {
      ArrowDown: () => choose(chosen === null ? 0 : at + 1),
      ArrowUp: () => choose(at - 1),
      Home: () => choose(0),
      End: () => choose(lines.length - 1),
      PageDown: () => choose(at + 10),
      PageUp: () => choose(at - 10),
      ArrowRight: () => (line.open === false ? onFold(line.row.instance_id, false) : line.open && choose(at + 1)),
      ArrowLeft: () => {
        if (line.open) return onFold(line.row.instance_id, true);
        const above = lines.findIndex((one) => one.row.instance_id === line.row.parent_instance_id);
        if (above >= 0) choose(above);
      },
      Enter: () => go(`/instances/${line.row.instance_id}`),
    };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    move();
  };

  return (
    <div
      ref={list}
      className="tree"
      role="tree"
      aria-label="Instances"
      tabIndex={0}
      aria-activedescendant={chosen !== null && lines[at]?.row.instance_id === chosen ? `line-${chosen}` : undefined}
      onKeyDown={onKey}
      onFocus={() => chosen === null && setChosen(lines[0]?.row.instance_id ?? null)}
      style={{ height: virtual.getTotalSize() }}
    >
      {virtual.getVirtualItems().map((item) => {
        const line = lines[item.index];
        return line ? (
          <Line
            key={item.key}
            line={line}
            chosen={line.row.instance_id === chosen}
            offset={item.start - top}
            onFold={onFold}
          />
        ) : null;
      })}
    </div>
  );
}

interface LineProps {
  line: TreeLine;
  chosen: boolean;
  offset: number;
  onFold: TreeViewProps["onFold"];
}

function Line({ line, chosen, offset, onFold }: LineProps) {
  const { go } = useNavigation();
  const { row, level, open } = line;
  const budget = tightest(row);
  const doing = row.waiting_for
    ? `for ${waitsFor(row.waiting_for)}`
    : row.queue_depth > 0
      ? `${count(row.queue_depth)} queued`
      : "";
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the keys are the tree's.
    // biome-ignore lint/a11y/useFocusableInteractive: the tree has the focus, and names its active line.
    <div
      id={`line-${row.instance_id}`}
      className="line"
      role="treeitem"
      aria-level={level}
      aria-posinset={line.place}
      aria-setsize={line.siblings}
      aria-selected={chosen}
      aria-expanded={open ?? undefined}
      data-state={row.state}
      style={{ transform: `translateY(${offset}px)`, height: LINE_PX, paddingInlineStart: 12 + (level - 1) * 22 }}
      onClick={() => go(`/instances/${row.instance_id}`)}
    >
      {/* biome-ignore lint/a11y/noStaticElementInteractions: for the mouse; the tree's keys do the same. */}
      {/* biome-ignore lint/a11y/useKeyWithClickEvents: for the mouse; the tree's keys do the same. */}
      <span
        className="fold"
        data-open={open}
        onClick={(event) => {
          if (open === null) return;
          event.stopPropagation();
          onFold(row.instance_id, open);
        }}
      >
        {open === null ? null : <Icon name="chevron" />}
      </span>
      <span className="line-who">
        <span className="line-name">{row.name}</span>
        <span className="line-role">{roleName(row.role)}</span>
      </span>
      <span className="line-state">
        <StateMark state={row.state} />
        {row.open_questions ? (
          <span className="asks">{row.open_questions === 1 ? "asks you" : `${row.open_questions} questions`}</span>
        ) : (
          <span className="line-doing">{doing}</span>
        )}
      </span>
      <span className="line-model">{modelName(row.model)}</span>
      <span className="line-budget">
        <Bar used={budget.used} label={`${Math.round(budget.used * 100)}% of its ${budget.what} cap`} />
        <span className="line-budget-text">{budget.text}</span>
      </span>
      <span className="line-cost">
        <span>{usd(row.subtree_cost)}</span>
        {open !== null && row.subtree_cost > row.cost ? <span className="line-own">{usd(row.cost)} own</span> : null}
      </span>
    </div>
  );
}
