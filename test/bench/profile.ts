/**
 * Where a Worker's CPU time goes: V8's sampling profiler, over the runtime's inspector.
 */
import { writeFileSync } from "node:fs";

interface Frame {
  id: number;
  callFrame: { functionName: string; lineNumber: number; url: string };
}

interface Profile {
  nodes: Frame[];
  samples: number[];
  timeDeltas: number[];
}

/** Profiles the Worker `service` of the runtime whose inspector listens at `inspector` while `work` runs. */
export async function profile(inspector: string, service: string, work: () => Promise<unknown>): Promise<Profile> {
  const session = await connect(inspector, service);
  await session("Profiler.enable");
  await session("Profiler.setSamplingInterval", { interval: 500 });
  await session("Profiler.start");
  await work();
  const { profile: taken } = (await session("Profiler.stop")) as { profile: Profile };
  return taken;
}

type Session = (method: string, params?: object) => Promise<unknown>;

async function connect(inspector: string, service: string): Promise<Session> {
  const targets = (await (await fetch(`http://${inspector}/json`)).json()) as {
    id: string;
    webSocketDebuggerUrl: string;
  }[];
  const target = targets.find(({ id }) => id.includes(service));
  if (!target) throw new Error(`The inspector knows no ${service}, but ${targets.map(({ id }) => id).join(", ")}.`);
  const socket = new WebSocket(target.webSocketDebuggerUrl);
  await new Promise((opened, failed) => {
    socket.addEventListener("open", opened, { once: true });
    socket.addEventListener("error", failed, { once: true });
  });
  const answers = new Map<number, (result: unknown) => void>();
  socket.addEventListener("message", ({ data }) => {
    const { id, result } = JSON.parse(String(data)) as { id?: number; result?: unknown };
    if (id !== undefined) answers.get(id)?.(result);
  });
  let last = 0;
  return (method, params = {}) =>
    new Promise((answered) => {
      last += 1;
      answers.set(last, answered);
      socket.send(JSON.stringify({ id: last, method, params }));
    });
}

/** The functions that took the most time themselves, in ms. */
export function hottest({ nodes, samples, timeDeltas }: Profile, count: number): { name: string; ms: number }[] {
  const names = new Map(
    nodes.map(({ id, callFrame }) => [id, `${callFrame.functionName || "(anonymous)"}:${callFrame.lineNumber + 1}`]),
  );
  const spent = new Map<string, number>();
  samples.forEach((id, i) => {
    const name = names.get(id) ?? "(unknown)";
    spent.set(name, (spent.get(name) ?? 0) + (timeDeltas[i] ?? 0) / 1000);
  });
  return [...spent]
    .map(([name, ms]) => ({ name, ms: Math.round(ms) }))
    .toSorted((a, b) => b.ms - a.ms)
    .slice(0, count);
}

/** Saves it for the Performance panel of a browser's tools, and prints where the time went. */
export function show(taken: Profile, path: string): void {
  writeFileSync(path, JSON.stringify(taken));
  console.log(`\nCPU, by function (all of it: ${path})`);
  for (const { name, ms } of hottest(taken, 25)) console.log(`${String(ms).padStart(7)} ms  ${name}`);
}
