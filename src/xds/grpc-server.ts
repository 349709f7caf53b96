/**
 * The edge of gRPC: carries streams of encoded messages, and answers the standard health service. It stands on our own
 * HTTP/2, because a message goes to many proxies, and there are many of them: it is sent as it is, and a connection that
 * rests holds next to nothing.
 */
import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import type { SessionStream } from "@meltemi/http2/session-stream";
import type { Caller } from "../lib/caller.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { GrpcCall } from "./grpc-call.ts";
import { GrpcConnection } from "./grpc-connection.ts";
import { type ConnectionLimits, GrpcConnections } from "./grpc-connections.ts";
import type { CallHead } from "./grpc-head.ts";
import { HealthService } from "./grpc-health.ts";
import { MessageMemory, SharedMessages } from "./grpc-messages.ts";
import { buildContext, clientCertificates, readPeerCredentials } from "./grpc-tls.ts";
import type { StreamPort, StreamService, TlsSource, Transport, UnaryMethod, Variant } from "./transport.ts";

export interface GrpcLimits extends ConnectionLimits {
  /** Largest request in bytes (ISTIO_GPRC_MAXRECVMSGSIZE). */
  readonly maxReceiveBytes: number;
  /** Streams on one connection (ISTIO_GPRC_MAXSTREAMS). */
  readonly maxConcurrentStreams: number;
}

/** Istio's limits (rows X24, X25): a dead peer is noticed within 40 seconds. */
export const defaultGrpcLimits: GrpcLimits = {
  maxReceiveBytes: 4 * 1024 * 1024,
  maxConcurrentStreams: 100_000,
  keepaliveIntervalMs: 30_000,
  keepaliveTimeoutMs: 10_000,
  maxConnectionAgeMs: undefined,
};

export interface GrpcTransportOptions {
  readonly limits: GrpcLimits;
  /** Served where there is TLS: in plain text nobody can say who calls, and everybody can read what is answered. */
  readonly methods?: readonly UnaryMethod[];
  readonly clock: Clock;
  readonly log: Log;
}

/** Creates a transport of HTTP/2 for the aggregated discovery service; without `tls` in plain text. */
export function createGrpcTransport(options: GrpcTransportOptions, service: StreamService, tls?: TlsSource): Transport {
  return new GrpcTransport(options, service, tls);
}

const adsService = "envoy.service.discovery.v3.AggregatedDiscoveryService";
const healthService = "grpc.health.v1.Health";

/** What answers a call whose head was taken. */
type Method = (call: GrpcCall) => void;

class GrpcTransport implements Transport {
  readonly #options: GrpcTransportOptions;
  readonly #service: StreamService;
  readonly #server: Server;
  readonly #connections: GrpcConnections;
  readonly #health: HealthService;
  readonly #memory = new MessageMemory();
  readonly #shared = new SharedMessages();
  /** Those over TLS, from before their handshakes on. */
  readonly #sockets = new Set<Socket>();
  readonly #methods: ReadonlyMap<string, Method>;
  readonly #isSecure: boolean;
  #endTls: (() => void) | undefined;

