/**
 * The agent's own port, 15020 (pilot/cmd/pilot-agent/status/server.go): readiness, merged metrics, the application's
 * probes, and what the end of a pod needs. It answers the whole network, except for what changes something or tells
 * of the mesh: that is for callers on this machine.
 */
import { isIPv4 } from "node:net";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from "fastify";
import type { Clock } from "../../../../src/lib/clock.ts";
import type { Log } from "../../../../src/lib/log.ts";
import type { AppProber, AppProbers } from "./app-probers.ts";
import { probeGrpc } from "./grpc-probe.ts";
import { probeHttp } from "./http-probe.ts";
import type { MergedPage, MetricsRequest } from "./merged-metrics.ts";
import type { ProbeOutcome, ProbeTarget } from "./probe-target.ts";
import type { ReadinessCheck } from "./readiness.ts";
import { probeTcp } from "./tcp-probe.ts";

export interface StatusServerOptions {
  /** "::" for all addresses of both families. */
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly checkReadiness: ReadinessCheck;
  readonly readMetrics: (asked: MetricsRequest) => Promise<MergedPage>;
  /** Metrics are for this pod alone (METRICS_LOCALHOST_ACCESS_ONLY). */
  readonly hasLocalMetrics: boolean;
  readonly probers: AppProbers;
  readonly probeTarget: ProbeTarget;
  /** Begins to drain; the answer does not wait for it. */
  readonly drain: () => void;
  /** Ends the agent without a drain. */
  readonly quit: () => void;
  /** The table of names as JSON; undefined where there is none. */
  readonly readNameTable: () => string | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

type PageOptions = Omit<StatusServerOptions, "host">;

export interface StatusServer {
  /** The port that is listened on. */
  readonly port: number;
  stop(): Promise<void>;
}

const compress = promisify(gzip);
/** Smaller pages are not worth the work. */
const minCompressedBytes = 1024;

/** Rejects where the port cannot be listened on. */
export async function startStatusServer(options: StatusServerOptions): Promise<StatusServer> {
  const server = createStatusPages(options);
  await listen(server, options);
  const address = server.server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : options.port,
    stop: () => server.close(),
  };
}

/** The pages of the port, listening nowhere yet. */
export function createStatusPages(options: PageOptions): FastifyInstance {
  const server = fastify({ bodyLimit: 1024, requestTimeout: 10_000, forceCloseConnections: true });
  server.setErrorHandler((error, request, reply) => {
    options.log.error("a page failed", { path: request.url, error });
    return reply.code(500).type("text/plain").send("internal error; see the log\n");
  });
  server.setNotFoundHandler((_request, reply) => reply.code(404).type("text/plain").send("404 page not found\n"));
  // What a caller sends along is of no interest, whatever it calls it.
  server.removeAllContentTypeParsers();
  server.addContentTypeParser("*", (_request, _body, done) => done(null));
  addReadiness(server, options);
  addMetrics(server, options);
  addCommands(server, options);
  addProbes(server, options);
  return server;
}

/** "::" means both families; a machine without IPv6 has one. */
async function listen(server: FastifyInstance, { host, port }: StatusServerOptions): Promise<void> {
  try {
    await server.listen({ host, port });
  } catch (cause) {
    const noIpv6 = cause instanceof Error && "code" in cause && cause.code === "EAFNOSUPPORT";
    if (host !== "::" || !noIpv6) throw cause;
    await server.listen({ host: "0.0.0.0", port });
  }
}

function addReadiness(server: FastifyInstance, { checkReadiness, log }: PageOptions): void {
  let wasReady = false;
  server.get("/healthz/ready", async (_request, reply) => {
    const missing = await checkReadiness();
    if (missing !== undefined) log.warn("the proxy is not ready", { reason: missing });
    else if (!wasReady) log.info("the proxy is ready");
    wasReady = missing === undefined;
    return reply
      .code(missing === undefined ? 200 : 503)
      .type("text/plain")
      .send(missing === undefined ? "" : `${missing}\n`);
  });
}

