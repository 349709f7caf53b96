import { unpackAny } from "@meltemi/protos";
import type { FilterChain, Listener } from "@meltemi/protos/envoy/config/listener/v3";
import { describe, expect, it } from "vitest";
import { buildMesh } from "../../../test/support/mesh-objects.ts";
import { type NodeMessage, parseNode } from "../../model/node.ts";
import type { Built } from "../built.ts";
import { createScopeView } from "../scopes/create-scope-view.ts";
import { createWorkloadView } from "../scopes/create-workload-view.ts";
import { deriveKeys } from "../scopes/derive-keys.ts";
import { inboundListeners } from "./inbound.ts";

const service = `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  clusterIP: 10.96.0.1
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8080}, {name: tcp, port: 90, targetPort: 9090}, {name: grpc, port: 70, targetPort: 7070}]
`;

function listenersOf(
  yaml: string,
  node: { readonly metadata?: object; readonly extensions?: NodeMessage["extensions"] } = {},
): readonly Built<Listener>[] {
  const snapshot = buildMesh(yaml).current;
  const proxy = parseNode({
    id: "sidecar~10.0.0.9~web-x.shop~shop.svc.cluster.local",
    metadata: {
      NAMESPACE: "shop",
      CLUSTER_ID: "Kubernetes",
      ISTIO_VERSION: "1.31.0",
      LABELS: { app: "web" },
      ...node.metadata,
    },
    extensions: node.extensions,
  });
  if (typeof proxy === "string") throw new Error(proxy);
  const keys = deriveKeys(snapshot, proxy);
  return inboundListeners(createWorkloadView(createScopeView(snapshot, keys.scope), keys.workload));
}

function chainsOf(listener: Built<Listener> | undefined, port: number): readonly FilterChain[] {
  const chains = listener?.message.filter_chains ?? [];
  return chains.filter((chain) => (chain.filter_chain_match?.destination_port?.value ?? 0) === port);
}

/** "tls istio,… http": transport, protocols and what ends the chain, with "+tls" where TLS ends there. */
function describeChain(chain: FilterChain): string {
  const { transport_protocol: transport = "any", application_protocols: protocols = [] } =
    chain.filter_chain_match ?? {};
  const end = chain.filters?.at(-1)?.name?.endsWith("http_connection_manager") === true ? "http" : "tcp";
  return `${transport}${protocols.length === 0 ? "" : ` ${protocols[0]}…`} ${end}${chain.transport_socket === undefined ? "" : "+tls"}`;
}

function managerOf(chain: FilterChain | undefined): { readonly [field: string]: unknown } {
  const config = chain?.filters?.at(-1)?.typed_config;
  return config === undefined ? {} : unpackAny(config).message;
}

const peers = (name: string, spec: string): string => `
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: ${name}, namespace: shop}
spec: ${spec}
`;

