/**
 * A simulated sidecar for load: one HTTP/2 connection, one ADS stream, the subscriptions of a real proxy. It reads of a
 * response what it must and shares that with all others, so that the load generator stays cheaper than the server.
 */
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import type { DigestCache } from "./digest-cache.ts";
import { MessageReader } from "./message-reader.ts";
import { encodeNode } from "./requests.ts";
import type { ResponseDigest } from "./response-digest.ts";
import { Subscriptions } from "./subscriptions.ts";
import type { Variant } from "./types.ts";

export interface ProxyNode {
  readonly id: string;
  readonly metadata: object;
}

export interface ReceivedResponse {
  readonly digest: ResponseDigest;
  readonly bytes: number;
  /** Milliseconds of process.hrtime, comparable between processes of one machine. */
  readonly atMs: number;
}

export interface SimulatedProxyOptions {
  /** Such as "127.0.0.1:15010". */
  readonly address: string;
  readonly variant: Variant;
  readonly node: ProxyNode;
  /** Shared with proxies of the same variant. */
  readonly cache: DigestCache;
  /** Proxies of one scope get the same under one version. */
  readonly scope: string;
  /** Bytes that the server may send ahead of what is read; 1 MiB where not given. */
  readonly windowBytes?: number;
  readonly onReceived?: (received: ReceivedResponse) => void;
  /** Everything that the proxy needs has come on this stream. */
  readonly onConfigured?: (atMs: number) => void;
  /** The stream ended, and not by close(). */
  readonly onEnded?: () => void;
}

const methods: Readonly<Record<Variant, string>> = {
  sotw: "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
  delta: "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
};

export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export class SimulatedProxy {
  readonly #options: SimulatedProxyOptions;
  readonly #subscriptions: Subscriptions;
  #session: ClientHttp2Session | undefined;
  #stream: ClientHttp2Stream | undefined;
  #isConfigured = false;

  constructor(options: SimulatedProxyOptions) {
    this.#options = options;
    const { node, variant } = options;
    this.#subscriptions = new Subscriptions(variant, encodeNode(node, variant), (parts) => this.#write(parts));
    this.open();
  }

  /** True while there is a stream. */
  get isOpen(): boolean {
    return this.#stream !== undefined;
  }

  get isConfigured(): boolean {
    return this.#isConfigured;
  }

  /** Connects; again after close(), with what it has. */
  open(): void {
    if (this.isOpen) return;
    const { address, variant, cache, scope, windowBytes = 1 << 20 } = this.#options;
    this.#isConfigured = false;
    const session = connect(`http://${address}`, { settings: { initialWindowSize: windowBytes, enablePush: false } });
    session.once("connect", () => session.setLocalWindowSize(Math.max(windowBytes, 65_535) * 4));
    const stream = session.request({
      ":method": "POST",
      ":path": methods[variant],
      "content-type": "application/grpc",
      te: "trailers",
    });
    const end = (): void => this.#end(stream);
    session.on("error", end).once("close", end);
    stream.on("error", end).once("close", end);
    const reader = new MessageReader({
      ...{ cache, scope },
      onMessage: ({ digest, nonce, bytes }) => this.#receive({ digest, bytes, atMs: nowMs() }, nonce),
    });
    stream.on("data", (chunk: Buffer) => reader.push(chunk));
    this.#session = session;
    this.#stream = stream;
    this.#subscriptions.open();
  }

  /** Reads nothing any more; the connection stays. */
  stall(): void {
    this.#stream?.pause();
  }

  close(): void {
    const [stream, session] = [this.#stream, this.#session];
    this.#stream = undefined;
    this.#session = undefined;
    stream?.destroy();
    session?.destroy();
  }

  #end(stream: ClientHttp2Stream): void {
    if (stream !== this.#stream) return;
    this.close();
    this.#options.onEnded?.();
  }

  #receive(received: ReceivedResponse, nonce: string): void {
    if (!this.isOpen) return;
    this.#subscriptions.receive(received.digest, nonce);
    this.#options.onReceived?.(received);
    if (this.#isConfigured || !this.#subscriptions.isConfigured()) return;
    this.#isConfigured = true;
    this.#options.onConfigured?.(received.atMs);
  }

  #write(parts: readonly Buffer[]): void {
    const stream = this.#stream;
    if (stream === undefined) return;
    if (parts.length > 1) stream.cork();
    for (const part of parts) stream.write(part);
    if (parts.length > 1) stream.uncork();
  }
}
