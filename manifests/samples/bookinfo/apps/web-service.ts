/** What the four services share: one small HTTP server, and calls to other services through their own sidecar. */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, request, type ServerResponse } from "node:http";
import { parseArgs } from "node:util";

/** Where a service listens and which proxy takes its outgoing requests. */
export interface ServiceOptions {
  readonly name: string;
  readonly version: string;
  readonly port: number;
  /** Port of the sidecar's outbound listener on 127.0.0.1. */
  readonly proxyPort: number;
}

export interface Reply {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** Answers one request; undefined means that there is no such page. */
export type Handler = (path: string, headers: IncomingHttpHeaders) => Promise<Reply | undefined> | Reply | undefined;

/** Reads `--port N --proxy-port N [--version v1]` from the command line. */
export function readOptions(name: string): ServiceOptions {
  const text = { type: "string" } as const;
  const { values } = parseArgs({ options: { port: text, "proxy-port": text, version: text } });
  return {
    name,
    version: values.version ?? "v1",
    port: Number(values.port),
    proxyPort: Number(values["proxy-port"]),
  };
}

/** Serves until the process ends. A handler that fails gives 500 and its message. */
export function serve(options: ServiceOptions, handle: Handler): void {
  const server = createServer((incoming, outgoing) => void respond(incoming, outgoing));
  server.listen(options.port, "127.0.0.1", () => {
    process.stdout.write(`${options.name}-${options.version} listens on 127.0.0.1:${options.port}\n`);
  });
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(0));

  async function respond(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const path = new URL(incoming.url ?? "/", "http://service").pathname;
    const reply = await answer(path, incoming.headers);
    outgoing.writeHead(reply.status, { "content-type": reply.type });
    outgoing.end(reply.body);
  }

  async function answer(path: string, headers: IncomingHttpHeaders): Promise<Reply> {
    if (path === "/health") return json(200, { status: `${options.name} is healthy` });
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
 * Calls `http://HOST/path` the way any program with HTTP_PROXY set does it: the whole URL goes to the proxy, which is
 * the sidecar. Rejects only where the sidecar itself cannot be reached or does not answer within 10 seconds.
 */
export function callThroughSidecar(
  options: ServiceOptions,
  url: string,
  incoming: IncomingHttpHeaders,
): Promise<CallResult> {
  const headers: Record<string, string> = { host: new URL(url).host };
  for (const name of handedOn) {
    const value = incoming[name];
    if (typeof value === "string") headers[name] = value;
  }
  return new Promise((resolve, reject) => {
    const call = request(
      { host: "127.0.0.1", port: options.proxyPort, path: url, headers, timeout: 10_000 },
      (response) => {
        let body = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          body += chunk;
        });
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
        response.on("error", reject);
      },
    );
    call.on("timeout", () => call.destroy(new Error(`${url} did not answer within 10 s`)));
    call.on("error", reject);
    call.end();
  });
}