describe("inbound chains of services", () => {
  it("takes both mutual TLS and plain text where no policy speaks", () => {
    const [virtual, ...others] = listenersOf(service);
    expect(others).toEqual([]);
    expect(virtual?.name).toBe("virtualInbound");
    expect(chainsOf(virtual, 8080).map(describeChain)).toEqual(["tls istio… http+tls", "raw_buffer http"]);
    expect(chainsOf(virtual, 9090).map(describeChain)).toEqual(["tls istio… tcp+tls", "tls tcp", "raw_buffer tcp"]);
    expect(chainsOf(virtual, 15006).map(({ name }) => name)).toEqual(["virtualInbound-blackhole"]);
    expect(chainsOf(virtual, 0)).toHaveLength(5);
  });

  it("follows policies, also for one port and for ports without a service", () => {
    const policy = peers(
      "web",
      "{selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}, portLevelMtls: {8080: {mode: DISABLE}, 6000: {mode: DISABLE}}}",
    );
    const [virtual] = listenersOf(`${service}${policy}`);
    expect(chainsOf(virtual, 8080).map(describeChain)).toEqual(["raw_buffer http"]);
    expect(chainsOf(virtual, 9090).map(describeChain)).toEqual(["tls tcp+tls"]);
    expect(chainsOf(virtual, 0).map(describeChain)).toEqual(["tls istio-http/1.0… http+tls", "tls tcp+tls"]);
    expect(chainsOf(virtual, 6000).map(describeChain)).toEqual(["raw_buffer http/1.1… http", "raw_buffer tcp"]);
    expect(virtual?.sources).toContainEqual({ kind: "PeerAuthentication", namespace: "shop", name: "web" });
  });

  it("takes the port that is written first where two ports of a service lead to one of the workload", () => {
    const [virtual] = listenersOf(
      service.replace(
        /ports: .*/,
        "ports: [{name: tcp, port: 90, targetPort: 8080}, {name: http, port: 80, targetPort: 8080}]",
      ),
    );
    expect(chainsOf(virtual, 8080).map(describeChain)).toEqual(["tls istio… tcp+tls", "tls tcp", "raw_buffer tcp"]);
  });

  it("takes services without a selector by their endpoints only where no selector matches", () => {
    const other = `
---
apiVersion: v1
kind: Service
metadata: {name: listed, namespace: shop}
spec: {clusterIP: 10.96.0.7, ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: listed-1, namespace: shop, labels: {kubernetes.io/service-name: listed}}
addressType: IPv4
ports: [{name: http, port: 6060}]
endpoints: [{addresses: [10.0.0.9]}]
`;
    const [selected] = listenersOf(`${service}${other}`);
    expect(chainsOf(selected, 6060)).toEqual([]);
    const [listed] = listenersOf(other);
    expect(chainsOf(listed, 6060).map(describeChain)).toEqual(["tls istio… http+tls", "raw_buffer http"]);
  });

  it("balances connections where the proxy asks for it", () => {
    const balanced = { metadata: { INBOUND_LISTENER_EXACT_BALANCE: "true" } };
    expect(listenersOf(service, balanced)[0]?.message.connection_balance_config).toEqual({ exact_balance: {} });
    expect(listenersOf(service)[0]?.message.connection_balance_config).toBeUndefined();
  });

  it("names a Sidecar of the root namespace as one of the workload's namespace", () => {
    const sidecar = `
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: istio-system}
spec: {ingress: [{port: {number: 7000, protocol: HTTP, name: http}, defaultEndpoint: "127.0.0.1:7001"}]}
`;
    const [virtual] = listenersOf(`${service}${sidecar}`);
    const [chain] = chainsOf(virtual, 7000);
    expect(JSON.stringify(chain?.metadata)).toContain("/namespaces/shop/sidecar/default");
    expect(JSON.stringify(managerOf(chain)["route_config"])).toContain('"operation":"default.shop:7000/*"');
  });
});

