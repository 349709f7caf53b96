/** A raw client of the aggregated discovery service: what tests send is what goes out, nothing is answered by itself. */
import { connect } from "node:http2";
import { Client, type ClientDuplexStream, credentials, Metadata, type StatusObject } from "@grpc/grpc-js";
import { decode, encode, type TypeMap } from "@meltemi/protos";

export type Variant = "sotw" | "delta";

export type SotwMessage = TypeMap["envoy.service.discovery.v3.DiscoveryRequest"];
export type DeltaMessage = TypeMap["envoy.service.discovery.v3.DeltaDiscoveryRequest"];

/** One response of either variant, with what tests look at. */
export interface Received {
  readonly typeUrl: string;
  readonly version: string;
  readonly nonce: string;
  readonly controlPlane: string;
  /** Names in the order of the response. */
  readonly names: readonly string[];
  readonly removed: readonly string[];
  readonly resources: readonly ReceivedResource[];
}

export interface ReceivedResource {
  readonly name: string;
  /** Delta alone. */
  readonly version: string;
  /** Delta alone. */
  readonly aliases: readonly string[];
  readonly typeUrl: string;
  /** Of the encoded message. */
  readonly bytes: Uint8Array;
  readonly message: Readonly<Record<string, unknown>>;
}

const path = "/envoy.service.discovery.v3.AggregatedDiscoveryService";
const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes);
const same = (bytes: Buffer): Buffer => bytes;

/** Texts in PEM. */
export interface ClientSecurity {
  readonly roots: string;
  readonly certificate?: { readonly chain: string; readonly key: string };
  readonly token?: string;
  readonly headers?: { readonly [name: string]: string };
}

type Nullable3 = [Buffer | null, Buffer | null, Buffer | null];

/** A connection of its own for each client, as proxies have it. */
export class XdsClient {
  readonly #client: Client;

  readonly #metadata = new Metadata();

  /** In plain text, or with TLS and what is given to say who the client is. */
  constructor(address: string, security?: ClientSecurity) {
    const { roots, certificate, token, headers = {} } = security ?? {};
    const { chain, key } = certificate ?? {};
    const tls = [roots, key, chain].map((text) => (text === undefined ? null : Buffer.from(text))) as Nullable3;
    const channel = security === undefined ? credentials.createInsecure() : credentials.createSsl(...tls);
    if (token !== undefined) this.#metadata.set("authorization", `Bearer ${token}`);
    for (const [name, value] of Object.entries(headers)) this.#metadata.set(name, value);
    this.#client = new Client(address, channel, {
      "grpc.use_local_subchannel_pool": 1,
      "grpc.max_receive_message_length": -1,
      "grpc.max_send_message_length": -1,
    });
  }

  open<V extends Variant>(variant: V): XdsStream<V> {
    const method = `${path}/${methodOf(variant)}`;
    const call = this.#client.makeBidiStreamRequest(method, asBuffer, same, this.#metadata);
    return new XdsStream(variant, call);
  }

  /** A call with one request and one response, encoded. */
  call(fullPath: string, request: Uint8Array): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(fullPath, asBuffer, same, request, this.#metadata, (error, value) => {
        if (error !== null) reject(error);
        else resolve(value ?? new Uint8Array());
      });
    });
  }

  close(): void {
    this.#client.close();
  }
}

export class XdsStream<V extends Variant = Variant> {
  readonly variant: V;
  readonly received: Received[] = [];
  /** How the stream ended. */
  readonly ended: Promise<StatusObject>;
  readonly #call: ClientDuplexStream<Uint8Array, Buffer>;
  readonly #waiting: (() => void)[] = [];
  #taken = 0;

