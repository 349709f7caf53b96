/**
 * The control plane's xDS side as one thing: takes changes of the mesh in, keeps every connected proxy up to date. It
 * knows no gRPC; `createGrpcTransport` does.
 */
import { ProtoError, structToJson } from "@meltemi/protos";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { parseNode } from "../model/node.ts";
import type { Proxy as MeshProxy } from "../model/proxy.ts";
import { Debounce } from "../push/debounce.ts";
import { FanOut } from "../push/fan-out.ts";
import type { XdsMetrics } from "../push/metrics.ts";
import { ResourceStore } from "../push/resource-store.ts";
import { findResourceType } from "../push/resource-types.ts";
import { ResponseEncoder } from "../push/response-encoder.ts";
import type { Snapshot, SnapshotChange } from "../snapshot/snapshot.ts";
import type { Generators } from "../translate/generators.ts";
import { Connection } from "./connection.ts";
import { createDebugView, type XdsDebug } from "./debug-view.ts";
import { DistributionCounter, type DistributionView } from "./distribution.ts";
import type { XdsLimits } from "./limits.ts";
import { RateLimit } from "./rate-limit.ts";
import { parseRequest, type ReceivedRequest } from "./request.ts";
import type { Admission, Status, StreamHandler, StreamPort, StreamService, Transport, Variant } from "./transport.ts";

/** What `control_plane.identifier` says, as JSON with these members (row X9). */
export interface ControlPlaneIdentity {
  /** Name of this instance, such as the pod's. */
  readonly id: string;
  readonly version: string;
  /** Differs between two runs, so that nonces of an earlier run mean nothing in this one. */
  readonly runId: string;
}

export interface DiscoveryServerOptions {
  readonly generators: Generators;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: XdsMetrics;
  readonly limits: XdsLimits;
  readonly identity: ControlPlaneIdentity;
  readonly createTransport: (service: StreamService) => Transport;
  /** Calls back after pending input was handled: setImmediate. */
  readonly yieldTurn: (run: () => void) => void;
}

export interface DiscoveryServer {
  /** Takes a change in; a lone one goes out at once, a burst is held together. */
  apply(change: SnapshotChange): void;
  /** Serves "host:port" and gives the address that was taken; may be called for several. */
  start(address: string): Promise<string>;
  /** Refuses what is new, ends streams and frees everything. */
  stop(): Promise<void>;
  readonly debug: XdsDebug;
  /** On how many proxies each object is live. */
  readonly distribution: DistributionView;
}

/** Creates the server; proxies are refused until the first change was applied. */
export function createDiscoveryServer(options: DiscoveryServerOptions): DiscoveryServer {
  return new Server(options);
}

const notReady: Status = { code: "UNAVAILABLE", details: "server is not ready to serve discovery information" };
const stopping: Status = { code: "UNAVAILABLE", details: "server is stopping" };

/** Nodes whose last nonces are remembered. */
const maxRememberedNodes = 10_000;

class Server implements DiscoveryServer, StreamService {
  readonly debug: XdsDebug;
  readonly distribution: DistributionCounter;
  readonly #options: DiscoveryServerOptions;
  readonly #store: ResourceStore;
  readonly #encoder: ResponseEncoder;
  readonly #fanOut: FanOut;
  readonly #debounce: Debounce;
  readonly #admission: RateLimit;
  readonly #transport: Transport;
  readonly #connections = new Map<string, Connection>();
  readonly #ports = new Set<StreamPort>();
  /** Greatest serial by node id: a proxy that comes back must not meet a nonce again. */
  readonly #seenSerials = new Map<string, number>();
  #nextConnection = 1;
  #isStopping = false;

