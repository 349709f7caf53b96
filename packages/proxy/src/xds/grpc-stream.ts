/**
 * Bidirectional gRPC streams over a cluster of this proxy (docs: PROTOCOL-HTTP2 of gRPC): its endpoints, transport socket
 * and connections serve the control plane's streams as they serve requests.
 */

import { freeBytes } from "@meltemi/http2/free-bytes";
import type { BodySink, BodySource } from "../http/body.ts";
import { HeaderList } from "../http/header-list.ts";
import { frameGrpc, grpcHeadLength } from "../lib/grpc-frame.ts";
import type { ClusterManager, PendingRequest, UpstreamResponse } from "../upstream/types.ts";
import type { MessageStream, MessageStreamEvents } from "./xds-client.ts";

export interface GrpcTarget {
  readonly clusters: Pick<ClusterManager, "find">;
  readonly cluster: string;
  /** The cluster's name where not given. */
  readonly authority: string;
  readonly metadata: readonly (readonly [name: string, value: string])[];
  /** Resolves when the cluster can be used; clusters of the bootstrap may still resolve names or wait for secrets. */
  readonly whenUsable: () => Promise<unknown>;
}

/** Bytes of one message that are taken; more is a fault of the server. */
const longestMessage = 256 * 1024 * 1024;

/** Opens a stream. What goes wrong, also at once, is told by `onEnd`. */
export function openGrpcStream(target: GrpcTarget, method: string, events: MessageStreamEvents): MessageStream {
  const stream = new GrpcStream(target, method, events);
  void stream.begin();
  return stream;
}

class GrpcStream implements MessageStream {
  readonly #target: GrpcTarget;
  readonly #method: string;
  readonly #events: MessageStreamEvents;
  readonly #requests = new OutgoingMessages();
  #pending: PendingRequest | undefined;
  #responses: BodySource | undefined;
  #isOver = false;

  constructor(target: GrpcTarget, method: string, events: MessageStreamEvents) {
    this.#target = target;
    this.#method = method;
    this.#events = events;
  }

  async begin(): Promise<void> {
    try {
      await this.#target.whenUsable();
      const response = await this.#request();
      if (response !== undefined) this.#receive(response);
    } catch (cause: unknown) {
      this.#end(cause instanceof Error ? cause.message : String(cause));
    }
  }

  send(message: Uint8Array): void {
    if (!this.#isOver) this.#requests.push(frameGrpc(message));
  }

  get whenSent(): Promise<void> | undefined {
    return this.#requests.whenEmpty;
  }

  resume(): void {
    this.#responses?.resume();
  }

  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#requests.close();
    this.#responses?.cancel();
    this.#pending?.cancel();
  }

  async #request(): Promise<UpstreamResponse | undefined> {
    const { clusters, cluster: name, authority, metadata } = this.#target;
    const cluster = clusters.find(name);
    if (cluster === undefined) throw new Error(`there is no cluster ${name}`);
    const headers = ["content-type", "application/grpc", "te", "trailers", "user-agent", "meltemi-proxy"];
    for (const [key, value] of metadata) headers.push(key.toLowerCase(), value);
    const host = await cluster.chooseHost({});
    if (this.#isOver) return undefined;
    this.#pending = cluster.send(
      host,
      {
        method: "POST",
        scheme: "http",
        authority: authority === "" ? name : authority,
        path: this.#method,
        headers: new HeaderList(headers),
        body: this.#requests,
        upgrade: undefined,
        downstreamProtocol: "HTTP/2",
      },
      "DEFAULT",
    );
    return this.#pending.response;
  }

  #receive({ status, headers, body }: UpstreamResponse): void {
    const outcome = describeStatus(headers);
    if (status !== 200 || outcome !== undefined || body === undefined) {
      body?.cancel();
      this.#end(outcome ?? `HTTP status ${status}`);
      return;
    }
    this.#responses = body;
    const reader = new MessageReader({
      onLength: (length) => this.#events.onLength(length),
      onMessage: (message) => this.#isOver || this.#events.onMessage(message),
    });
    body.pipe({
      write: (chunk, isOwned = false) => {
        if (this.#isOver) return true;
        try {
          const goesOn = reader.read(chunk);
          // All of it was copied: 50 MB in pieces would have the collector run for it.
          if (isOwned) freeBytes(chunk);
          return goesOn;
        } catch (cause: unknown) {
          this.#end(cause instanceof Error ? cause.message : String(cause));
          return true;
        }
      },
      end: (trailers) => this.#end(describeStatus(trailers ?? new HeaderList()) ?? "the server ended the stream"),
      abort: (cause) => this.#end(cause.message),
    });
  }

  #end(reason: string): void {
    if (this.#isOver) return;
    this.close();
    this.#events.onEnd(reason);
  }
}

