/**
 * One stream of the proxy, and the stream to the control plane that belongs to it. Either end holds the other back: a
 * message is taken from one side when the one before it has gone out on the other.
 */
import {
  type ClientDuplexStream,
  type ServerDuplexStream,
  type StatusObject,
  status as statusCodes,
} from "@grpc/grpc-js";
import type { NameTable } from "@meltemi/protos/istio/networking/nds/v1";
import type { Log } from "../../../../src/lib/log.ts";
import { asBuffer, asBytes, connectUpstream, type Upstream, type UpstreamOptions } from "../identity/upstream.ts";
import { readRequest, readResponse, type Variant } from "./envelope.ts";
import {
  answerNameTable,
  encodeHealth,
  encodeNameTableRequest,
  type HealthReport,
  listenerType,
  nameTableType,
} from "./own-requests.ts";

export type Downstream = ServerDuplexStream<Uint8Array, Uint8Array>;

export interface LinkOptions {
  readonly variant: Variant;
  readonly downstream: Downstream;
  readonly upstream: UpstreamOptions;
  readonly onNameTable: ((table: NameTable) => void) | undefined;
  /** The last report; undefined where there is none yet. */
  readonly health: () => HealthReport | undefined;
  readonly log: Log;
  readonly counters: LinkCounters;
}

/** Since the agent's start. */
export interface LinkCounters {
  /** Messages passed on or sent to the control plane. */
  requests: number;
  /** Messages that came from it. */
  responses: number;
  /** Streams that were opened to it. */
  connections: number;
  /** Streams that it, or the way to it, ended. */
  failures: number;
}

type UpstreamCall = ClientDuplexStream<Uint8Array, Buffer>;

export interface LinkStatus {
  readonly code: number;
  readonly details: string;
}

const service = "/envoy.service.discovery.v3.AggregatedDiscoveryService";
/** What is worth to be read in the proxy's log as it is; everything else is a control plane that is not there. */
const passedOn: ReadonlySet<number> = new Set([
  statusCodes.UNAUTHENTICATED,
  statusCodes.PERMISSION_DENIED,
  statusCodes.RESOURCE_EXHAUSTED,
  statusCodes.INVALID_ARGUMENT,
  statusCodes.UNIMPLEMENTED,
]);

export class Link {
  readonly #options: LinkOptions;
  #upstream: Upstream | undefined;
  #call: UpstreamCall | undefined;
  #isEnded = false;
  #hasAskedForListeners = false;
  #hasAnswer = false;

  constructor(options: LinkOptions) {
    this.#options = options;
    const { downstream } = options;
    const close = (): void => this.end({ code: statusCodes.CANCELLED, details: "the proxy went away" });
    // Each of them: an error that nobody listens to would end the process.
    downstream.on("error", close);
    downstream.once("cancelled", close);
    downstream.once("close", close);
  }

  /** The proxy's requests are read when there is a connection to pass them on to. */
  async open(): Promise<void> {
    try {
      const upstream = await connectUpstream(this.#options.upstream);
      if (this.#isEnded) {
        upstream.client.close();
        return;
      }
      this.#upstream = upstream;
      this.#connect(upstream);
    } catch (error: unknown) {
      this.#options.counters.failures += 1;
      this.#options.log.warn("the control plane cannot be asked", { error });
      const details = error instanceof Error ? error.message : "the control plane cannot be asked";
      this.end({ code: statusCodes.UNAVAILABLE, details });
    }
  }

  /** True when the control plane has answered on this stream. */
  isAnswered(): boolean {
    return this.#hasAnswer && !this.#isEnded;
  }

  /** Nothing where the proxy has not asked for listeners yet: then it is told with them. */
  reportHealth(report: HealthReport): void {
    if (this.#hasAskedForListeners) this.#send(encodeHealth(this.#options.variant, report));
  }

  /** Ends both streams; the proxy keeps what it has and comes again. */
  end(status: LinkStatus): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#call?.cancel();
    this.#upstream?.client.close();
    const { downstream } = this.#options;
    if (status.code === statusCodes.OK) downstream.end();
    else if (!downstream.cancelled) downstream.emit("error", status);
  }

  #connect({ client, metadata }: Upstream): void {
    const { variant, downstream, counters } = this.#options;
    const method = variant === "sotw" ? "StreamAggregatedResources" : "DeltaAggregatedResources";
    const call: UpstreamCall = client.makeBidiStreamRequest(`${service}/${method}`, asBuffer, asBytes, metadata);
    this.#call = call;
    counters.connections += 1;
    call.on("error", () => undefined);
    call.once("status", (status: StatusObject) => this.#handleStatus(status));
    call.on("data", (bytes: Buffer) => this.#handleResponse(call, bytes));
    downstream.on("data", (bytes: Uint8Array) => this.#handleRequest(bytes));
    downstream.once("end", () => call.end());
  }

  #handleRequest(bytes: Uint8Array): void {
    const { downstream, variant } = this.#options;
    downstream.pause();
    this.#send(bytes, () => downstream.resume());
    if (this.#hasAskedForListeners || readRequest(bytes, variant)?.typeUrl !== listenerType) return;
    this.#hasAskedForListeners = true;
    if (this.#options.onNameTable !== undefined) this.#send(encodeNameTableRequest(variant));
    const health = this.#options.health();
    if (health !== undefined) this.#send(encodeHealth(variant, health));
  }

  #handleResponse(call: UpstreamCall, bytes: Buffer): void {
    const { variant, onNameTable, downstream, counters } = this.#options;
    if (this.#isEnded) return;
    this.#hasAnswer = true;
    counters.responses += 1;
    if (onNameTable !== undefined && readResponse(bytes)?.typeUrl === nameTableType) {
      this.#send(answerNameTable(variant, bytes, onNameTable));
      return;
    }
    call.pause();
    downstream.write(bytes, () => call.resume());
  }

  #send(bytes: Uint8Array, onSent: () => void = () => undefined): void {
    if (this.#isEnded || this.#call === undefined) return;
    this.#options.counters.requests += 1;
    this.#call.write(bytes, onSent);
  }

  #handleStatus({ code, details }: StatusObject): void {
    if (this.#isEnded) return;
    const { log, counters, downstream } = this.#options;
    if (code === statusCodes.OK && downstream.readableEnded) {
      this.end({ code, details });
      return;
    }
    counters.failures += 1;
    log.warn("the stream to the control plane ended", { code: statusCodes[code] ?? code, details });
    this.end({ code: passedOn.has(code) ? code : statusCodes.UNAVAILABLE, details: `control plane: ${details}` });
  }
}
