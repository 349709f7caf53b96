/** Looks into a Node process through its inspector (--inspect): what it holds after its garbage was collected. */
import type { Memory } from "./proxy-process.ts";

export interface Inspector {
  memory(): Promise<Memory>;
  close(): void;
}

const expression = `JSON.stringify({
  usage: process.memoryUsage(),
  resources: process.getActiveResourcesInfo(),
})`;

interface Reply {
  readonly id?: number;
  readonly error?: { readonly message: string };
  readonly result?: { readonly result?: { readonly value?: string } };
}

/** `log` is what the process has said: its inspector's address is in it. Rejects where there is none. */
export async function openInspector(log: string): Promise<Inspector> {
  const [, address] = /Debugger listening on (ws:\S+)/.exec(log) ?? [];
  if (address === undefined) throw new Error("the process has no inspector");
  const socket = new WebSocket(address);
  const waiting = new Map<number, (reply: Reply) => void>();
  let last = 0;
  socket.addEventListener("message", ({ data }) => {
    const reply = JSON.parse(String(data)) as Reply;
    waiting.get(reply.id ?? -1)?.(reply);
    waiting.delete(reply.id ?? -1);
  });
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener("open", () => resolve());
    socket.addEventListener("error", () => reject(new Error("the inspector does not answer")));
  });
  const call = (method: string, params: object = {}): Promise<Reply> => {
    last += 1;
    const id = last;
    return new Promise((resolve, reject) => {
      waiting.set(id, (reply) => (reply.error === undefined ? resolve(reply) : reject(new Error(reply.error.message))));
      socket.send(JSON.stringify({ id, method, params }));
    });
  };
  return {
    async memory() {
      // What finalizers let go of is collected the second time.
      for (let round = 0; round < 3; round++) await call("HeapProfiler.collectGarbage");
      const { result } = await call("Runtime.evaluate", { expression });
      const { usage, resources } = JSON.parse(result?.result?.value ?? "") as {
        readonly usage: NodeJS.MemoryUsage;
        readonly resources: readonly string[];
      };
      const counts: Record<string, number> = {};
      for (const kind of resources) counts[kind] = (counts[kind] ?? 0) + 1;
      return { heap: usage.heapUsed + usage.external, resident: usage.rss, resources: counts };
    },
    close: () => socket.close(),
  };
}
