/**
 * The control plane's xDS side as one thing: takes changes of the mesh in, keeps every connected proxy up to date. It
 * knows no gRPC; `createGrpcTransport` does.
 */
import { ProtoError, structToJson } from "@meltemi/protos";
import type { Authentication, Caller, PeerCredentials } from "../lib/caller.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { RateLimit } from "../lib/rate-limit.ts";
import { parseNode } from "../model/node.ts";
import type { Proxy as MeshProxy } from "../model/proxy.ts";
import type { ConnectedProxy, ProxyConnections } from "../model/proxy-connections.ts";
import { VerifiedIdentity } from "../model/verified-identity.ts";
import { Debounce } from "../push/debounce.ts";
import { FanOut } from "../push/fan-out.ts";
import type { XdsMetrics } from "../push/metrics.ts";
import { type ProxyClient, ResourceStore } from "../push/resource-store.ts";
import { findResourceType } from "../push/resource-types.ts";
import { ResponseEncoder } from "../push/response-encoder.ts";
import type { SecretAccess } from "../push/secret-answers.ts";
import type { Snapshot, SnapshotChange } from "../snapshot/snapshot.ts";
import type { Generators } from "../translate/generators.ts";
import { Connection } from "./connection.ts";
import { answerDebugRequest, type DebugPages, isDebugType } from "./debug-requests.ts";
import { createDebugView, type XdsDebug } from "./debug-view.ts";
import { DistributionCounter, type DistributionView } from "./distribution.ts";
import { HeldVersions } from "./held-versions.ts";
import type { XdsLimits } from "./limits.ts";
import { NameLists } from "./name-lists.ts";
import { healthTypeUrl, parseRequest, type ReceivedRequest, readHealth } from "./request.ts";
import type {
  Admission,
  Status,
  StreamHandler,
  StreamPort,
  StreamService,
  TlsSource,
  Transport,
  Variant,
} from "./transport.ts";

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
  /** In plain text where no TLS is given. */
  readonly createTransport: (service: StreamService, tls?: TlsSource) => Transport;
  /** Tells who calls over TLS; undefined where nobody is asked (XDS_AUTH). */
  readonly authenticate?: (credentials: PeerCredentials) => Promise<AuthenticationResult>;
  /** False: an identity need not fit what the proxy says of itself, and counts for nothing (PILOT_ENABLE_XDS_IDENTITY_CHECK). */
  readonly checksIdentity?: boolean;
  /** Who may read Secrets; nobody where not given. */
  readonly secretAccess?: SecretAccess;
  /** Who is told of proxies that come and go, and of what their agents say. */
  readonly connections?: ProxyConnections;
  /** What is served to those who ask for debug pages over TLS; nothing where not given. */
  readonly debugPages?: DebugPages;
  /** Calls back after pending input was handled: setImmediate. */
  readonly yieldTurn: (run: () => void) => void;
}

