/** One stream of a proxy to a control plane that may say anything: gRPC by hand, so that nothing is refused on this side. */
import type { ServerHttp2Stream } from "node:http2";
import { decode, encode, typeNameOf, typeUrl } from "@meltemi/protos";
import type { Status } from "@meltemi/protos/google/rpc";
import { type Kind, kinds, type NamedResource } from "./good-configuration.ts";

export interface Request {
  readonly kind: Kind | undefined;
  readonly names: readonly string[];
  readonly nonce: string;
  readonly error: Status | undefined;
}

export interface Answer {
  readonly kind: Kind;
  readonly resources: readonly NamedResource[];
  readonly removed?: readonly string[];
  /** Where it is not that of the kind. */
  readonly typeUrl?: string;
  readonly nonce?: string;
}

const headBytes = 5;
let lastNonce = 0;

export class AdsStream {
  readonly isDelta: boolean;
  readonly #stream: ServerHttp2Stream;
  #bytes = Buffer.alloc(0);

  constructor(stream: ServerHttp2Stream, isDelta: boolean, onRequest: (request: Request) => void) {
    this.#stream = stream;
    this.isDelta = isDelta;
    stream.on("error", () => undefined);
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.on("data", (chunk: Buffer) => this.#read(chunk, onRequest));
  }

  get isOver(): boolean {
    return this.#stream.destroyed || this.#stream.writableEnded;
  }

  get waitingBytes(): number {
    return this.#stream.writableLength;
  }

  end(): void {
    if (!this.isOver) this.#stream.end();
  }

  answer(answer: Answer): void {
    this.writeMessage(this.encodeAnswer(answer));
  }

  encodeAnswer({ kind, resources, removed = [], typeUrl: url = typeUrl(kinds[kind]), nonce }: Answer): Uint8Array {
    lastNonce += 1;
    const [version, stated] = [`v${lastNonce}`, nonce ?? `n${lastNonce}`];
    if (!this.isDelta) {
      return encode("envoy.service.discovery.v3.DiscoveryResponse", {
        version_info: version,
        resources: resources.map(({ resource }) => resource),
        type_url: url,
        nonce: stated,
      });
    }
    return encode("envoy.service.discovery.v3.DeltaDiscoveryResponse", {
      system_version_info: version,
      resources: resources.map((named) => ({ ...named, version })),
      removed_resources: removed,
      type_url: url,
      nonce: stated,
    });
  }

  writeMessage(message: Uint8Array): void {
    const head = Buffer.alloc(headBytes);
    head.writeUInt32BE(message.length, 1);
    this.write(Buffer.concat([head, message]));
  }

  /** Whatever it is. */
  write(bytes: Buffer): void {
    if (!this.isOver) this.#stream.write(bytes);
  }

  #read(chunk: Buffer, onRequest: (request: Request) => void): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    while (this.#bytes.length >= headBytes) {
      const end = headBytes + this.#bytes.readUInt32BE(1);
      if (this.#bytes.length < end) return;
      const message = this.#bytes.subarray(headBytes, end);
      this.#bytes = this.#bytes.subarray(end);
      onRequest(this.isDelta ? readDelta(message) : readSotw(message));
    }
  }
}

function readSotw(bytes: Uint8Array): Request {
  const request = decode("envoy.service.discovery.v3.DiscoveryRequest", bytes);
  return {
    kind: findKind(request.type_url),
    names: request.resource_names ?? [],
    nonce: request.response_nonce ?? "",
    error: request.error_detail,
  };
}

function readDelta(bytes: Uint8Array): Request {
  const request = decode("envoy.service.discovery.v3.DeltaDiscoveryRequest", bytes);
  return {
    kind: findKind(request.type_url),
    names: request.resource_names_subscribe ?? [],
    nonce: request.response_nonce ?? "",
    error: request.error_detail,
  };
}

function findKind(url = ""): Kind | undefined {
  const name = typeNameOf(url);
  return (Object.keys(kinds) as Kind[]).find((kind) => kinds[kind] === name);
}