function addMetrics(server: FastifyInstance, options: PageOptions): void {
  const onRequest = options.hasLocalMetrics ? [onlyFromThisMachine] : [];
  const handle = async (request: FastifyRequest, reply: FastifyReply) => {
    const query = request.url.split("?").slice(1).join("?");
    const page = await options.readMetrics({ headers: request.headers, query });
    const body = Buffer.from(page.body);
    void reply.type(page.contentType).header("vary", "accept-encoding");
    if (body.length < minCompressedBytes || !takesGzip(request.headers["accept-encoding"])) return reply.send(body);
    return reply.header("content-encoding", "gzip").send(await compress(body));
  };
  server.get("/metrics", { onRequest }, handle);
  server.get("/stats/prometheus", { onRequest }, handle);
}

function takesGzip(accepted: string | string[] | undefined): boolean {
  return String(accepted ?? "")
    .split(",")
    .some((part) => /^\s*(gzip|\*)\s*(;\s*q=(?!0(\.0*)?\s*$).*)?$/i.test(part));
}

function addCommands(server: FastifyInstance, { drain, quit, readNameTable, log }: PageOptions): void {
  const onRequest = [onlyFromThisMachine];
  for (const [path, run] of [
    ["/drain", drain],
    ["/quitquitquit", quit],
  ] as const) {
    server.all(path, { onRequest }, (request, reply) => {
      if (request.method !== "POST") return reply.code(405).header("allow", "POST").send("Method Not Allowed\n");
      log.info("asked over HTTP", { path });
      // The answer goes out first: what follows may end this server.
      reply.raw.once("finish", run);
      return reply.type("text/plain").send("OK");
    });
  }
  server.get("/debug/ndsz", { onRequest }, (_request, reply) => {
    const table = readNameTable();
    return reply
      .code(table === undefined ? 404 : 200)
      .type("application/json")
      .send(table ?? "{}");
  });
}

/** Nothing proves who asks; a caller of this pod is the application's or the kubelet's hook. */
function onlyFromThisMachine(request: FastifyRequest, reply: FastifyReply, next: () => void): void {
  if (isLoopback(request.socket.remoteAddress)) next();
  else void reply.code(403).type("text/plain").send("Only requests from localhost are allowed\n");
}

function isLoopback(address: string | undefined): boolean {
  const plain = address?.startsWith("::ffff:") === true ? address.slice(7) : (address ?? "");
  return isIPv4(plain) ? plain.startsWith("127.") : plain === "::1";
}

function addProbes(server: FastifyInstance, options: PageOptions): void {
  const { probers, log } = options;
  const handle = async (request: FastifyRequest, reply: FastifyReply) => {
    const path = request.url.split("?")[0] ?? "";
    const prober = probers.get(path);
    if (prober === undefined) {
      log.warn("a probe of the application is not known", { path });
      return reply.code(400).type("text/plain").send(`app prober config does not exists for ${path}`);
    }
    const { status, body, problem } = await probe(options, prober, request);
    if (problem !== undefined) log.info("a probe of the application failed", { path, problem });
    return reply
      .code(status)
      .type("text/plain")
      .send(body ?? "");
  };
  server.get("/app-health/*", handle);
  server.get("/app-lifecycle/*", handle);
}

function probe(options: PageOptions, prober: AppProber, request: FastifyRequest): Promise<ProbeOutcome> {
  const { probeTarget, clock } = options;
  switch (prober.kind) {
    case "http":
      return probeHttp(probeTarget, { ...prober, headers: request.headers, statusPort: options.port }, clock);
    case "tcp":
      return probeTcp(probeTarget, prober, clock);
    case "grpc":
      return probeGrpc(probeTarget, { ...prober, userAgent: request.headers["user-agent"] }, clock);
  }
}
