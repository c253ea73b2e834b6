/**
 * How values are written on the page.
 */
import type { InstanceState } from "./records.ts";

export const STATE_WORDS: Record<InstanceState, string> = {
  initializing: "Starting",
  idle: "Idle",
  busy: "Working",
  waiting: "Waiting",
  paused: "Paused",
  error: "Failed",
  terminated: "Ended",
};

/** Dollars with as many digits as the amount needs to be told from nothing. */
export function usd(amount: number): string {
  if (amount === 0) return "$0";
  if (amount < 0.0001) return "<$0.0001";
  const digits = amount < 0.01 ? 4 : amount < 1 ? 3 : 2;
  return `$${amount.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })}`;
}

export function count(value: number): string {
  return value.toLocaleString("en");
}

/** 1,234 as it is, 12.3k and 4.5M beyond. */
export function short(value: number): string {
  return value < 10_000 ? count(value) : value.toLocaleString("en", { notation: "compact", maximumFractionDigits: 1 });
}

/** "backend_developer" as "Backend developer". */
export function roleName(role: string): string {
  const text = role.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** "claude-sonnet-5-5" as "Sonnet 5.5". */
export function modelName(model: string): string {
  const [, line, version] = /^claude-([a-z]+)-(\d+(?:-\d{1,2})*)/.exec(model) ?? [];
  if (!line || !version) return model;
  return `${line.charAt(0).toUpperCase()}${line.slice(1)} ${version.replaceAll("-", ".")}`;
}

export function clock(time: string): string {
  return new Date(time).toLocaleTimeString([], {
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
  });
}

export function day(time: string): string {
  return new Date(time).toLocaleDateString([], { month: "short", day: "numeric" });
}

export function moment(time: string): string {
  const today = new Date(time).toDateString() === new Date().toDateString();
  return today ? clock(time) : `${day(time)}, ${clock(time)}`;
}

/** A duration in ms, in its two largest units. */
export function lasted(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 1) return `${Math.round(ms)} ms`;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return two(minutes, "min", Math.floor(seconds % 60), "s");
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? two(hours, "h", minutes % 60, "min") : two(Math.floor(hours / 24), "d", hours % 24, "h");
}

function two(large: number, unit: string, small: number, smaller: string): string {
  return small === 0 ? `${large} ${unit}` : `${large} ${unit} ${small} ${smaller}`;
}

export function bytes(size: number): string {
  if (size < 1024) return `${size} B`;
  const kilo = size / 1024;
  return kilo < 1024 ? `${kilo.toFixed(1)} KB` : `${(kilo / 1024).toFixed(1)} MB`;
}

/** What a waiting instance waits for, in words. */
export function waitsFor(reason: string): string {
  const known: Record<string, string> = {
    gate: "a place among the model calls",
    rate_limited: "the API's rate limit",
    budget: "money that calls under way hold",
    answer: "an answer",
    approval: "approval",
    question: "an answer",
    children: "its children",
    wait: "other instances",
    retry: "another try",
  };
  return known[reason] ?? reason.replaceAll("_", " ");
}
