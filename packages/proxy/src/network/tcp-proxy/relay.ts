import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { whenWritten } from "@meltemi/http2/free-bytes";
import { ReadTurns } from "../../lib/read-turns.ts";

export interface RelayHooks {
  readonly onClientBytes: (length: number) => void;
  readonly onServerBytes: (length: number) => void;
  readonly onClientPaused: () => void;
  readonly onClientResumed: () => void;
}

/**
 * Carries bytes both ways between two streams, at the pace of the slower one, and the end of each direction by itself: a
 * client that has said all may still be answered.
 */
export function relay(client: Duplex, server: Duplex, hooks: RelayHooks): void {
  carry(client, server, hooks.onClientBytes, hooks);
  carry(server, client, hooks.onServerBytes, undefined);
}

function carry(
  from: Duplex,
  to: Duplex,
  onBytes: (length: number) => void,
  pauses: Pick<RelayHooks, "onClientPaused" | "onClientResumed"> | undefined,
): void {
  let isBlocked = false;
  const turns = new ReadTurns(from, { hasReader: false, mayGoOn: () => !isBlocked });
  const onDrain = (): void => {
    isBlocked = false;
    pauses?.onClientResumed();
    from.resume();
  };
  // What a socket gives is nobody else's.
  const isOwned = from instanceof Socket;
  from.on("data", (chunk: Buffer) => {
    const { length } = chunk;
    onBytes(length);
    if (to.destroyed || to.write(chunk, isOwned ? whenWritten(chunk) : undefined)) {
      turns.count(length);
      return;
    }
    isBlocked = true;
    from.pause();
    pauses?.onClientPaused();
    to.once("drain", onDrain);
  });
  from.on("end", () => {
    if (!to.destroyed) to.end();
  });
}
