/** The table of names, as the agent of a sidecar asks for it: one resource without a name, sent when a name changes. */
import { typeUrl } from "@meltemi/protos";
import { expect, test } from "vitest";
import { type RunningMesh, startMesh } from "../support/mesh.ts";
import { podOf, shopMesh, sliceOf, virtualServiceOf } from "../support/shop-mesh.ts";
import type { Received, Variant, XdsStream } from "../support/xds-client.ts";

const nameTable = typeUrl("istio.networking.nds.v1.NameTable");
const clusterUrl = typeUrl("envoy.config.cluster.v3.Cluster");
const listenerUrl = typeUrl("envoy.config.listener.v3.Listener");

const text = (string_value: string) => ({ string_value });
const nodeOf = (type: "sidecar" | "router") => ({
  id: `${type}~10.0.0.50~asking.shop~shop.svc.cluster.local`,
  metadata: { fields: { NAMESPACE: text("shop"), CLUSTER_ID: text("Kubernetes"), DNS_CAPTURE: text("true") } },
});

const peers = `
apiVersion: v1
kind: Service
metadata: {name: peers, namespace: shop}
spec: {clusterIP: None, selector: {app: peers}, ports: [{name: http, port: 80, targetPort: 8080}]}
`;
const entry = (name: string): string => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: shop}
spec: {hosts: [${name}.example.org], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}
`;

/** An agent on a stream of one variant. */
class Agent {
  readonly #stream: XdsStream;

  constructor(mesh: RunningMesh, variant: Variant) {
    this.#stream = mesh.connect().open(variant);
  }

  ask(url: string, type: "sidecar" | "router" = "sidecar"): void {
    this.#stream.send({ node: nodeOf(type), type_url: url });
  }

  async next(): Promise<Received> {
    const response = await this.#stream.next();
    const { typeUrl: type_url, nonce: response_nonce, version: version_info } = response;
    const isDelta = this.#stream.variant === "delta";
    this.#stream.send({ type_url, response_nonce, ...(isDelta ? {} : { version_info }) });
    return response;
  }
}

function addressesOf({ typeUrl: type, names, resources }: Received): Readonly<Record<string, readonly string[]>> {
  expect([type, names]).toEqual([nameTable, [""]]);
  const { table = {} } = (resources[0]?.message ?? {}) as {
    readonly table?: Readonly<Record<string, { readonly ips: readonly string[] }>>;
  };
  return Object.fromEntries(Object.entries(table).map(([host, { ips }]) => [host, ips]));
}

test.each<Variant>(["sotw", "delta"])("names come, and come again where they change (%s)", async (variant) => {
  const mesh = await startMesh([shopMesh, peers, virtualServiceOf(1)].join("---\n"));
  const agent = new Agent(mesh, variant);
  agent.ask(nameTable);
  const first = addressesOf(await agent.next());
  expect(Object.keys(first)).toContain("web.shop.svc.cluster.local");
  expect(first).not.toHaveProperty("peers.shop.svc.cluster.local");
  // A rule is no name: what comes next is about the entry.
  mesh.source.apply(virtualServiceOf(7));
  mesh.source.apply(entry("pay"));
  const second = addressesOf(await agent.next());
  expect(second["pay.example.org"]).toEqual([expect.stringMatching(/^240\.240\./)]);
  // Endpoints of a service with an address are no names either.
  mesh.source.apply(`${podOf("web", "10.0.0.13")}---\n${sliceOf("web", ["10.0.0.13"])}`);
  mesh.source.apply(`${podOf("peers", "10.0.0.31")}---\n${sliceOf("peers", ["10.0.0.31"])}`);
  const third = addressesOf(await agent.next());
  expect(third).toEqual({ ...second, "peers.shop.svc.cluster.local": ["10.0.0.31"] });
});

test.each<Variant>(["sotw", "delta"])("a gateway has an empty table (%s)", async (variant) => {
  const agent = new Agent(await startMesh(shopMesh), variant);
  agent.ask(nameTable, "router");
  expect(addressesOf(await agent.next())).toEqual({});
});

test("nobody is sent names who did not ask for them", async () => {
  const mesh = await startMesh(shopMesh);
  const agent = new Agent(mesh, "sotw");
  agent.ask(clusterUrl);
  await agent.next();
  mesh.source.apply(entry("pay"));
  expect((await agent.next()).typeUrl).toBe(clusterUrl);
  agent.ask(listenerUrl);
  expect((await agent.next()).typeUrl).toBe(listenerUrl);
});
