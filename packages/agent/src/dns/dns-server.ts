/**
 * The agent's DNS server: answers names of the mesh from the name table, and asks the pod's resolvers for all others
 * (https://istio.io/latest/docs/ops/configuration/traffic-management/dns-proxy/). A name that the mesh knows and that has
 * no address of the asked family has an empty answer: "no such name" would end a client's other try as well.
 */
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { createServer, isIPv4, isIPv6, type Server, type Socket } from "node:net";
import { type Json, toJson } from "@meltemi/protos";
import type { NameTable } from "@meltemi/protos/istio/networking/nds/v1";
import type { Clock } from "../../../../src/lib/clock.ts";
import type { Log } from "../../../../src/lib/log.ts";
import {
  asksForAddress,
  buildAnswer,
  buildFailure,
  buildRefusal,
  fitAnswer,
  type Query,
  readQuery,
  recordTypes,
  responseCodes,
} from "./dns-message.ts";
import { type DnsProtocol, Forwarder } from "./forwarder.ts";
import { buildNameRecords, type FoundName, type NameRecords, type NameScope } from "./name-records.ts";
import type { ResolvConf } from "./resolv-conf.ts";
import { FrameReader, formatFrame } from "./tcp-frames.ts";

export interface DnsServerOptions extends Omit<NameScope, "search"> {
  /** "127.0.0.1:15053". "localhost:PORT" listens in each family that a resolver has. */
  readonly address: string;
  readonly resolvConf: ResolvConf;
  /** Port of the resolvers; 53 where not given. */
  readonly resolverPort?: number;
  /** DNS_FORWARD_PARALLEL: asks all resolvers at once. */
  readonly forwardParallel: boolean;
  /** DNS_FORWARD_TIMEOUT: how long one resolver may take. */
  readonly forwardTimeoutMs: number;
  /** Forwards everything before the first table, instead of failing: for a server in the place of the system's own. */
  readonly forwardsBeforeTable?: boolean;
  readonly clock: Clock;
  readonly log: Log;
}

export interface DnsCounts {
  readonly requests: number;
  readonly forwarded: number;
  /** Forwarded ones that no resolver answered. */
  readonly failed: number;
}

export interface DnsServer {
  /** Replaces the whole table. */
  setTable(table: NameTable): void;
  /** True from the first table on. */
  isReady(): boolean;
  /** Since the start. */
  counts(): DnsCounts;
  /** The name table as it was given, for /debug/ndsz; undefined before the first. */
  describe(): Json | undefined;
  stop(): Promise<void>;
}

/** A TCP client that says nothing for so long is let go. */
const idleMs = 8000;
const maxConnections = 256;

/** Listens on UDP and TCP; rejects where a port is taken. */
export async function startDnsServer(options: DnsServerOptions): Promise<DnsServer> {
  const server = new LocalDnsServer(options);
  try {
    await server.start();
  } catch (cause) {
    await server.stop();
    throw cause;
  }
  return server;
}

class LocalDnsServer implements DnsServer {
  readonly #options: DnsServerOptions;
  readonly #forwarder: Forwarder;
  readonly #udp: UdpSocket[] = [];
  readonly #tcp: Server[] = [];
  readonly #connections = new Set<Socket>();
  /** How often each list of addresses was given out. */
  readonly #turns = new WeakMap<readonly Uint8Array[], number>();
  #table: NameTable | undefined;
  #records: NameRecords | undefined;
  #requests = 0;
  #forwarded = 0;
  #failed = 0;

