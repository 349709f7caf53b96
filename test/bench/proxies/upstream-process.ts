/** The process behind the proxies: a server for each kind of work, each as cheap as can be. */
import type { AddressInfo, Server } from "node:net";
import { large, small } from "./bodies.ts";
import { answerParent } from "./child-link.ts";
import { createHttp1Upstream, createUploadUpstream } from "./http1-upstream.ts";
import { createHttp2Upstream } from "./http2-upstream.ts";
import { createTcpUpstream } from "./tcp-upstream.ts";

export const upstreamNames = ["small", "large", "upload", "http2", "tcp"] as const;
export type UpstreamName = (typeof upstreamNames)[number];
/** On the loopback address. */
export type UpstreamPorts = Readonly<Record<UpstreamName, number>>;

const servers: Readonly<Record<UpstreamName, Server>> = {
  small: createHttp1Upstream(small),
  large: createHttp1Upstream(large),
  upload: createUploadUpstream(),
  http2: createHttp2Upstream(small),
  tcp: createTcpUpstream(large),
};

const entries = await Promise.all(upstreamNames.map(async (name) => [name, await listen(servers[name])] as const));
answerParent<object, UpstreamPorts>(Object.fromEntries(entries) as Record<UpstreamName, number>, async () => {
  throw new Error("nothing can be asked");
});

function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port: 0, host: "127.0.0.1", backlog: 2048 }, () => resolve((server.address() as AddressInfo).port));
  });
}