/** The grpc-status of headers or trailers; undefined where there is none. */
function describeStatus(headers: HeaderList): string | undefined {
  const status = headers.get("grpc-status");
  if (status === undefined) return undefined;
  const message = headers.get("grpc-message") ?? "";
  return `grpc-status ${status}${message === "" ? "" : `: ${decodeMessage(message)}`}`;
}

function decodeMessage(message: string): string {
  try {
    return decodeURIComponent(message);
  } catch {
    return message;
  }
}

/** Requests on their way to the server, until the stream is closed. */
class OutgoingMessages implements BodySource {
  #waiting: Uint8Array[] = [];
  #sink: BodySink | undefined;
  #empty: PromiseWithResolvers<void> | undefined;
  #isPaused = false;
  #isOver = false;

  /** Undefined where nothing waits. */
  get whenEmpty(): Promise<void> | undefined {
    if (this.#waiting.length === 0) return undefined;
    this.#empty ??= Promise.withResolvers<void>();
    return this.#empty.promise;
  }

  push(chunk: Uint8Array): void {
    if (this.#isOver) return;
    this.#waiting.push(chunk);
    this.#flush();
  }

  pipe(sink: BodySink): void {
    if (this.#isOver) {
      sink.end();
      return;
    }
    this.#sink = sink;
    this.#flush();
  }

  resume(): void {
    this.#isPaused = false;
    this.#flush();
  }

  cancel(): void {
    this.#isOver = true;
    this.#waiting = [];
    this.#sink = undefined;
    this.#empty?.resolve();
  }

  close(): void {
    const sink = this.#sink;
    this.cancel();
    sink?.end();
  }

  #flush(): void {
    while (!this.#isPaused && this.#sink !== undefined) {
      const chunk = this.#waiting.shift();
      if (chunk === undefined) break;
      if (!this.#sink.write(chunk)) this.#isPaused = true;
    }
    if (this.#waiting.length > 0) return;
    this.#empty?.resolve();
    this.#empty = undefined;
  }
}

/**
 * Bytes of a message in one piece of memory. A long one is given back piece by piece while it is read, because V8 goes through
 * its whole heap for 64 MB more of such memory.
 */
const pieceBytes = 256 * 1024;

/** Messages from the bytes of a stream: each is copied as it comes, so that its end costs no more than its beginning. */
class MessageReader {
  readonly #events: Pick<MessageStreamEvents, "onLength" | "onMessage">;
  readonly #head = Buffer.alloc(grpcHeadLength);
  #headLength = 0;
  /** Of the message that has begun to come. */
  #pieces: Uint8Array[] | undefined;
  /** The last of the pieces, and how much of it is used. */
  #piece = Buffer.alloc(0);
  #used = 0;
  /** What has not come yet. */
  #missing = 0;

  constructor(events: Pick<MessageStreamEvents, "onLength" | "onMessage">) {
    this.#events = events;
  }

  /** False where a pause is asked for. Throws for a message that is compressed or too long. */
  read(chunk: Uint8Array): boolean {
    let goesOn = true;
    let from = 0;
    while (from < chunk.length) {
      from += this.#pieces === undefined ? this.#takeHead(chunk.subarray(from)) : this.#take(chunk.subarray(from));
      const pieces = this.#pieces;
      if (pieces === undefined || this.#missing > 0) continue;
      this.#pieces = undefined;
      this.#piece = Buffer.alloc(0);
      this.#used = 0;
      this.#headLength = 0;
      if (!this.#events.onMessage(pieces)) goesOn = false;
    }
    return goesOn;
  }

  #takeHead(bytes: Uint8Array): number {
    const taken = bytes.subarray(0, grpcHeadLength - this.#headLength);
    this.#head.set(taken, this.#headLength);
    this.#headLength += taken.length;
    if (this.#headLength < grpcHeadLength) return taken.length;
    if (this.#head.readUInt8(0) !== 0) throw new Error("the server sent a compressed message that was not asked for");
    const length = this.#head.readUInt32BE(1);
    if (length > longestMessage) throw new Error(`the server sent a message of ${length} bytes`);
    this.#pieces = [];
    this.#missing = length;
    this.#events.onLength(length);
    return taken.length;
  }

  #take(bytes: Uint8Array): number {
    if (this.#used === this.#piece.length) {
      // One at a time: what is only announced costs nothing.
      this.#piece = Buffer.allocUnsafeSlow(Math.min(this.#missing, pieceBytes));
      this.#used = 0;
      this.#pieces?.push(this.#piece);
    }
    const taken = bytes.subarray(0, this.#piece.length - this.#used);
    this.#piece.set(taken, this.#used);
    this.#used += taken.length;
    this.#missing -= taken.length;
    return taken.length;
  }
}
