import type { Log } from "../lib/log.ts";
import type { Connection } from "../listeners/downstream-connection.ts";
import { ObservedStream } from "./observed-stream.ts";
import type { NetworkFilter, NetworkObserver } from "./types.ts";

/**
 * Takes a connection through its filters: each is asked in order, and the last one gets it when all have said yes. Does
 * it at once where no filter has to wait.
 */
export function serveConnection(filters: readonly NetworkFilter[], connection: Connection, log: Log): void {
  const next = (index: number): void => {
    if (connection.isClosed) return;
    const filter = filters[index];
    // A chain without filters has nobody to serve: Envoy closes such connections.
    if (filter === undefined) {
      connection.close("reset");
      return;
    }
    const isAdmitted = filter.admit === undefined || filter.admit(connection);
    if (isAdmitted === true) advance(index, filter);
    else if (isAdmitted !== false) isAdmitted.then((isYes) => isYes && advance(index, filter)).catch(fail);
  };
  const advance = (index: number, filter: NetworkFilter): void => {
    if (filter.serve === undefined) next(index + 1);
    else if (!connection.isClosed) {
      observe(filters, connection);
      filter.serve(connection);
    }
  };
  const fail = (cause: unknown): void => {
    log.error("A network filter failed", { cause });
    connection.close("reset", "filter_failed");
  };
  try {
    for (const filter of filters) filter.open?.(connection);
    next(0);
  } catch (cause: unknown) {
    fail(cause);
  }
}

/** Puts those filters that watch bytes between the connection and who serves it. */
function observe(filters: readonly NetworkFilter[], connection: Connection): void {
  const observers: NetworkObserver[] = [];
  for (const filter of filters) {
    const observer = filter.observe?.(connection);
    if (observer !== undefined) observers.push(observer);
  }
  if (observers.length === 0) return;
  connection.replaceStream(new ObservedStream(connection.stream, observers));
  connection.onClose(() => {
    for (const observer of observers) observer.close?.();
  });
}