  constructor(options: DiscoveryServerOptions) {
    const { clock, generators, identity, limits, yieldTurn } = options;
    this.#options = options;
    this.#store = new ResourceStore({
      generators,
      clock,
      lingerMs: limits.scopeLingerMs,
      report: ({ type, name, cause }) => {
        options.metrics.count("pilot_total_xds_internal_errors");
        options.log.error("resources could not be made; the last good ones stay", { type: type.type, name, cause });
      },
    });
    const { id, version, runId } = identity;
    const controlPlane = JSON.stringify({ Component: "meltemi", ID: id, Info: { version } });
    this.#encoder = new ResponseEncoder(runId, controlPlane);
    this.#fanOut = new FanOut({ ...limits, clock, yieldTurn, onIdle: () => this.#encoder.forget() });
    this.#debounce = new Debounce({
      clock,
      quietMs: limits.debounceQuietMs,
      maxMs: limits.debounceMaxMs,
      run: (change, waitedMs) => this.#push(change, waitedMs),
    });
    this.#admission = new RateLimit({
      clock,
      perSecond: limits.maxNewStreamsPerSecond,
      burst: limits.maxNewStreamsPerSecond,
      maxWaitMs: limits.admissionWaitMs,
    });
    this.#transport = options.createTransport(this);
    this.debug = createDebugView(this.#store, this.#connections);
    this.distribution = new DistributionCounter(this.#store, this.#connections, clock);
  }

  apply(change: SnapshotChange): void {
    // The first content makes the server ready: nobody is connected whom a burst could bother.
    if (this.#store.snapshot === undefined) this.#push(change, 0);
    else this.#debounce.add(change);
  }

  start(address: string): Promise<string> {
    return this.#transport.listen(address);
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#transport.notifyServing();
    this.#debounce.close();
    const stopped = this.#transport.stop(this.#options.limits.drainMs);
    for (const port of this.#ports) port.end(stopping);
    await stopped;
    this.distribution.close();
    this.#store.close();
  }

  isServing(): boolean {
    return this.#store.snapshot !== undefined && !this.#isStopping;
  }

  admit(): Admission {
    if (this.#isStopping) return { kind: "refuse", status: stopping };
    if (this.#store.snapshot === undefined) return { kind: "refuse", status: notReady };
    const waitMs = this.#admission.reserve();
    if (waitMs === undefined) {
      return { kind: "refuse", status: { code: "RESOURCE_EXHAUSTED", details: "request rate limit exceeded" } };
    }
    return waitMs === 0 ? { kind: "now" } : { kind: "wait", waitMs };
  }

  accept(port: StreamPort, variant: Variant): StreamHandler {
    let connection: Connection | undefined;
    let isOver = false;
    this.#ports.add(port);
    const close = (): void => {
      isOver = true;
      this.#ports.delete(port);
      if (connection !== undefined) this.#disconnect(connection);
      connection = undefined;
    };
    const fail = (status: Status): void => {
      close();
      port.end(status);
    };
    return {
      handleMessage: (bytes) => {
        // Requests that were under way when the stream was ended.
        if (isOver) return;
        const request = this.#read(bytes, variant);
        if ("code" in request) {
          fail(request);
          return;
        }
        const connected = connection ?? this.#connect(request, { port, variant, fail });
        if ("code" in connected) {
          fail(connected);
          return;
        }
        connection = connected;
        const type = findResourceType(request.typeUrl);
        if (type !== undefined) connection.handleRequest(type, request);
      },
      handleEnd: () => fail({ code: "OK", details: "" }),
      handleClosed: close,
    };
  }

  #read(bytes: Uint8Array, variant: Variant): ReceivedRequest | Status {
    this.#options.metrics.noteRequestSize(bytes.length);
    try {
      const request = parseRequest(bytes, variant);
      if (request.typeUrl !== "") return request;
      return { code: "INVALID_ARGUMENT", details: "type_url is missing" };
    } catch (cause) {
      if (!(cause instanceof ProtoError)) throw cause;
      return { code: "INVALID_ARGUMENT", details: "malformed request" };
    }
  }

  /** The first request of a stream says whose it is; a node in later ones changes nothing. */
  #connect(
    { node }: ReceivedRequest,
    stream: { readonly port: StreamPort; readonly variant: Variant; readonly fail: (status: Status) => void },
  ): Connection | Status {
    if (node === undefined || (node.id ?? "") === "") {
      return { code: "INVALID_ARGUMENT", details: "missing node information" };
    }
    const proxy = parseNode({ ...node, metadata: structToJson(node.metadata ?? {}) });
    if (typeof proxy === "string") return { code: "INVALID_ARGUMENT", details: proxy };
    try {
      return this.#createConnection(proxy, stream);
    } catch (cause) {
      this.#options.metrics.count("pilot_total_xds_internal_errors");
      this.#options.log.error("keys of a proxy could not be derived", { proxy: proxy.nodeId, cause });
      return { code: "INTERNAL", details: "configuration of this proxy cannot be made" };
    }
  }

  #createConnection(
    proxy: MeshProxy,
    {
      port,
      variant,
      fail,
    }: { readonly port: StreamPort; readonly variant: Variant; readonly fail: (status: Status) => void },
  ): Connection {
    const { clock, limits, log, metrics } = this.#options;
    const connection: Connection = new Connection({
      id: `${proxy.id}-${this.#nextConnection++}`,
      proxy,
      variant,
      port,
      resources: this.#store.acquire(proxy),
      encoder: this.#encoder,
      clock,
      log,
      metrics,
      answerMs: limits.answerMs,
      warmingMs: limits.warmingMs,
      serialFloor: this.#seenSerials.get(proxy.nodeId) ?? 0,
      requestTurn: () => this.#fanOut.enqueue(connection),
      onUnread: () => fail({ code: "DEADLINE_EXCEEDED", details: "responses are not read" }),
      generation: () => this.#store.snapshot?.generation ?? -1,
      onProgress: () => this.distribution.note(),
    });
    this.#connections.set(connection.inputs.id, connection);
    log.info("proxy connected", { connection: connection.inputs.id, peer: port.peer, variant });
    return connection;
  }

  #disconnect(connection: Connection): void {
    const { id, proxy } = connection.inputs;
    this.#fanOut.remove(connection);
    connection.close();
    this.#connections.delete(id);
    this.distribution.note();
    this.#remember(proxy.nodeId, connection.highestSerial);
    this.#options.log.info("proxy disconnected", { connection: id });
  }

  #remember(nodeId: string, serial: number): void {
    const greatest = Math.max(serial, this.#seenSerials.get(nodeId) ?? 0);
    this.#seenSerials.delete(nodeId);
    this.#seenSerials.set(nodeId, greatest);
    const [oldest] = this.#seenSerials.keys();
    if (this.#seenSerials.size > maxRememberedNodes && oldest !== undefined) this.#seenSerials.delete(oldest);
  }

  #push(change: SnapshotChange, waitedMs: number): void {
    const { metrics } = this.#options;
    const wasServing = this.isServing();
    const before: Snapshot | undefined = this.#store.snapshot;
    this.#store.apply(before === undefined ? { ...change, before: undefined } : change);
    if (!wasServing) this.#transport.notifyServing();
    metrics.observe("pilot_debounce_time", waitedMs / 1000);
    for (const reason of listReasons(change)) metrics.count("pilot_push_triggers", { type: reason });
    for (const connection of this.#connections.values()) connection.noteChange();
    this.distribution.note();
  }
}

/** Reasons in istiod's words (row X34). */
function listReasons({ kinds, services, endpoints }: SnapshotChange): readonly string[] {
  const reasons: string[] = [];
  if (kinds.has("MeshConfig")) reasons.push("global");
  if (services.size > 0) reasons.push("service");
  if (endpoints.size > 0) reasons.push("endpoint");
  return reasons.length > 0 ? reasons : ["config"];
}
