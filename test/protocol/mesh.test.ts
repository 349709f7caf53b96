/** The protocol over the whole control plane: what a proxy of the shop sees of changes, on a stream of all types. */
import { expect, test } from "vitest";
import { type RunningMesh, startMesh } from "../support/mesh.ts";
import { destinationRuleOf, podOf, shopMesh, shopNode, sliceOf, virtualServiceOf } from "../support/shop-mesh.ts";
import type { Received, Variant, XdsStream } from "../support/xds-client.ts";
import { typeUrls } from "../support/xds-client-rig.ts";

const types = ["cds", "eds", "lds", "rds"] as const;
const variants: readonly Variant[] = ["sotw", "delta"];
const shortOf = ({ typeUrl }: Received): string => types.find((type) => typeUrls[type] === typeUrl) ?? typeUrl;
const { id, labels } = shopNode("cart", "10.0.0.21");
const node = { id, metadata: metadataOf({ NAMESPACE: "shop" }, labels) };

/** A proxy that asks as Envoy does: for endpoints and routes by the names that clusters and listeners have. */
class Envoy {
  readonly stream: XdsStream;
  readonly #names = new Map<string, readonly string[]>();

  constructor(mesh: RunningMesh, variant: Variant) {
    this.stream = mesh.connect().open(variant);
  }

  async begin(): Promise<readonly Received[]> {
    this.#ask("cds", []);
    const clusters = await this.nextAck();
    this.#ask(
      "eds",
      namesWhere(clusters, ({ type }) => type === "EDS"),
    );
    const endpoints = await this.nextAck();
    this.#ask("lds", []);
    const listeners = await this.nextAck();
    this.#ask("rds", ["80"]);
    return [clusters, endpoints, listeners, await this.nextAck()];
  }

  async nextAck(): Promise<Received> {
    const response = await this.stream.next();
    const { typeUrl, nonce, version } = response;
    if (this.stream.variant === "delta") this.stream.send({ type_url: typeUrl, response_nonce: nonce });
    else {
      const resource_names = this.#names.get(typeUrl) ?? [];
      this.stream.send({ type_url: typeUrl, response_nonce: nonce, version_info: version, resource_names });
    }
    return response;
  }

  /** Answered anew whatever there is, last in the order of sending: nothing may come before. */
  async quiet(): Promise<void> {
    for (let round = 0; round < 2; round++) {
      this.#ask("rds", ["80"]);
      expect(shortOf(await this.nextAck())).toBe("rds");
    }
    expect(this.stream.untaken).toBe(0);
  }

  #ask(type: (typeof types)[number], names: readonly string[]): void {
    this.#names.set(typeUrls[type], names);
    const head = { node, type_url: typeUrls[type] };
    if (this.stream.variant === "delta") this.stream.send({ ...head, resource_names_subscribe: names });
    else this.stream.send({ ...head, resource_names: names });
  }
}

for (const variant of variants) {
  test(`a virtual service changes routes alone (${variant})`, async () => {
    const { mesh, envoy } = await begin(variant);
    mesh.source.apply(virtualServiceOf(7));
    const response = await envoy.nextAck();
    expect([shortOf(response), response.names]).toEqual(["rds", ["80"]]);
    expect(JSON.stringify(response.resources)).toContain('"timeout":{"seconds":7}');
    await envoy.quiet();
  });

  test(`an endpoint changes its load assignments alone (${variant})`, async () => {
    const { mesh, envoy } = await begin(variant);
    mesh.source.apply(`${podOf("web", "10.0.0.13")}---\n${sliceOf("web", ["10.0.0.11", "10.0.0.12", "10.0.0.13"])}`);
    const response = await envoy.nextAck();
    expect(shortOf(response)).toBe("eds");
    expect([...response.names].sort()).toEqual(
      ["", "v1"].map((subset) => `outbound|80|${subset}|web.shop.svc.cluster.local`).sort(),
    );
    await envoy.quiet();
  });

  test(`a rule changes clusters and sends their endpoints again (${variant})`, async () => {
    const { mesh, envoy } = await begin(variant);
    mesh.source.apply(destinationRuleOf(99));
    const responses = [await envoy.nextAck(), await envoy.nextAck()];
    expect(responses.map(shortOf)).toEqual(["cds", "eds"]);
    await envoy.quiet();
  });

  test(`E-10 a route that leads nowhere leaves all else as it was (${variant})`, async () => {
    const { mesh, envoy, answers } = await begin(variant);
    const clusters = answers.find((answer) => shortOf(answer) === "cds")?.names ?? [];
    mesh.source.apply(virtualServiceOf(7).replace("{host: web,", "{host: nowhere.test,"));
    const response = await envoy.nextAck();
    expect([shortOf(response), response.names]).toEqual(["rds", ["80"]]);
    const named = JSON.stringify(response.resources).matchAll(/"cluster":"(outbound[^"]+)"/g);
    const names = [...named].map(([, name = ""]) => name);
    expect(names.filter((name) => !clusters.includes(name))).toEqual(["outbound|80|v1|nowhere.test"]);
    expect(names.length).toBeGreaterThan(1);
    await envoy.quiet();
  });

  test(`what changes nothing for the proxy is not sent (${variant})`, async () => {
    const { mesh, envoy } = await begin(variant);
    mesh.source.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other, namespace: shop}\ndata: {a: b}\n");
    mesh.source.apply(virtualServiceOf(1));
    await envoy.quiet();
  });
}

test("a second control plane with the same objects gives the same versions", async () => {
  const [first, second] = [await begin("sotw"), await begin("sotw")];
  expect(second.answers.map(({ version }) => version)).toEqual(first.answers.map(({ version }) => version));
});

test("a proxyless client gets what it names", async () => {
  const mesh = await startMesh(shopMesh);
  const stream = mesh.connect().open("sotw");
  const grpcNode = { id, metadata: metadataOf({ NAMESPACE: "shop", GENERATOR: "grpc" }, labels) };
  const host = "web.shop.svc.cluster.local";
  stream.send({ node: grpcNode, type_url: typeUrls.lds, resource_names: [`${host}:80`] });
  expect((await stream.next()).names).toEqual([`${host}:80`]);
  stream.send({ type_url: typeUrls.cds, resource_names: [`outbound|80||${host}`] });
  expect((await stream.next()).names).toEqual([`outbound|80||${host}`]);
});

async function begin(variant: Variant) {
  const mesh = await startMesh([shopMesh, destinationRuleOf(5), virtualServiceOf(1)].join("---\n"));
  const envoy = new Envoy(mesh, variant);
  const answers = await envoy.begin();
  expect(answers.map(shortOf)).toEqual([...types]);
  return { mesh, envoy, answers };
}

function namesWhere({ resources }: Received, isWanted: (message: { readonly [field: string]: unknown }) => boolean) {
  return resources.filter(({ message }) => isWanted(message)).map(({ name }) => name);
}

function metadataOf(texts: { readonly [name: string]: string }, given: { readonly [name: string]: string }) {
  const fields = Object.entries(texts).map(([name, text]) => [name, { string_value: text }] as const);
  const labelFields = Object.entries(given).map(([name, text]) => [name, { string_value: text }] as const);
  const labelValue = { struct_value: { fields: Object.fromEntries(labelFields) } };
  return { fields: { ...Object.fromEntries(fields), LABELS: labelValue } };
}