describe("inboundListeners", () => {
  it("sends everything to the application, and repeats what was reset unless it is gRPC", () => {
    const [virtual] = listenersOf(service);
    const http = JSON.stringify(managerOf(chainsOf(virtual, 8080)[1])["route_config"]);
    expect(http).toContain('"name":"inbound|8080||"');
    expect(http).toContain('"name":"inbound|http|80"');
    expect(http).toContain('"operation":"web.shop.svc.cluster.local:80/*"');
    expect(http).toContain("reset-before-request");
    const grpc = managerOf(chainsOf(virtual, 7070)[1]);
    expect(JSON.stringify(grpc["route_config"])).not.toContain("retry_policy");
    expect(grpc["http2_protocol_options"]).toBeDefined();
  });

  it("listens on what a Sidecar declares instead of on services", () => {
    const sidecar = `
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: web, namespace: shop}
spec:
  ingress:
  - {port: {number: 8080, protocol: HTTP, name: http}, defaultEndpoint: "127.0.0.1:8081"}
  - {port: {number: 8443, protocol: TCP, name: tcp}, bind: 10.0.0.9, captureMode: NONE, defaultEndpoint: "127.0.0.1:8444"}
`;
    const [virtual, own] = listenersOf(`${service}${sidecar}`);
    expect(chainsOf(virtual, 8080).map(({ name }) => name)).toEqual(["10.0.0.9_8080", "10.0.0.9_8080"]);
    expect(chainsOf(virtual, 9090)).toEqual([]);
    expect(own?.name).toBe("10.0.0.9_8443");
    expect(own?.message.bind_to_port).toBeUndefined();
    expect(own?.message.listener_filters?.map(({ name }) => name)).toEqual(["envoy.filters.listener.tls_inspector"]);
    const metadata = chainsOf(virtual, 8080)[0]?.metadata?.filter_metadata?.["istio"];
    expect(JSON.stringify(metadata)).toContain("/namespaces/shop/sidecar/web");
  });

  it("ends TLS of a declared port only where mutual TLS is off", () => {
    const sidecar = `
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: web, namespace: shop}
spec:
  ingress:
  - port: {number: 8443, protocol: HTTPS, name: https}
    defaultEndpoint: 127.0.0.1:8080
    tls: {mode: SIMPLE, serverCertificate: /etc/cert.pem, privateKey: /etc/key.pem}
`;
    expect(chainsOf(listenersOf(`${service}${sidecar}`)[0], 8443)).toHaveLength(3);
    const off = peers("off", "{mtls: {mode: DISABLE}}");
    expect(chainsOf(listenersOf(`${service}${sidecar}${off}`)[0], 8443).map(describeChain)).toEqual(["tls http+tls"]);
    const passed = sidecar.replace(/tls: \{.*\}/, "tls: {mode: PASSTHROUGH}");
    const withoutTls = sidecar.replace(/ +tls: \{.*\}\n/, "");
    const chainsWith = (declared: string) =>
      chainsOf(listenersOf(`${service}${declared}${off}`)[0], 8443).map(describeChain);
    expect(chainsWith(passed)).toEqual(chainsWith(withoutTls));
  });

  it("makes no listener where nothing is redirected and no Sidecar declares one", () => {
    expect(listenersOf(service, { metadata: { INTERCEPTION_MODE: "NONE" } })).toEqual([]);
  });

  it("makes no listener at an address to which the Sidecar binds an outbound one", () => {
    const sidecar = (bind: string) => `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: web, namespace: shop}
spec:
  ingress: [{port: {number: 8080, protocol: HTTP, name: http}, bind: 10.0.0.9, defaultEndpoint: "127.0.0.1:18080"}]
  egress: [{port: {number: 8080, protocol: HTTP, name: http}, bind: ${bind}, captureMode: NONE, hosts: ["./*"]}]
`;
    const namesWith = (bind: string) =>
      listenersOf(`${service.replace("port: 80,", "port: 8080,")}---${sidecar(bind)}`, {
        metadata: { INTERCEPTION_MODE: "NONE" },
      }).map(({ name }) => name);
    expect(namesWith("127.0.0.1")).toEqual(["10.0.0.9_8080"]);
    expect(namesWith("10.0.0.9")).toEqual([]);
  });

  it("keeps the client's address with TPROXY", () => {
    const [virtual] = listenersOf(service, { metadata: { INTERCEPTION_MODE: "TPROXY" } });
    expect(virtual?.message.transparent).toEqual({ value: true });
    expect(virtual?.message.listener_filters?.map(({ name }) => name).slice(0, 2)).toEqual([
      "envoy.filters.listener.original_dst",
      "envoy.filters.listener.original_src",
    ]);
  });

  it("gives a stock Envoy none of Istio's filters", () => {
    const extensions = ["envoy.filters.http.router", "envoy.filters.http.cors"].map((name) => ({ name }));
    const [virtual] = listenersOf(service, { extensions });
    const [chain] = chainsOf(virtual, 8080);
    expect(chain?.filters?.map(({ name }) => name)).toEqual(["envoy.filters.network.http_connection_manager"]);
    const filters = managerOf(chain)["http_filters"] as readonly { readonly name: string }[];
    expect(filters.map(({ name }) => name)).toEqual(["envoy.filters.http.cors", "envoy.filters.http.router"]);
  });
});
