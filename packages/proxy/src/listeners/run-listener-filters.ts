import type { Socket } from "node:net";
import type { Clock } from "../lib/clock.ts";
import type { AcceptedSocket } from "./accepted-socket.ts";
import type { ListenerFilter, Verdict } from "./inspectors/listener-filter.ts";

/** How looking at a connection ended: "gone" where the client left in the middle of it. */
export type FilterOutcome =
  | { readonly kind: "admitted" }
  | { readonly kind: "closed"; readonly reason: string }
  | { readonly kind: "gone" }
  | { readonly kind: "timeout" };

export interface FilterRun {
  readonly clock: Clock;
  readonly filters: readonly ListenerFilter[];
  /** 0 for none. */
  readonly timeoutMs: number;
}

const admitted: FilterOutcome = { kind: "admitted" };

/**
 * Runs the filters in order over the first bytes of a connection, and calls `finish` once: at once where no filter needs
 * bytes. What no filter consumed has been put back into the socket by then.
 */
export function runListenerFilters(
  accepted: AcceptedSocket,
  run: FilterRun,
  finish: (outcome: FilterOutcome) => void,
): void {
  const state: RunState = { index: 0, bytes: Buffer.alloc(0) };
  const early = advance(accepted, run.filters, state);
  if (early !== undefined) finish(early);
  else waitForBytes({ accepted, run, state, finish });
}

interface RunState {
  index: number;
  /** What came and was not consumed. */
  bytes: Buffer;
}

/** Goes through the filters as far as the bytes allow; undefined where more are needed. */
function advance(
  accepted: AcceptedSocket,
  filters: readonly ListenerFilter[],
  state: RunState,
): FilterOutcome | undefined {
  for (; state.index < filters.length; state.index += 1) {
    const filter = filters[state.index];
    if (filter === undefined) break;
    const verdict = ask(filter, accepted, state.bytes);
    if (verdict === undefined || verdict.kind === "more") return undefined;
    if (verdict.kind === "close") return { kind: "closed", reason: verdict.reason };
    state.bytes = state.bytes.subarray(verdict.consumed);
  }
  return admitted;
}

function ask(filter: ListenerFilter, accepted: AcceptedSocket, bytes: Buffer): Verdict | undefined {
  const verdict = filter.accept(accepted);
  if (verdict !== undefined) return verdict;
  return bytes.length === 0 ? undefined : filter.inspect(bytes, accepted);
}

interface Waiting {
  readonly accepted: AcceptedSocket;
  readonly run: FilterRun;
  readonly state: RunState;
  readonly finish: (outcome: FilterOutcome) => void;
}

function waitForBytes({ accepted, run, state, finish }: Waiting): void {
  const { socket } = accepted;
  const timer = run.timeoutMs > 0 ? run.clock.after(run.timeoutMs, () => settle({ kind: "timeout" })) : undefined;
  const onReadable = (): void => {
    let chunk: Buffer | null = readChunk(socket);
    while (chunk !== null) {
      state.bytes = state.bytes.length === 0 ? chunk : Buffer.concat([state.bytes, chunk]);
      const outcome = advance(accepted, run.filters, state);
      if (outcome !== undefined) {
        settle(outcome);
        return;
      }
      chunk = readChunk(socket);
    }
  };
  const onGone = (): void => settle({ kind: "gone" });
  const settle = (outcome: FilterOutcome): void => {
    timer?.close();
    socket.off("readable", onReadable).off("end", onGone).off("close", onGone);
    // At once: where the client has ended its part already, the next tick says so unless there are bytes left to read.
    if (state.bytes.length > 0 && !socket.destroyed && !socket.readableEnded) socket.unshift(state.bytes);
    // Leaving "readable" takes effect on the next tick: only then can the socket be handed on as if nobody had looked.
    process.nextTick(() => finish(outcome));
  };
  socket.on("readable", onReadable).on("end", onGone).on("close", onGone);
}

function readChunk(socket: Socket): Buffer | null {
  return socket.read() as Buffer | null;
}
