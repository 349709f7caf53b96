import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type FilterStateObject, StreamInfo } from "../http/stream-info.ts";
import type { Clock } from "../lib/clock.ts";
import type { AcceptedSocket } from "./accepted-socket.ts";
import type { Address, DownstreamConnection, TlsInfo } from "./connection.ts";

/** A connection that has its filter chain. It is over when its socket is closed. */
export class Connection implements DownstreamConnection {
  readonly id: number;
  readonly localAddress: Address;
  readonly remoteAddress: Address;
  readonly directRemoteAddress: Address;
  readonly isLocalAddressRestored: boolean;
  readonly filterState: Map<string, FilterStateObject>;
  readonly info: StreamInfo;
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #closers: (() => void)[] = [];
  readonly #drainers: (() => void)[] = [];
  #stream: Duplex;
  #sni: string;
  #applicationProtocols: readonly string[];
  #tls: TlsInfo | undefined;
  #isDraining = false;
  #isClosed = false;

  constructor(id: number, accepted: AcceptedSocket, clock: Clock) {
    this.id = id;
    this.localAddress = accepted.localAddress;
    this.remoteAddress = accepted.remoteAddress;
    this.directRemoteAddress = accepted.directRemoteAddress;
    this.isLocalAddressRestored = accepted.isLocalAddressRestored;
    this.filterState = accepted.filterState;
    this.#sni = accepted.sni;
    this.#applicationProtocols = accepted.applicationProtocols;
    this.#socket = accepted.socket;
    this.#stream = accepted.socket;
    this.#clock = clock;
    this.info = new StreamInfo(this, clock.now(), clock.monotonic());
    for (const [name, entries] of accepted.dynamicMetadata) this.info.dynamicMetadata.set(name, entries);
    this.#socket.once("close", () => this.#finish());
    if (this.#socket.destroyed) process.nextTick(() => this.#finish());
  }

  get stream(): Duplex {
    return this.#stream;
  }

  get sni(): string {
    return this.#sni;
  }

  get applicationProtocols(): readonly string[] {
    return this.#applicationProtocols;
  }

  get tls(): TlsInfo | undefined {
    return this.#tls;
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** From here on bytes go through TLS. */
  secure(stream: Duplex, info: TlsInfo): void {
    this.replaceStream(stream);
    this.#tls = info;
    if (info.sni !== "") this.#sni = info.sni.toLowerCase();
    if (info.alpn === "") return;
    this.#applicationProtocols = [info.alpn, ...this.#applicationProtocols.filter((each) => each !== info.alpn)];
  }

  /** A layer above the stream so far. */
  replaceStream(stream: Duplex): void {
    stream.on("error", () => undefined);
    this.#stream = stream;
  }

  /** Tells whoever serves the connection that it should come to an end soon. */
  startDrain(): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    for (const run of this.#drainers.splice(0)) run();
  }

  onDrain(run: () => void): void {
    if (this.#isDraining) run();
    else this.#drainers.push(run);
  }

  onClose(run: () => void): void {
    if (this.#isClosed) run();
    else this.#closers.push(run);
  }

  close(how: "flush" | "reset", details = ""): void {
    if (details !== "" && this.info.connectionTerminationDetails === "") {
      this.info.connectionTerminationDetails = details;
    }
    if (how === "reset" || this.#stream.destroyed) {
      this.#stream.destroy();
      this.#socket.destroy();
      return;
    }
    const stream = this.#stream;
    if (stream.writableFinished) this.#socket.destroy();
    else stream.once("finish", () => this.#socket.destroySoon());
    if (!stream.writableEnded) stream.end();
  }

  #finish(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.info.endedAt ??= this.#clock.monotonic();
    if (!this.#stream.destroyed) this.#stream.destroy();
    for (const run of this.#closers.splice(0)) run();
  }
}