  constructor(options: GrpcTransportOptions, service: StreamService, tls: TlsSource | undefined) {
    this.#options = options;
    this.#service = service;
    this.#isSecure = tls !== undefined;
    this.#connections = new GrpcConnections(options.limits, options.clock);
    this.#health = new HealthService(["", adsService], () => service.isServing());
    this.#methods = new Map<string, Method>([
      [`/${adsService}/StreamAggregatedResources`, (call) => this.#handleStream(call, "sotw")],
      [`/${adsService}/DeltaAggregatedResources`, (call) => this.#handleStream(call, "delta")],
      [`/${healthService}/Check`, (call) => onlyMessage(call, (request) => this.#health.check(call, request))],
      [`/${healthService}/Watch`, (call) => onlyMessage(call, (request) => this.#health.watch(call, request))],
      ...(tls === undefined ? [] : (options.methods ?? [])).map((method): [string, Method] => [
        method.path,
        (call) => onlyMessage(call, (request) => void this.#handleUnary(method, call, request)),
      ]),
    ]);
    this.#server = this.#createServer(tls);
  }

  listen(address: string): Promise<string> {
    const colon = address.lastIndexOf(":");
    // ":15010" means all addresses, as in Go.
    const host = address.slice(0, colon).replace(/^\[(.*)\]$/, "$1") || "::";
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ host, port: Number(address.slice(colon + 1)) }, () => {
        this.#server.off("error", reject);
        this.#server.on("error", (cause) => this.#options.log.error("the server failed", { cause }));
        const bound = this.#server.address();
        const port = bound !== null && typeof bound === "object" ? bound.port : 0;
        resolve(`${address.slice(0, colon)}:${port}`);
      });
    });
  }

  notifyServing(): void {
    this.#health.notify();
  }

  async stop(graceMs: number): Promise<void> {
    this.#endTls?.();
    this.#health.stop();
    this.#server.close();
    await this.#connections.stop(graceMs);
    // Handshakes that have not come to an end.
    for (const socket of this.#sockets) socket.destroy();
  }

  #createServer(tls: TlsSource | undefined): Server {
    const options = { noDelay: true };
    if (tls === undefined) return createServer(options, (socket) => this.#open(socket));
    const secure = { ...clientCertificates, ...buildContext(tls.current()) };
    const server = createTlsServer({ ...options, ALPNProtocols: ["h2"], ...secure }, (socket) => {
      // A client that does not say what it speaks speaks no gRPC.
      if (socket.alpnProtocol === "h2") this.#open(socket);
      else socket.destroy();
    });
    server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
    // New connections get the certificates of now.
    this.#endTls = tls.onChange(() => server.setSecureContext(buildContext(tls.current())));
    server.on("tlsClientError", (cause) => this.#options.log.debug("a TLS handshake failed", { cause }));
    return server;
  }

  #open(socket: Socket): void {
    const { clock, limits, log } = this.#options;
    this.#connections.add(
      new GrpcConnection(socket, {
        clock,
        log,
        maxConcurrentStreams: limits.maxConcurrentStreams,
        onCall: (stream, head, connection) => this.#receive(stream, head, connection),
      }),
    );
  }

  #receive(stream: SessionStream, head: CallHead, connection: GrpcConnection): void {
    const { clock, limits } = this.#options;
    const call = new GrpcCall(
      { stream, head, connection },
      { clock, maxReceiveBytes: limits.maxReceiveBytes, memory: this.#memory, shared: this.#shared },
    );
    if (!call.begin()) return;
    const method = this.#methods.get(call.path);
    if (method !== undefined) method(call);
    else call.end({ code: "UNIMPLEMENTED", details: `The server does not implement the method ${call.path}` });
  }

  #handleStream(call: GrpcCall, variant: Variant): void {
    const admission = this.#service.admit();
    if (admission.kind === "refuse") {
      call.end(admission.status);
      return;
    }
    if (admission.kind === "now") {
      this.#identify(call, variant);
      return;
    }
    // Nothing of it is read while it waits.
    const waiting: Timer = this.#options.clock.after(admission.waitMs, () => {
      if (!call.isOver) this.#identify(call, variant);
    });
    call.onClosed(() => waiting.close());
  }

  /** A fault of ours ends that call and nothing else. */
  async #handleUnary(method: UnaryMethod, call: GrpcCall, request: Uint8Array): Promise<void> {
    const abort = new AbortController();
    call.onClosed(() => abort.abort());
    try {
      const asked = { credentials: readPeerCredentials(call), peer: call.peer, signal: abort.signal };
      const response = await method.handle(request, asked);
      const isAnswer = !("code" in response);
      if (isAnswer) call.write(response);
      call.end(isAnswer ? { code: "OK", details: "" } : response);
    } catch (cause) {
      this.#options.log.error("a request could not be handled", { cause });
      call.end({ code: "INTERNAL", details: "internal error" });
    }
  }

  /** Over TLS nothing of a stream is read before it is known whose it is. */
  #identify(call: GrpcCall, variant: Variant): void {
    if (!this.#isSecure) {
      this.#openStream(call, variant, undefined);
      return;
    }
    void this.#service.authenticate(readPeerCredentials(call), call.peer).then(
      (result) => {
        if (call.isOver) return;
        if (result !== undefined && "code" in result) call.end(result);
        else this.#openStream(call, variant, result);
      },
      (cause: unknown) => {
        this.#options.log.error("a client could not be authenticated, for a fault of ours", { cause });
        call.end({ code: "INTERNAL", details: "internal error" });
      },
    );
  }

  #openStream(call: GrpcCall, variant: Variant, caller: Caller | undefined): void {
    const handler = this.#service.accept(createPort(call, caller), variant);
    call.onClosed(() => handler.handleClosed());
    call.listen({
      onMessage: (bytes) => {
        try {
          handler.handleMessage(bytes);
        } catch (cause) {
          // A fault of ours while a request is handled ends that stream and nothing else.
          this.#options.log.error("a request could not be handled", { cause });
          handler.handleClosed();
          call.end({ code: "INTERNAL", details: "internal error" });
        }
      },
      onEnd: () => handler.handleEnd(),
    });
  }
}

function createPort(call: GrpcCall, caller: Caller | undefined): StreamPort {
  return {
    peer: call.peer,
    caller,
    write: (bytes, onWritten) => call.write(bytes, onWritten),
    end: (status) => {
      // A status goes out behind what was written, which a client that does not read never lets happen.
      if (status.code === "DEADLINE_EXCEEDED") call.reset();
      else call.end(status);
    },
  };
}

/** For methods with one request: hands it over when the client has sent all. */
function onlyMessage(call: GrpcCall, handle: (request: Uint8Array) => void): void {
  const requests: Uint8Array[] = [];
  call.listen({
    onMessage: (bytes) => void requests.push(Buffer.from(bytes)),
    onEnd: () => {
      const [request, another] = requests;
      if (request !== undefined && another === undefined) handle(request);
      else call.end({ code: "UNIMPLEMENTED", details: "the method takes one message" });
    },
  });
}
