/**
 * A simulated sidecar for load: one connection, one ADS stream, the subscriptions of a real proxy. It reads of a
 * response what it must and shares that with all others, so that the load generator stays cheaper than the server.
 */
import { AdsConnection } from "./ads-connection.ts";
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
  #connection: AdsConnection | undefined;
  #isConfigured = false;

  constructor(options: SimulatedProxyOptions) {
    this.#options = options;
    const { node, variant } = options;
    this.#subscriptions = new Subscriptions(variant, encodeNode(node, variant), (parts) => this.#write(parts));
    this.open();
  }

  /** True while there is a stream. */
  get isOpen(): boolean {
    return this.#connection !== undefined;
  }

  get isConfigured(): boolean {
    return this.#isConfigured;
  }

  /** Connects; again after close(), with what it has. */
  open(): void {
    if (this.isOpen) return;
    const { address, variant, cache, scope } = this.#options;
    this.#isConfigured = false;
    const reader = new MessageReader({
      ...{ cache, scope },
      onMessage: ({ digest, nonce, bytes }) => this.#receive({ digest, bytes, atMs: nowMs() }, nonce),
    });
    const connection = new AdsConnection({
      ...{ address, path: methods[variant] },
      onData: (data) => reader.push(data),
      onEnded: () => {
        if (connection !== this.#connection) return;
        this.#connection = undefined;
        this.#options.onEnded?.();
      },
    });
    this.#connection = connection;
    this.#subscriptions.open();
  }

  /** Takes nothing any more; the connection stays. */
  stall(): void {
    this.#connection?.stall();
  }

  close(): void {
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.close();
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
    this.#connection?.write(parts);
  }
}
