/** A control plane whose every push is the model's to say, in state of the world and in delta, on one loopback port. */
import { createHash } from "node:crypto";
import { type handleBidiStreamingCall, Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { decode, encode, typeUrl } from "@meltemi/protos";
import type { DeltaDiscoveryRequest, DiscoveryRequest } from "@meltemi/protos/envoy/service/discovery/v3";
import type { ResourceKind } from "./changes.ts";
import { type Heard, Subscription, type Wanted } from "./subscription.ts";

const service = "/envoy.service.discovery.v3.AggregatedDiscoveryService";

export const typeUrls: Readonly<Record<ResourceKind, string>> = {
  cds: typeUrl("envoy.config.cluster.v3.Cluster"),
  eds: typeUrl("envoy.config.endpoint.v3.ClusterLoadAssignment"),
  lds: typeUrl("envoy.config.listener.v3.Listener"),
  rds: typeUrl("envoy.config.route.v3.RouteConfiguration"),
  sds: typeUrl("envoy.extensions.transport_sockets.tls.v3.Secret"),
};

export interface Rejection {
  readonly kind: ResourceKind;
  readonly message: string;
}

type Call = ServerDuplexStream<Heard, Uint8Array>;

/** One stream of the proxy: a subscription for each type of resource. */
interface Stream {
  readonly call: Call;
  readonly isDelta: boolean;
  readonly subscriptions: Map<ResourceKind, Subscription>;
}

export class ModelControlPlane {
  readonly rejections: Rejection[] = [];
  readonly #resources = new Map<ResourceKind, Map<string, Wanted>>();
  readonly #streams = new Set<Stream>();
  readonly #waiting = new Set<() => void>();
  #server: Server | undefined;
  #port = 0;
  #lastNonce = 0;
  #streamsSeen = 0;

  get port(): number {
    return this.#port;
  }

  /** How often a proxy has come. */
  get streamsSeen(): number {
    return this.#streamsSeen;
  }

  /** Listens; on the same port as before where it has listened already. */
  async start(): Promise<void> {
    const server = new Server();
    server.addService(
      {
        sotw: describeMethod("StreamAggregatedResources", false),
        delta: describeMethod("DeltaAggregatedResources", true),
      },
      { sotw: this.#serve(false), delta: this.#serve(true) },
    );
    this.#port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(`127.0.0.1:${this.#port}`, ServerCredentials.createInsecure(), (cause, port) =>
        cause === null ? resolve(port) : reject(cause),
      );
    });
    this.#server = server;
  }

  /** Ends at once, streams and all. */
  stop(): void {
    this.#server?.forceShutdown();
    this.#server = undefined;
    this.#streams.clear();
  }

  /** Ends the streams, and takes new ones. */
  disconnect(): void {
    for (const { call } of this.#streams) call.end();
    this.#streams.clear();
  }

  /** What there is of a kind from now on; nothing is sent yet. */
  set(kind: ResourceKind, resources: ReadonlyMap<string, Uint8Array>): void {
    const wanted = new Map<string, Wanted>();
    for (const [name, bytes] of resources) {
      const version = createHash("sha256").update(bytes).digest("hex").slice(0, 16);
      wanted.set(name, { name, bytes, version });
    }
    this.#resources.set(kind, wanted);
  }

  /** Sends what has changed. `again` are names to be sent in any case. */
  push(kind: ResourceKind, again: readonly string[] = []): void {
    for (const stream of this.#streams) {
      const subscription = stream.subscriptions.get(kind);
      subscription?.forget(again);
      this.#answer(stream, kind);
    }
  }

  /** Resolves when a proxy has acknowledged these names (all, and no others, for whole sets). False after `limitMs`. */
  async settled(kind: ResourceKind, names: readonly string[], limitMs: number): Promise<boolean> {
    const isSo = (): boolean =>
      [...this.#streams].some(({ subscriptions }) => {
        return subscriptions.get(kind)?.hasAcknowledged(names, this.#resourcesOf(kind)) === true;
      });
    return this.#until(isSo, limitMs);
  }

  /** Resolves with the next rejection of a kind. Undefined after `limitMs`. */
  async rejected(kind: ResourceKind, limitMs: number): Promise<Rejection | undefined> {
    const find = (): Rejection | undefined => this.rejections.find((rejection) => rejection.kind === kind);
    await this.#until(() => find() !== undefined, limitMs);
    return find();
  }

  #until(isSo: () => boolean, limitMs: number): Promise<boolean> {
    if (isSo()) return Promise.resolve(true);
    return new Promise((resolve) => {
      const finish = (result: boolean): void => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve(result);
      };
      const timer = setTimeout(() => finish(false), limitMs);
      const look = (): void => {
        if (isSo()) finish(true);
      };
      this.#waiting.add(look);
    });
  }

  #resourcesOf(kind: ResourceKind): ReadonlyMap<string, Wanted> {
    return this.#resources.get(kind) ?? new Map();
  }

  #serve(isDelta: boolean): handleBidiStreamingCall<Heard, Uint8Array> {
    return (call) => {
      const stream: Stream = { call, isDelta, subscriptions: new Map() };
      this.#streams.add(stream);
      this.#streamsSeen += 1;
      const forget = (): void => void this.#streams.delete(stream);
      call.on("data", (request: Heard) => this.#hear(stream, request));
      call.on("error", forget);
      call.on("close", forget);
      call.on("end", () => {
        forget();
        call.end();
      });
    };
  }

  #hear(stream: Stream, request: Heard): void {
    if (!this.#streams.has(stream)) return;
    const kind = (Object.keys(typeUrls) as ResourceKind[]).find((each) => typeUrls[each] === request.type_url);
    if (kind === undefined) return;
    let subscription = stream.subscriptions.get(kind);
    if (subscription === undefined) {
      subscription = new Subscription({ isWhole: kind === "cds" || kind === "lds", isDelta: stream.isDelta });
      stream.subscriptions.set(kind, subscription);
    }
    const message = subscription.hear(request, this.#resourcesOf(kind));
    if (message !== undefined) this.rejections.push({ kind, message });
    this.#answer(stream, kind);
    for (const look of [...this.#waiting]) look();
  }

  #answer({ call, isDelta, subscriptions }: Stream, kind: ResourceKind): void {
    this.#lastNonce += 1;
    const nonce = String(this.#lastNonce);
    const news = subscriptions.get(kind)?.take(nonce, this.#resourcesOf(kind));
    if (news === undefined) return;
    const head = { type_url: typeUrls[kind], nonce };
    const anyOf = ({ bytes: value }: Wanted): { readonly type_url: string; readonly value: Uint8Array } => ({
      type_url: typeUrls[kind],
      value,
    });
    call.write(
      isDelta
        ? encode("envoy.service.discovery.v3.DeltaDiscoveryResponse", {
            ...head,
            system_version_info: nonce,
            resources: news.sent.map((each) => ({ name: each.name, version: each.version, resource: anyOf(each) })),
            removed_resources: news.removed,
          })
        : encode("envoy.service.discovery.v3.DiscoveryResponse", {
            ...head,
            version_info: nonce,
            resources: news.sent.map(anyOf),
          }),
    );
  }
}

function describeMethod(
  method: string,
  isDelta: boolean,
): object & {
  readonly path: string;
  readonly requestStream: true;
  readonly responseStream: true;
  readonly requestSerialize: (value: Heard) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => Heard;
  readonly responseSerialize: (bytes: Uint8Array) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Uint8Array;
} {
  const name = isDelta ? "DeltaDiscoveryRequest" : "DiscoveryRequest";
  return {
    path: `${service}/${method}`,
    requestStream: true,
    responseStream: true,
    requestSerialize: (value: Heard) => Buffer.from(JSON.stringify(value)),
    requestDeserialize: (bytes: Buffer) =>
      decode(`envoy.service.discovery.v3.${name}`, bytes) as DiscoveryRequest & DeltaDiscoveryRequest,
    responseSerialize: (bytes: Uint8Array) => Buffer.from(bytes),
    responseDeserialize: (bytes: Buffer) => bytes,
  };
}