  constructor(options: DnsServerOptions) {
    this.#options = options;
    this.#forwarder = new Forwarder({
      nameservers: options.resolvConf.nameservers,
      port: options.resolverPort ?? 53,
      parallel: options.forwardParallel,
      timeoutMs: options.forwardTimeoutMs,
      clock: options.clock,
    });
  }

  async start(): Promise<void> {
    for (const { host, port } of listAddresses(this.#options)) {
      await this.#listenUdp(host, port);
      await this.#listenTcp(host, port);
      this.#options.log.info("DNS server listens", { host, port });
    }
  }

  setTable(table: NameTable): void {
    const { resolvConf, ...scope } = this.#options;
    this.#table = table;
    this.#records = buildNameRecords(table, { ...scope, search: resolvConf.search });
  }

  isReady(): boolean {
    return this.#records !== undefined;
  }

  counts(): DnsCounts {
    return { requests: this.#requests, forwarded: this.#forwarded, failed: this.#failed };
  }

  describe(): Json | undefined {
    return this.#table === undefined ? undefined : toJson("istio.networking.nds.v1.NameTable", this.#table);
  }

  async stop(): Promise<void> {
    this.#forwarder.stop();
    for (const connection of this.#connections) connection.destroy();
    await Promise.all([
      ...this.#udp.splice(0).map((socket) => new Promise<void>((resolve) => socket.close(() => resolve()))),
      ...this.#tcp.splice(0).map((server) => new Promise<void>((resolve) => server.close(() => resolve()))),
    ]);
  }

  #listenUdp(host: string, port: number): Promise<void> {
    const socket = createSocket({ type: isIPv6(host) ? "udp6" : "udp4" });
    socket.on("message", (message, peer) => {
      this.#respond(message, "udp")
        .then((answer) => {
          if (answer !== undefined && this.#udp.includes(socket)) socket.send(answer, peer.port, peer.address, ignore);
        })
        .catch((cause: unknown) => this.#report(cause));
    });
    return new Promise((resolve, reject) => {
      socket.once("error", reject);
      socket.bind(port, host, () => {
        socket.off("error", reject).on("error", (cause) => this.#report(cause));
        this.#udp.push(socket);
        resolve();
      });
    });
  }

  #listenTcp(host: string, port: number): Promise<void> {
    const server = createServer((connection) => this.#serveConnection(connection));
    server.maxConnections = maxConnections;
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, host, () => {
        server.off("error", reject).on("error", (cause) => this.#report(cause));
        this.#tcp.push(server);
        resolve();
      });
    });
  }

  #serveConnection(connection: Socket): void {
    const frames = new FrameReader();
    const end = (): void => void connection.destroy();
    let idle = this.#options.clock.after(idleMs, end);
    this.#connections.add(connection);
    connection.on("error", end);
    connection.on("close", () => {
      idle.close();
      this.#connections.delete(connection);
    });
    connection.on("data", (data) => {
      idle.close();
      idle = this.#options.clock.after(idleMs, end);
      for (const message of frames.read(data)) {
        this.#respond(message, "tcp")
          .then((answer) => answer === undefined || connection.destroyed || connection.write(formatFrame(answer)))
          .catch((cause: unknown) => this.#report(cause));
      }
    });
  }

  /** The answer to a message; undefined where there is none to give. */
  async #respond(message: Buffer, protocol: DnsProtocol): Promise<Buffer | undefined> {
    const read = readQuery(message);
    if (read.kind === "ignored") return undefined;
    this.#requests += 1;
    if (read.kind === "refused") return buildRefusal(message, read.code);
    const { query } = read;
    const answer = this.#answerFromTable(query) ?? (await this.#forward(query, protocol));
    return protocol === "udp" ? fitAnswer(query, answer, query.maxUdpBytes) : answer;
  }

  #answerFromTable(query: Query): Buffer | undefined {
    if (this.#records === undefined) {
      // A client that is told "no such name" now would remember it.
      return this.#options.forwardsBeforeTable === true ? undefined : buildFailure(query, responseCodes.serverFailure);
    }
    if (!asksForAddress(query)) return undefined;
    const found = this.#records.find(query.name);
    return found === undefined ? undefined : this.#buildTableAnswer(query, found);
  }

  #buildTableAnswer(query: Query, { records, canonicalName }: FoundName): Buffer {
    const addresses = query.type === recordTypes.a ? records.v4 : records.v6;
    return buildAnswer(query, this.#rotate(addresses), canonicalName);
  }

  /** Another address first each time: clients take the first. */
  #rotate(addresses: readonly Uint8Array[]): readonly Uint8Array[] {
    if (addresses.length < 2) return addresses;
    const turn = this.#turns.get(addresses) ?? 0;
    this.#turns.set(addresses, turn + 1);
    const start = turn % addresses.length;
    return [...addresses.slice(start), ...addresses.slice(0, start)];
  }

  async #forward(query: Query, protocol: DnsProtocol): Promise<Buffer> {
    this.#forwarded += 1;
    const answer = await this.#forwarder.ask(query, protocol);
    if (answer !== undefined) return answer;
    this.#failed += 1;
    return buildFailure(query, responseCodes.serverFailure);
  }

  #report(cause: unknown): void {
    this.#options.log.warn("DNS server met an error", {
      error: cause instanceof Error ? cause.message : String(cause),
    });
  }
}

/** The client is gone, or its address is no address: nobody is left to tell. */
function ignore(): void {}

function listAddresses({ address, resolvConf }: DnsServerOptions): readonly { host: string; port: number }[] {
  const [, host = "", portText = ""] = /^\[?([^[\]]*)\]?:(\d{1,5})$/.exec(address) ?? [];
  if (portText === "") throw new Error(`not an address with a port: ${JSON.stringify(address)}`);
  const port = Number(portText);
  if (host !== "localhost") return [{ host: host === "" ? "0.0.0.0" : host, port }];
  const { nameservers } = resolvConf;
  const hasIpv6 = nameservers.some((server) => isIPv6(server.replace(/%.*$/, "")));
  const hasIpv4 = nameservers.some((server) => isIPv4(server)) || !hasIpv6;
  return [...(hasIpv4 ? ["127.0.0.1"] : []), ...(hasIpv6 ? ["::1"] : [])].map((name) => ({ host: name, port }));
}
