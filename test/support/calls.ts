/**
 * How many calls the objects and whoever asks them make to each other: exact, and the same on every machine, where a time is not.
 */
import { env } from "cloudflare:workers";

/** How often each method was called. */
export type Calls = Record<string, number>;

let calls: Calls = {};

/** Begins to count every call to every object in this isolate. Once a test file, before the first stub is made. */
export function watchCalls(): void {
  const prototype = Object.getPrototypeOf(env.ORCHESTRATOR) as DurableObjectNamespace;
  const { getByName } = prototype;
  prototype.getByName = function (this: DurableObjectNamespace, ...name: Parameters<typeof getByName>) {
    return counted(getByName.apply(this, name));
  } as typeof getByName;
}

function counted<Stub extends object>(stub: Stub): Stub {
  return new Proxy(stub, {
    get(target, name) {
      const member = Reflect.get(target, name) as unknown;
      if (typeof member !== "function" || typeof name === "symbol") return member;
      return (...input: unknown[]) => {
        calls[name] = (calls[name] ?? 0) + 1;
        // A remote method has no methods of its own: `call` and `apply` would be called over there.
        return Reflect.apply(member, target, input);
      };
    },
  });
}

/** A stub whose calls are not counted, as `runInDurableObject` wants it. */
export function uncounted<Object extends Rpc.DurableObjectBranded | undefined>(
  namespace: DurableObjectNamespace<Object>,
  name: string,
): DurableObjectStub<Object> {
  return namespace.get(namespace.idFromName(name));
}

/** The calls that are made while `work` runs. Nothing else may run meanwhile. */
export async function callsOf(work: () => Promise<unknown>): Promise<Calls> {
  calls = {};
  await work();
  return { ...calls };
}
