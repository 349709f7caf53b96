/** Real servers behind the Envoys of tests, and the questions that go through the Envoys to them. */
import { createServer, type IncomingHttpHeaders, request } from "node:http";
import type { AddressInfo, Server } from "node:net";

/** A request as an upstream saw it; its answer carries this as JSON. */
interface SeenRequest {
  readonly upstream: string;
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
}

export interface Upstream {
  readonly port: number;
  /** All requests so far. */
  readonly seen: readonly SeenRequest[];
  stop(): Promise<void>;
}

/** An HTTP server that says who it is and what it saw. */
export async function startUpstream(name: string): Promise<Upstream> {
  const seen: SeenRequest[] = [];
  const server = createServer(({ method = "", url: path = "", headers }, response) => {
    const entry = { upstream: name, method, path, headers };
    seen.push(entry);
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify(entry));
  });
  return {
    port: await listen(server),
    seen,
    stop: () => {
      server.closeAllConnections();
      return close(server);
    },
  };
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

export interface Question {
  /** Where an Envoy listens, on the loopback address. */
  readonly port: number;
  /** The path of the request line; a whole URL for an HTTP proxy. */
  readonly path: string;
  readonly host: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** What the upstream saw; undefined where no upstream answered. */
  readonly seen: SeenRequest | undefined;
}

/** Sends one HTTP request on a connection of its own. */
export function ask({ port, path, host, method = "GET", headers = {} }: Question): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port, path, method, headers: { ...headers, host }, agent: false };
    const call = request(options, (response) => {
      let body = "";
      response.on("data", (chunk: Buffer) => (body += chunk.toString()));
      response.on("end", () => {
        const isOurs = response.headers["content-type"] === "application/json";
        const seen = isOurs ? (JSON.parse(body) as SeenRequest) : undefined;
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body, seen });
      });
      response.on("error", reject);
    });
    call.on("error", reject);
    call.end();
  });
}
