/** The upstreams of the behaviour suite, by name: `${name}` in configuration is the port. */
import {
  type EchoedRequest,
  type EchoUpstream,
  startGreeter,
  startGrpcEcho,
  startHttp2Echo,
  startHttpEcho,
  startReader,
  startSecureEcho,
  startTunnelEnd,
} from "../../support/echo-upstreams.ts";
import type { TestAuthority } from "../../support/test-authority.ts";

export interface UpstreamSet {
  readonly ports: ReadonlyMap<string, number>;
  /** Everything that HTTP upstreams were asked, in order. */
  readonly received: readonly EchoedRequest[];
  stop(): Promise<void>;
}

const httpNames = ["v1", "v2", "v3", "other", "app"];
const greeterNames = ["red", "blue", "green"];

export async function startUpstreamSet(authority: TestAuthority): Promise<UpstreamSet> {
  const received: EchoedRequest[] = [];
  const started = new Map<string, EchoUpstream>();
  const optionsOf = (name: string) => ({ name, note: (request: EchoedRequest) => void received.push(request) });
  for (const name of httpNames) started.set(name, await startHttpEcho(optionsOf(name)));
  for (const name of greeterNames) started.set(name, await startGreeter(name));
  started.set("reader", await startReader("reader"));
  started.set("tunnel", await startTunnelEnd("tunnel"));
  started.set("h2", await startHttp2Echo(optionsOf("h2")));
  started.set("grpc", await startGrpcEcho(optionsOf("grpc")));
  const roots = authority.rootPem;
  for (const [name, requiresCertificate] of [
    ["secure", false],
    ["mutual", true],
  ] as const) {
    const certificate = await authority.issue(`${name}.test`, `spiffe://cluster.local/ns/shop/sa/${name}`);
    const tls = { certificate, clientRoots: roots, requiresCertificate };
    started.set(name, await startSecureEcho({ ...optionsOf(name), ...tls }));
  }
  const google = {
    certificate: await authority.issue("www.google.com"),
    clientRoots: roots,
    requiresCertificate: false,
  };
  started.set("google", await startSecureEcho({ ...optionsOf("google"), ...google }));
  return {
    ports: new Map([...started].map(([name, { port }]) => [name, port])),
    received,
    async stop() {
      for (const { stop } of started.values()) await stop();
    },
  };
}
