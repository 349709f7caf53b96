/** The host behind a static bootstrap: an HTTPS server that remembers what it was asked, and under which names. */
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";
import { createSelfSigned } from "../../tools/run/certificate.ts";

export interface SeenOverTls {
  readonly method: string;
  readonly path: string;
  /** Lines as they came, in their order. */
  readonly headers: readonly string[];
  readonly body: string;
  readonly serverName: unknown;
  readonly alpn: unknown;
  readonly version: string | null;
}

export interface TlsServer {
  readonly port: number;
  /** What was asked since the last call. */
  takeSeen(): readonly SeenOverTls[];
  stop(): Promise<void>;
}

export const largeBytes = 1 << 20;

/** Answers by the path: /missing 404, /unchanged 304, /empty 204, /large much, /torn not at all, others a chunked 200. */
export async function startTlsServer(): Promise<TlsServer> {
  const { certificatePem: cert, privateKeyPem: key } = createSelfSigned(["localhost"], Date.now());
  let seen: SeenOverTls[] = [];
  const server: Server = createServer({ cert, key }, async (request, response) => {
    const { method = "", url: path = "", rawHeaders } = request;
    const socket = request.socket as TLSSocket & { readonly servername?: unknown };
    const body = Buffer.concat(await request.toArray()).toString();
    const [serverName, alpn, version] = [socket.servername, socket.alpnProtocol, socket.getProtocol()];
    seen.push({ method, path, headers: listHeaders(rawHeaders), body, serverName, alpn, version });
    if (path === "/torn") socket.destroy();
    else if (path === "/missing") response.writeHead(404, { "X-Own": "One", server: "gws" }).end("none\n");
    else if (path === "/unchanged") response.writeHead(304).end();
    else if (path === "/empty") response.writeHead(204).end();
    else if (path === "/large") response.end("x".repeat(largeBytes));
    else {
      response.writeHead(200, { "set-cookie": ["a=1", "b=2"] });
      response.write("hello ");
      response.end(body);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    takeSeen() {
      const taken = seen;
      seen = [];
      return taken;
    },
    stop() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

/** "name: value" from the flat list that Node keeps. */
export function listHeaders(raw: readonly string[]): readonly string[] {
  return raw.flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${raw[index + 1]}`] : []));
}
