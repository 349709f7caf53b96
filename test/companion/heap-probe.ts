/** What a process of Node keeps in memory once its garbage is collected, asked through its inspector (`--inspect`). */
import { once } from "node:events";
import WebSocket from "ws";
import { eventually } from "../envoy/envoy-process.ts";

interface HeapProbe {
  /** Bytes of objects and of buffers that are in use. */
  measure(): Promise<number>;
  close(): void;
}

const rounds = 2;

/**
 * Bytes that stay for good with each input when `askAll` asks all `count` of them again and again. A first round is not
 * counted: it fills what is filled once. `readLog`: where Node has said on which port its inspector listens.
 */
export async function measureGrowth(
  readLog: () => string,
  { count, askAll }: { readonly count: number; readonly askAll: () => Promise<unknown> },
): Promise<number> {
  const probe = await openHeapProbe(readLog);
  try {
    await askAll();
    const before = await probe.measure();
    for (let round = 0; round < rounds; round++) await askAll();
    return ((await probe.measure()) - before) / (count * rounds);
  } finally {
    probe.close();
  }
}

/** The flag that opens the inspector, on any free port. */
export const inspectFlag = "--inspect=127.0.0.1:0";

async function openHeapProbe(readLog: () => string): Promise<HeapProbe> {
  const address = (): string => /ws:\/\/\S+/.exec(readLog())?.[0] ?? "";
  await eventually("the inspector listens", async () => address() !== "");
  const socket = new WebSocket(address());
  await once(socket, "open");
  let calls = 0;
  const call = async (method: string, params: object = {}): Promise<unknown> => {
    const id = ++calls;
    const answered = new Promise<unknown>((resolve) => {
      const take = (data: WebSocket.RawData): void => {
        const message = JSON.parse(String(data)) as { readonly id?: number; readonly result?: unknown };
        if (message.id !== id) return;
        socket.off("message", take);
        resolve(message.result);
      };
      socket.on("message", take);
    });
    socket.send(JSON.stringify({ id, method, params }));
    return answered;
  };
  return {
    async measure() {
      // Twice: what the first collection finalizes is free after the second.
      for (let round = 0; round < 2; round++) await call("HeapProfiler.collectGarbage");
      const expression = "(({ heapUsed, external }) => heapUsed + external)(process.memoryUsage())";
      const answer = (await call("Runtime.evaluate", { expression })) as {
        readonly result: { readonly value: number };
      };
      return answer.result.value;
    },
    close: () => socket.terminate(),
  };
}
