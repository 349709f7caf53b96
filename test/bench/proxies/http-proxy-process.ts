/** http-proxy as one would use it: a server that hands requests on by their path, with connections that are kept. */
import { Agent, createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import httpProxy from "http-proxy";
import type { ListenerName, ServingCertificate } from "./bench-bootstrap.ts";
import { answerParent, readStartData } from "./child-link.ts";
import type { UpstreamName, UpstreamPorts } from "./upstream-process.ts";

export interface HttpProxyData {
  readonly ports: UpstreamPorts;
  readonly certificate: ServingCertificate;
}

const { ports, certificate } = readStartData<HttpProxyData>();
const proxy = httpProxy.createProxyServer({ agent: new Agent({ keepAlive: true, maxFreeSockets: 1024 }) });
const targets = (["small", "large", "upload"] satisfies readonly UpstreamName[]).map((name) => ({
  prefix: `/${name}`,
  target: { host: "127.0.0.1", port: ports[name] },
}));

const handle: RequestListener = (request, response) => {
  const target = targets.find(({ prefix }) => request.url?.startsWith(prefix))?.target;
  if (target === undefined) response.writeHead(404).end();
  else proxy.web(request, response, { target });
};
// Clients of the bench end connections whenever they like.
proxy.on("error", (_cause, _request, response) => {
  if ("headersSent" in response && !response.headersSent) response.writeHead(502).end();
});

/** Node's own 5 seconds would end idle connections while they are measured; Envoy keeps them for an hour. */
const keepAliveTimeout = 3_600_000;

answerParent<object, Partial<Record<ListenerName, number>>>(
  {
    http: await listen(createServer({ keepAliveTimeout }, handle)),
    tls: await listen(
      createTlsServer({ cert: certificate.chain, key: certificate.privateKey, keepAliveTimeout }, handle),
    ),
  },
  async () => {
    throw new Error("nothing can be asked");
  },
);

function listen(server: Server | ReturnType<typeof createTlsServer>): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port: 0, host: "127.0.0.1", backlog: 2048 }, () => resolve((server.address() as AddressInfo).port));
  });
}
