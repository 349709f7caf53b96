/** Requests that the proxy makes itself (filters, tracers, logs), to a cluster by its name. */
import { BodyTooLargeError, bodyOf, collect } from "../http/body.ts";
import type { HeaderList } from "../http/header-list.ts";
import type { Clock } from "../lib/clock.ts";
import type { ClusterManager, PendingRequest, UpstreamResponse } from "../upstream/types.ts";

export interface ClusterCall {
  readonly cluster: string;
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  readonly headers: HeaderList;
  readonly body?: Uint8Array | undefined;
  /** Milliseconds until the whole answer must be there; 0 for no end. */
  readonly timeoutMs: number;
  /** Ends the call when the exchange is over: the result of Exchange.onAbort. */
  readonly onAbort?: ((run: (cause: Error) => void) => () => void) | undefined;
}

export interface CallAnswer {
  readonly status: number;
  readonly headers: HeaderList;
  readonly body: Uint8Array;
  readonly trailers: HeaderList | undefined;
}

/** A call of the proxy's own had no answer. */
export class ClusterCallError extends Error {
  constructor(message: string, { cause }: { readonly cause?: unknown } = {}) {
    super(message, { cause });
    this.name = "ClusterCallError";
  }
}

export interface CallEnv {
  readonly clusters: ClusterManager;
  readonly clock: Clock;
}

/** Answers of services are small: more is taken for a failure. */
const answerLimit = 4 * 1024 * 1024;

/** Sends a request and reads all of its answer. Rejects with ClusterCallError. */
export function callCluster({ clusters, clock }: CallEnv, call: ClusterCall): Promise<CallAnswer> {
  return new Promise((resolve, reject) => {
    let pending: PendingRequest | undefined;
    let isOver = false;
    let forget: (() => void) | undefined;
    const finish = (settle: () => void): void => {
      if (isOver) return;
      isOver = true;
      timer?.close();
      forget?.();
      settle();
    };
    const fail = (error: ClusterCallError): void =>
      finish(() => {
        pending?.cancel();
        reject(error);
      });
    const timer =
      call.timeoutMs > 0 ? clock.after(call.timeoutMs, () => fail(new ClusterCallError("timed out"))) : undefined;
    const run = async (): Promise<void> => {
      const cluster = clusters.find(call.cluster);
      if (!cluster) throw new ClusterCallError(`there is no cluster ${call.cluster}`);
      const host = await cluster.chooseHost({ headers: call.headers, authority: call.authority });
      if (isOver) return;
      pending = cluster.send(host, requestOf(call), "DEFAULT");
      const answer = await readAnswer(await pending.response);
      finish(() => resolve(answer));
    };
    run().catch((cause: unknown) => fail(toCallError(cause)));
    forget = call.onAbort?.((cause) => fail(new ClusterCallError("the exchange is over", { cause })));
    if (isOver) forget?.();
  });
}

function requestOf({ method, authority, path, headers, body }: ClusterCall): Parameters<SendRequest>[1] {
  return {
    method,
    scheme: "http",
    authority,
    path,
    headers,
    body: body === undefined ? undefined : bodyOf(body),
    upgrade: undefined,
    downstreamProtocol: "HTTP/1.1",
  };
}

type SendRequest = NonNullable<ReturnType<ClusterManager["find"]>>["send"];

async function readAnswer({ status, headers, body }: UpstreamResponse): Promise<CallAnswer> {
  if (!body) return { status, headers, body: new Uint8Array(), trailers: undefined };
  const { bytes, trailers } = await collect(body, answerLimit);
  return { status, headers, body: bytes, trailers };
}

function toCallError(cause: unknown): ClusterCallError {
  if (cause instanceof ClusterCallError) return cause;
  const text = cause instanceof BodyTooLargeError ? cause.message : "the request failed";
  return new ClusterCallError(text, { cause });
}