  constructor(variant: V, call: ClientDuplexStream<Uint8Array, Buffer>) {
    this.variant = variant;
    this.#call = call;
    this.ended = new Promise((resolve) => call.on("status", resolve));
    call.on("error", () => undefined);
    call.on("data", (bytes: Buffer) => {
      this.received.push(this.variant === "sotw" ? parseSotw(bytes) : parseDelta(bytes));
      for (const wake of this.#waiting.splice(0)) wake();
    });
  }

  send(message: V extends "sotw" ? SotwMessage : DeltaMessage): void {
    this.sendBytes(encodeRequest(this.variant, message));
  }

  sendBytes(bytes: Uint8Array): void {
    this.#call.write(bytes);
  }

  /** The next response that was not taken yet; fails after `timeoutMs`. */
  async next(timeoutMs = 20_000): Promise<Received> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const response = this.received[this.#taken];
      if (response !== undefined) {
        this.#taken += 1;
        return response;
      }
      if (Date.now() > deadline) throw new Error(`no response within ${timeoutMs} ms`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, deadline - Date.now() + 1);
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** Number of responses that nobody took. */
  get untaken(): number {
    return this.received.length - this.#taken;
  }

  halfClose(): void {
    this.#call.end();
  }

  cancel(): void {
    this.#call.cancel();
  }
}

/**
 * A client that sends requests and never reads: its window stays full. A gRPC client will not do, since it takes whole
 * messages from the wire before anybody asks for them. `closed` gives the HTTP/2 code that the stream was reset with.
 */
export function openUnread(
  address: string,
  variant: Variant,
  requests: readonly (SotwMessage | DeltaMessage)[],
): { readonly closed: Promise<number | undefined>; close(): void } {
  const session = connect(`http://${address}`);
  session.on("error", () => undefined);
  const stream = session.request({
    ":method": "POST",
    ":path": `${path}/${methodOf(variant)}`,
    "content-type": "application/grpc",
    te: "trailers",
  });
  stream.on("error", () => undefined);
  stream.pause();
  const closed = new Promise<number | undefined>((resolve) => stream.on("close", () => resolve(stream.rstCode)));
  for (const request of requests) {
    const bytes = encodeRequest(variant, request);
    const head = Buffer.alloc(5);
    head.writeUInt32BE(bytes.length, 1);
    stream.write(Buffer.concat([head, bytes]));
  }
  return {
    closed,
    close: () => {
      session.destroy();
    },
  };
}

function methodOf(variant: Variant): string {
  return variant === "sotw" ? "StreamAggregatedResources" : "DeltaAggregatedResources";
}

function encodeRequest(variant: Variant, message: SotwMessage | DeltaMessage): Uint8Array {
  return variant === "sotw"
    ? encode("envoy.service.discovery.v3.DiscoveryRequest", message as SotwMessage)
    : encode("envoy.service.discovery.v3.DeltaDiscoveryRequest", message as DeltaMessage);
}

function parseSotw(bytes: Buffer): Received {
  const message = decode("envoy.service.discovery.v3.DiscoveryResponse", bytes);
  const resources = (message.resources ?? []).map((any) => parseResource(any, { name: "", version: "", aliases: [] }));
  return {
    typeUrl: message.type_url ?? "",
    version: message.version_info ?? "",
    nonce: message.nonce ?? "",
    controlPlane: message.control_plane?.identifier ?? "",
    names: resources.map(({ name }) => name),
    removed: [],
    resources,
  };
}

function parseDelta(bytes: Buffer): Received {
  const message = decode("envoy.service.discovery.v3.DeltaDiscoveryResponse", bytes);
  const resources = (message.resources ?? []).map(({ name, version, aliases, resource, ttl }) => {
    // No resource of ours goes away by itself (checklist F-1).
    if (ttl !== undefined) throw new Error(`resource ${name} has a time to live`);
    return parseResource(resource ?? {}, { name: name ?? "", version: version ?? "", aliases: aliases ?? [] });
  });
  return {
    typeUrl: message.type_url ?? "",
    version: message.system_version_info ?? "",
    nonce: message.nonce ?? "",
    controlPlane: message.control_plane?.identifier ?? "",
    names: resources.map(({ name }) => name),
    removed: message.removed_resources ?? [],
    resources,
  };
}

/** How resources with a time to live are packed in state of the world. */
const wrapped = "type.googleapis.com/envoy.service.discovery.v3.Resource";

function isDebugResource(typeUrl: string): boolean {
  return typeUrl === "istio.io/debug" || typeUrl.endsWith("/envoy.service.status.v3.ClientConfig");
}

type Packed = { readonly type_url?: string | undefined; readonly value?: Uint8Array | undefined };

/** The inner name of a resource must be the outer one: tests compare names, so a difference is an error here. */
function parseResource(
  { type_url: typeUrl = "", value = new Uint8Array() }: Packed,
  { name, version, aliases }: Pick<ReceivedResource, "name" | "version" | "aliases">,
): ReceivedResource {
  if (typeUrl === wrapped) throw new Error("a resource is wrapped, as those with a time to live are");
  // Debug pages are text, and what they describe has no name of its own.
  if (isDebugResource(typeUrl)) {
    return { name, version, aliases, typeUrl, bytes: value, message: {} };
  }
  const typeName = typeUrl.slice(typeUrl.lastIndexOf("/") + 1) as keyof TypeMap;
  const message = decode(typeName, value) as Readonly<Record<string, unknown>>;
  const inner = String(message["name"] ?? message["cluster_name"] ?? "");
  if (name !== "" && name !== inner) throw new Error(`resource ${inner} is called ${name}`);
  return { name: inner, version, aliases, typeUrl, bytes: value, message };
}
