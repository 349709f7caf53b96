/**
 * A simulated sidecar for load: one HTTP/2 connection, one state-of-the-world ADS stream, the subscriptions of a real
 * proxy. It reads only the head of each response (type, version, nonce) and never decodes resources, so that the load
 * generator stays cheaper than the server it measures.
 */
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import { encode } from "@meltemi/protos";
import { GrpcFrames } from "./grpc-frames.ts";
import { type ResponseHead, readResponseHead } from "./response-head.ts";

export const typeUrls = {
  cds: "type.googleapis.com/envoy.config.cluster.v3.Cluster",
  eds: "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
  lds: "type.googleapis.com/envoy.config.listener.v3.Listener",
  rds: "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
} as const;
export type ShortType = keyof typeof typeUrls;

const shortTypes = new Map<string, ShortType>(
  Object.entries(typeUrls).map(([short, url]) => [url, short as ShortType]),
);

export interface Received {
  readonly type: ShortType;
  readonly bytes: number;
  readonly resources: number;
  /** process.hrtime, comparable between processes of one machine. */
  readonly at: bigint;
}

export interface ProxyClientOptions {
  /** Such as "127.0.0.1:15010". */
  readonly address: string;
  readonly node: { readonly id: string; readonly metadata: object };
  readonly edsNames: readonly string[];
  readonly rdsNames: readonly string[];
  readonly onReceived: (received: Received) => void;
}

/** Requests differ only in version and nonce, so the long part with the names is encoded once for all proxies. */
const encodedNames = new Map<readonly string[], Buffer>();

function namesOf(names: readonly string[]): Buffer {
  const known = encodedNames.get(names);
  if (known !== undefined) return known;
  const bytes = Buffer.from(encode("envoy.service.discovery.v3.DiscoveryRequest", { resource_names: names }));
  encodedNames.set(names, bytes);
  return bytes;
}

export class ProxyClient {
  readonly #session: ClientHttp2Session;
  readonly #stream: ClientHttp2Stream;
  readonly #options: ProxyClientOptions;
  readonly #asked = new Set<ShortType>();

  constructor(options: ProxyClientOptions) {
    this.#options = options;
    this.#session = connect(`http://${options.address}`, { settings: { initialWindowSize: 1 << 20 } });
    this.#session.on("error", () => this.close());
    this.#session.once("connect", () => this.#session.setLocalWindowSize(1 << 22));
    this.#stream = this.#session.request({
      ":method": "POST",
      ":path": "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
      "content-type": "application/grpc",
      te: "trailers",
    });
    this.#stream.on("error", () => this.close());
    const frames = new GrpcFrames((message) => this.#receive(message));
    this.#stream.on("data", (chunk: Buffer) => frames.push(chunk));
    this.#ask("cds", { node: options.node });
  }

  close(): void {
    this.#stream.destroy();
    this.#session.destroy();
  }

  #receive(message: readonly Buffer[]): void {
    const at = process.hrtime.bigint();
    const head = readResponseHead(Buffer.concat(message));
    const type = shortTypes.get(head.typeUrl);
    if (type === undefined) return;
    this.#acknowledge(type, head);
    this.#options.onReceived({ type, bytes: head.bytes, resources: head.resources, at });
    if (type === "cds") this.#askOnce("eds");
    if (type === "eds") this.#askOnce("lds");
    if (type === "lds") this.#askOnce("rds");
  }

  #askOnce(type: ShortType): void {
    if (!this.#asked.has(type)) this.#ask(type, {});
  }

  #acknowledge(type: ShortType, head: ResponseHead): void {
    this.#ask(type, { version_info: head.version, response_nonce: head.nonce });
  }

  #ask(type: ShortType, fields: object): void {
    this.#asked.add(type);
    const short = Buffer.from(
      encode("envoy.service.discovery.v3.DiscoveryRequest", { type_url: typeUrls[type], ...fields }),
    );
    const names = namesFor(type, this.#options);
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(short.length + names.length, 1);
    this.#stream.write(Buffer.concat([prefix, short, names]));
  }
}

function namesFor(type: ShortType, options: ProxyClientOptions): Buffer {
  if (type === "eds") return namesOf(options.edsNames);
  if (type === "rds") return namesOf(options.rdsNames);
  return Buffer.alloc(0);
}