export interface DiscoveryServer {
  /** Takes a change in; a lone one goes out at once, a burst is held together. */
  apply(change: SnapshotChange): void;
  /** Serves "host:port" and gives the address that was taken; with TLS, callers have to say who they are. */
  start(address: string, tls?: TlsSource): Promise<string>;
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

/** A stream whose first request has been read. */
interface AcceptedStream {
  readonly port: StreamPort;
  readonly variant: Variant;
  readonly fail: (status: Status) => void;
  readonly identity: VerifiedIdentity | undefined;
}

/** What is known of credentials in the end. */
export type AuthenticationResult = Exclude<Authentication, { readonly kind: "absent" }>;

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
  readonly #controlPlane: string;
  readonly #fanOut: FanOut;
  readonly #debounce: Debounce;
  readonly #admission: RateLimit;
  readonly #transports: Transport[] = [];
  readonly #refusalLog: RateLimit;
  readonly #shared = { lists: new NameLists(), versions: new HeldVersions() };
  readonly #connections = new Map<string, Connection>();
  /** What others are told of connections, by their ids. */
  readonly #announced = new Map<string, ConnectedProxy>();
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
      ...(options.secretAccess === undefined ? {} : { secretAccess: options.secretAccess }),
      report: ({ type, name, cause }) => {
        options.metrics.count("pilot_total_xds_internal_errors");
        options.log.error("resources could not be made; the last good ones stay", { type: type.type, name, cause });
      },
    });
    const { id, version, runId } = identity;
    this.#controlPlane = JSON.stringify({ Component: "meltemi", ID: id, Info: { version } });
    this.#encoder = new ResponseEncoder(runId, this.#controlPlane);
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
    this.#refusalLog = new RateLimit({ clock, perSecond: 1, burst: 10, maxWaitMs: 0 });
    this.debug = createDebugView(this.#store, this.#connections);
    this.distribution = new DistributionCounter(this.#store, this.#connections, clock);
  }

  apply(change: SnapshotChange): void {
    // The first content makes the server ready: nobody is connected whom a burst could bother.
    if (this.#store.snapshot === undefined) this.#push(change, 0);
    else this.#debounce.add(change);
  }

  async start(address: string, tls?: TlsSource): Promise<string> {
    const transport = this.#options.createTransport(this, tls);
    const taken = await transport.listen(address);
    this.#transports.push(transport);
    return taken;
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#notifyServing();
    this.#debounce.close();
    const stopped = this.#transports.map((transport) => transport.stop(this.#options.limits.drainMs));
    for (const port of this.#ports) port.end(stopping);
    await Promise.all(stopped);
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

  async authenticate(credentials: PeerCredentials, peer: string): Promise<Caller | Status | undefined> {
    const { authenticate, log } = this.#options;
    if (authenticate === undefined) return undefined;
    const result = await authenticate(credentials);
    if (result.kind === "authenticated") return result.caller;
    // The reason is for us: it would tell somebody who tries how far they came.
    this.#reportRefusal(() => log.warn("a client could not be authenticated", { peer, reason: result.reason }));
    return { code: "UNAUTHENTICATED", details: "authentication failure" };
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
        if (request.typeUrl === healthTypeUrl) {
          if (connection !== undefined) this.#reportHealth(connection, request);
          return;
        }
        const connected = connection ?? this.#connect(request, { port, variant, fail });
        if ("code" in connected) {
          fail(connected);
          return;
        }
        connection = connected;
        if (isDebugType(request.typeUrl)) {
          const refusal = this.#answerDebug(request, connection, port);
          if (refusal !== undefined) fail(refusal);
          return;
        }
        const type = findResourceType(request.typeUrl);
        if (type !== undefined) connection.handleRequest(type, request);
      },
      handleEnd: () => fail({ code: "OK", details: "" }),
      handleClosed: close,
    };
  }

  /** Says why a debug page is not shown. */
  #answerDebug(request: ReceivedRequest, { inputs }: Connection, port: StreamPort): Status | undefined {
    const { id, proxy } = inputs;
    const answer = answerDebugRequest(request, this.#announced.get(id)?.identity, {
      pages: this.#options.debugPages,
      listConnections: () => this.debug.listConnections(),
      controlPlane: this.#controlPlane,
    });
    if (answer === undefined) return undefined;
    if (!("code" in answer)) {
      port.write(answer, () => undefined);
      return undefined;
    }
    const { code, details } = answer;
    this.#reportRefusal(() => {
      this.#options.log.warn("a debug page is not shown", { peer: port.peer, node: proxy.nodeId, code, details });
    });
    return answer;
  }

  #read(bytes: Uint8Array, variant: Variant): ReceivedRequest | Status {
    this.#options.metrics.noteRequestSize(bytes.length);
    try {
      const request = parseRequest(bytes, variant, this.#shared);
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
    const identity = this.#identify(proxy, stream.port);
    if (identity !== undefined && "code" in identity) return identity;
    try {
      return this.#createConnection(proxy, { ...stream, identity });
    } catch (cause) {
      this.#options.metrics.count("pilot_total_xds_internal_errors");
      this.#options.log.error("keys of a proxy could not be derived", { proxy: proxy.nodeId, cause });
      return { code: "INTERNAL", details: "configuration of this proxy cannot be made" };
    }
  }

  /** What the proxy says of itself must fit what it has proven; undefined where it has proven nothing. */
  #identify(proxy: MeshProxy, { caller, peer }: StreamPort): VerifiedIdentity | Status | undefined {
    const { checksIdentity = true, log } = this.#options;
    if (caller === undefined || !checksIdentity) return undefined;
    const identity = VerifiedIdentity.verify(proxy, caller);
    if (typeof identity !== "string") return identity;
    this.#reportRefusal(() =>
      log.warn("a client is not who it says it is", { peer, node: proxy.nodeId, reason: identity }),
    );
    return { code: "PERMISSION_DENIED", details: `authorization failed: ${identity}` };
  }

  /** Whoever is refused a thousand times a second must not fill the log. */
  #reportRefusal(report: () => void): void {
    if (this.#refusalLog.reserve() === 0) report();
  }

  #notifyServing(): void {
    for (const transport of this.#transports) transport.notifyServing();
  }

  #createConnection(proxy: MeshProxy, { port, variant, fail, identity }: AcceptedStream): Connection | Status {
    const { clock, limits, log, metrics } = this.#options;
    const client: ProxyClient = {
      identity,
      onChange: () => connection.noteChange(),
      report: ({ name, reason }) => {
        metrics.count("pilot_sds_certificate_errors_total");
        log.warn("a secret is not as it should be for a proxy", { proxy: proxy.nodeId, secret: name, reason });
      },
    };
    const connection: Connection = new Connection({
      id: `${proxy.id}-${this.#nextConnection++}`,
      proxy,
      variant,
      port,
      resources: this.#store.acquire(proxy, client),
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
    const refusal = this.#announce(connection, { port, variant, fail, identity });
    if (refusal !== undefined) {
      connection.close();
      return { code: "PERMISSION_DENIED", details: `authorization failed: ${refusal}` };
    }
    this.#connections.set(connection.inputs.id, connection);
    log.info("proxy connected", { connection: connection.inputs.id, peer: port.peer, variant });
    return connection;
  }

  /** Tells of a connection; a text says why it must not be. */
  #announce({ inputs, connectedAtMs }: Connection, { port, fail, identity }: AcceptedStream): string | undefined {
    const { id, proxy } = inputs;
    const { connections, log } = this.#options;
    const report = (reason: string): void =>
      this.#reportRefusal(() =>
        log.warn("a client is not who it says it is", { peer: port.peer, node: proxy.nodeId, reason }),
      );
    const refuse = (reason: string): void => {
      report(reason);
      fail({ code: "PERMISSION_DENIED", details: `authorization failed: ${reason}` });
    };
    const member: ConnectedProxy = { id, proxy, identity, connectedAtMs, refuse };
    const refusal = connections?.connect(member);
    if (refusal === undefined) this.#announced.set(id, member);
    else report(refusal);
    return refusal;
  }

  #reportHealth({ inputs }: Connection, request: ReceivedRequest): void {
    const member = this.#announced.get(inputs.id);
    const { connections, clock } = this.#options;
    if (member !== undefined) connections?.reportHealth(member, readHealth(request, clock.now()));
  }

  #disconnect(connection: Connection): void {
    const { id, proxy } = connection.inputs;
    const member = this.#announced.get(id);
    this.#announced.delete(id);
    if (member !== undefined) this.#options.connections?.disconnect(member);
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
    if (!wasServing) this.#notifyServing();
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
