/** What the four services share: one small HTTP server, and calls to the other services. */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, request, type ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";

/** Where a service listens and which proxy takes its outgoing requests. */
export interface ServiceOptions {
  readonly name: string;
  readonly version: string;
  readonly port: number;
  /**
   * Port of the sidecar's outbound listener on 127.0.0.1, and then the service listens there as well. Undefined in a pod,
   * whose traffic finds its sidecar by itself.
   */
  readonly proxyPort: number | undefined;
}

export interface Reply {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** Answers one request; undefined means that there is no such page. */
export type Handler = (path: string, headers: IncomingHttpHeaders) => Promise<Reply | undefined> | Reply | undefined;

/** Reads `--port N [--proxy-port N] [--version v1]` from the command line. */
export function readOptions(name: string): ServiceOptions {
  const text = { type: "string" } as const;
  const { values } = parseArgs({ options: { port: text, "proxy-port": text, version: text } });
  return {
    name,
    version: values.version ?? "v1",
    port: Number(values.port),
    proxyPort: values["proxy-port"] === undefined ? undefined : Number(values["proxy-port"]),
  };
}

/** Where Kubernetes asks; it is no caller. */
const healthPath = "/health";
/** Longest time that a service goes on after it was asked to end. */
const graceMs = 15_000;
/** A pod's callers hear that it goes about when it does itself: it ends when none has called for this long. */
const quietMs = 1500;

/** Serves until a signal, then answers what still comes in and ends. A handler that fails gives 500 and its message. */
export function serve(options: ServiceOptions, handle: Handler): void {
  const isInPod = options.proxyPort === undefined;
  const server = createServer((incoming, outgoing) => void respond(incoming, outgoing));
  let isEnding = false;
  let lastCallMs = 0;
  // Every address of a pod; on a shared machine only what the sidecar beside it can reach.
  const address = isInPod ? "0.0.0.0" : "127.0.0.1";
  server.listen(options.port, address, () => {
    process.stdout.write(`${options.name}-${options.version} listens on ${address}:${options.port}\n`);
  });
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, end);

  function end(): void {
    if (isEnding) return;
    isEnding = true;
    void sleep(graceMs).then(() => process.exit(0));
    void (isInPod ? awaitQuiet() : Promise.resolve()).then(() => server.close(() => process.exit(0)));
  }

  async function awaitQuiet(): Promise<void> {
    lastCallMs = performance.now();
    while (performance.now() - lastCallMs < quietMs) await sleep(quietMs / 10);
  }

  async function respond(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const path = new URL(incoming.url ?? "/", "http://service").pathname;
    const reply = await answer(path, incoming.headers);
    if (path !== healthPath) lastCallMs = performance.now();
    const lastOne = isEnding ? { connection: "close" } : undefined;
    outgoing.writeHead(reply.status, { "content-type": reply.type, ...lastOne });
    outgoing.end(reply.body);
  }

  async function answer(path: string, headers: IncomingHttpHeaders): Promise<Reply> {
    if (path === healthPath) return json(200, { status: `${options.name} is healthy` });
    try {
      return (await handle(path, headers)) ?? json(404, { error: `${options.name} has no ${path}` });
    } catch (cause) {
      return json(500, { error: String(cause) });
    }
  }
}

export function json(status: number, body: unknown): Reply {
  return { status, type: "application/json", body: `${JSON.stringify(body)}\n` };
}

export interface CallResult {
  readonly status: number;
  readonly body: string;
}

// A trace stays one trace only where each service hands on the headers that began it; end-user is for routing by user.
const handedOn = ["x-request-id", "traceparent", "tracestate", "b3", "end-user"] as const;

/**
 * Calls `http://HOST/path`: the host itself, or with a proxy port the sidecar, the way any program with HTTP_PROXY set
 * does it. Rejects only where that cannot be reached or does not answer within 10 seconds.
 */
export function callService(
  { proxyPort }: ServiceOptions,
  url: string,
  incoming: IncomingHttpHeaders,
): Promise<CallResult> {
  const { hostname, port, host, pathname } = new URL(url);
  const headers: Record<string, string> = { host };
  for (const name of handedOn) {
    const value = incoming[name];
    if (typeof value === "string") headers[name] = value;
  }
  const target =
    proxyPort === undefined
      ? { host: hostname, port, path: pathname }
      : { host: "127.0.0.1", port: proxyPort, path: url };
  return new Promise((resolve, reject) => {
    const call = request({ ...target, headers, timeout: 10_000 }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        body += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
      response.on("error", reject);
    });
    call.on("timeout", () => call.destroy(new Error(`${url} did not answer within 10 s`)));
    call.on("error", reject);
    call.end();
  });
}
