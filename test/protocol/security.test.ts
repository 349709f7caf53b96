/** Section F of the checklist, F-5 to F-9: who may have a stream, and who may have which secret. */
import { cpSync, rmSync } from "node:fs";
import { decode, encode } from "@meltemi/protos";
import { expect, test, vi } from "vitest";
import { createKeptLog, gatewayNode, type SecureMesh, startSecureMesh, tlsSecret } from "../support/secure-mesh.ts";
import { type Received, type Variant, XdsClient, type XdsStream } from "../support/xds-client.ts";
import { typeUrls } from "../support/xds-client-rig.ts";

const variants: readonly Variant[] = ["sotw", "delta"];
const sds = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
const [permissionDenied, unauthenticated] = [7, 16];

type Node = ReturnType<typeof gatewayNode>;

function askFor(stream: XdsStream, node: Node, names: readonly string[], typeUrl = sds): void {
  if (stream.variant === "delta")
    (stream as XdsStream<"delta">).send({ node, type_url: typeUrl, resource_names_subscribe: names });
  else (stream as XdsStream<"sotw">).send({ node, type_url: typeUrl, resource_names: names });
}

/** Everything of a response in one text, keys included. */
const textOf = ({ resources }: Received): string =>
  resources.map(({ bytes }) => Buffer.from(bytes).toString("latin1")).join("\n");

const gatewayLabels = { istio: "door" };

/** A gateway of shop whose only server wants a credential. */
const gatewayWith = (credential: string): string => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: door, namespace: shop}
spec:
  selector: {istio: door}
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: ["*"]
    tls: {mode: SIMPLE, credentialName: ${credential}}`;

/** What the page of the gateway's scope says about objects. */
async function readScopeMessages({ controlPlane }: SecureMesh): Promise<string> {
  const page = await fetch(`http://127.0.0.1:${controlPlane.monitoringPort}/debug/sidecarz?proxyID=gw.shop`);
  expect(page.status).toBe(200);
  return ((await page.json()) as { readonly messages: readonly string[] }).messages.join("\n");
}

/** Asks for secrets on a stream of its own; the answer. */
async function fetchSecrets(
  client: XdsClient,
  variant: Variant,
  { node, names }: { readonly node: Node; readonly names: readonly string[] },
): Promise<Received> {
  const stream = client.open(variant);
  askFor(stream, node, names);
  return await stream.next();
}

function plainClient({ controlPlane }: SecureMesh): XdsClient {
  return new XdsClient(controlPlane.grpcAddress);
}

test("A-1 over TLS both methods and the health service answer", async () => {
  const mesh = await startSecureMesh("");
  const client = await mesh.connectAs("shop/gateway");
  for (const variant of variants) {
    const stream = client.open(variant);
    askFor(stream, gatewayNode("shop", "gateway"), [], typeUrls.cds);
    expect((await stream.next()).typeUrl).toBe(typeUrls.cds);
  }
  const answer = await client.call("/grpc.health.v1.Health/Check", encode("grpc.health.v1.HealthCheckRequest", {}));
  expect(decode("grpc.health.v1.HealthCheckResponse", answer).status).toBe("SERVING");
});

for (const variant of variants) {
  test(`F-5 over TLS nobody without credentials is served (${variant})`, async () => {
    const { log, lines } = createKeptLog();
    const mesh = await startSecureMesh("", { log });
    const foreign = await startSecureMesh("");
    const refused = [
      mesh.connect(),
      mesh.connect({ token: "e30.e30.x" }),
      mesh.connect({ certificate: await foreign.certify("shop/gateway") }),
      mesh.connect({ certificate: await foreign.certify("shop/gateway"), token: "e30.e30.x" }),
      mesh.connect({ headers: { authorization: "Basic YTpi" } }),
    ];
    for (const client of refused) {
      const stream = client.open(variant);
      // Not even a first request is looked at: this one would otherwise be refused for what is in it.
      stream.sendBytes(new Uint8Array([255, 255, 255]));
      const { code, details } = await stream.ended;
      expect([code, details]).toEqual([unauthenticated, "authentication failure"]);
    }
    expect(lines.some((line) => line.includes("proxy connected"))).toBe(false);
    expect(lines.join("\n")).not.toContain("e30.e30.x");
    const stream = (await mesh.connectAs("shop/gateway")).open(variant);
    askFor(stream, gatewayNode("shop", "gateway"), [], typeUrls.cds);
    expect((await stream.next()).typeUrl).toBe(typeUrls.cds);
  });

  test(`F-6 a node must be of the namespace and service account that were proven (${variant})`, async () => {
    const mesh = await startSecureMesh("");
    const client = await mesh.connectAs("shop/gateway");
    for (const node of [gatewayNode("bank", "gateway"), gatewayNode("shop", "admin"), gatewayNode("bank", "")]) {
      const stream = client.open(variant);
      askFor(stream, node, [], typeUrls.cds);
      const { code, details } = await stream.ended;
      expect(code).toBe(permissionDenied);
      expect(details).toMatch(
        /^authorization failed: no identities \(\[spiffe:\/\/cluster\.local\/ns\/shop\/sa\/gateway\]\) matched /,
      );
    }
    for (const node of [gatewayNode("shop", "gateway"), gatewayNode("shop", "")]) {
      const stream = client.open(variant);
      askFor(stream, node, [], typeUrls.cds);
      await stream.next();
    }
  });

  test(`F-7 in plain text there are no secrets (${variant})`, async () => {
    const { log, lines } = createKeptLog();
    const secret = await tlsSecret("shop", "web");
    const mesh = await startSecureMesh(secret.yaml, { log });
    const client = plainClient(mesh);
    const node = gatewayNode("shop", "gateway");
    const names = ["kubernetes://web", "kubernetes://web-cacert"];
    const answer = await fetchSecrets(client, variant, { node, names });
    expect(answer.names).toEqual([]);
    expect(lines.filter((line) => line.includes("not authenticated"))).toHaveLength(1);
    client.close();
  });

  test(`F-8 secrets of other namespaces are left out, the others come (${variant})`, async () => {
    const { log, lines } = createKeptLog();
    const [own, other] = [await tlsSecret("shop", "web"), await tlsSecret("bank", "vault")];
    const mesh = await startSecureMesh(own.yaml + other.yaml, { log });
    const answer = await fetchSecrets(await mesh.connectAs("shop/gateway"), variant, {
      node: gatewayNode("shop", "gateway"),
      names: [
        "kubernetes://web",
        "kubernetes://web-cacert",
        "kubernetes://bank/vault",
        "kubernetes://bank/vault-cacert",
        "kubernetes-gateway://bank/vault",
        "kubernetes-gateway://shop/web",
        "kubernetes://nosuch",
        "invalid://",
        "default",
        "kubernetes://",
      ],
    });
    expect([...answer.names].sort()).toEqual(["kubernetes://web", "kubernetes://web-cacert"]);
    expect(textOf(answer)).toContain(own.key);
    expect(textOf(answer)).not.toContain(other.key);
    const reasons = lines.filter((line) => line.includes("a secret is not"));
    expect(reasons.some((line) => line.includes("kubernetes://bank/vault") && line.includes("another namespace"))).toBe(
      true,
    );
    expect(reasons).toHaveLength(8);
    expect(lines.join("\n")).not.toContain("PRIVATE KEY");
  });

  test(`F-9 no order of requests leads to the secrets of others (${variant})`, async () => {
    const [shop, bank] = [await tlsSecret("shop", "cert"), await tlsSecret("bank", "cert")];
    const mesh = await startSecureMesh(shop.yaml + bank.yaml);
    // Names that are equal for both, and names with a namespace in them.
    const names = ["kubernetes://cert", "kubernetes://shop/cert", "kubernetes://bank/cert"];
    const secrets = { shop, bank };
    const order = ["shop", "bank", "shop", "shop", "bank", "bank", "shop"] as const;
    for (const namespace of order) {
      const other = namespace === "shop" ? "bank" : "shop";
      const client = await mesh.connectAs(`${namespace}/gateway`);
      const answer = await fetchSecrets(client, variant, { node: gatewayNode(namespace, "gateway"), names });
      expect([...answer.names].sort()).toEqual(["kubernetes://cert", `kubernetes://${namespace}/cert`].sort());
      expect(textOf(answer)).toContain(secrets[namespace].key);
      expect(textOf(answer)).not.toContain(secrets[other].key);
    }
  });

  test(`E-9 a listener whose secret is missing is reported, and is served once the secret is there (${variant})`, async () => {
    const mesh = await startSecureMesh(gatewayWith("late"));
    const stream = (await mesh.connectAs("shop/gateway")).open(variant);
    const node = gatewayNode("shop", "gateway", gatewayLabels);
    askFor(stream, node, [], typeUrls.lds);
    const listeners = await stream.next();
    expect(textOf(listeners)).toContain("kubernetes://late");
    askFor(stream, node, ["kubernetes://late"]);
    const answer = await stream.next();
    expect([answer.typeUrl, answer.names]).toEqual([sds, []]);
    acknowledge(stream, answer, ["kubernetes://late"]);
    expect(await readScopeMessages(mesh)).toMatch(
      /credentialName: .* wait for kubernetes:\/\/late.*\(Gateway shop\/door\)/,
    );

    const secret = await tlsSecret("shop", "late");
    mesh.source.apply(secret.yaml);
    const response = await stream.next();
    expect([response.typeUrl, response.names]).toEqual([sds, ["kubernetes://late"]]);
    expect(textOf(response)).toContain(secret.key);
    expect(await readScopeMessages(mesh)).not.toContain("kubernetes://late");
  });

  test(`a changed secret goes to its gateways, and to nobody else (${variant})`, async () => {
    const [shop, bank] = [await tlsSecret("shop", "cert"), await tlsSecret("bank", "cert")];
    const mesh = await startSecureMesh(shop.yaml + bank.yaml);
    const open = async (namespace: string): Promise<XdsStream> => {
      const stream = (await mesh.connectAs(`${namespace}/gateway`)).open(variant);
      askFor(stream, gatewayNode(namespace, "gateway"), ["kubernetes://cert", "kubernetes://cert-cacert"]);
      acknowledge(stream, await stream.next(), ["kubernetes://cert", "kubernetes://cert-cacert"]);
      return stream;
    };
    const [ofShop, ofBank] = [await open("shop"), await open("bank")];
    const next = await tlsSecret("shop", "cert");
    expect(mesh.source.apply(next.yaml)).toEqual([]);
    const response = await ofShop.next();
    // The roots are the same: only the certificate goes out.
    expect(response.names).toEqual(["kubernetes://cert"]);
    expect(textOf(response)).toContain(next.key);
    acknowledge(ofShop, response, ["kubernetes://cert", "kubernetes://cert-cacert"]);

    // One that cannot be used is reported, and what is there stays.
    const broken = JSON.parse(JSON.stringify(next.object)) as { stringData: Record<string, string> };
    broken.stringData["tls.key"] = bank.key;
    mesh.source.apply(JSON.stringify(broken));
    const { messages } = mesh.controlPlane.snapshot();
    expect(messages).toMatchObject([
      {
        level: "error",
        code: "broken-credential",
        path: 'data["tls.key"]',
        text: "it is not the key of the certificate",
      },
    ]);
    const client = await mesh.connectAs("shop/gateway");
    const fresh = await fetchSecrets(client, variant, {
      node: gatewayNode("shop", "gateway"),
      names: ["kubernetes://cert"],
    });
    expect(textOf(fresh)).toContain(next.key);
    expect([ofShop.untaken, ofBank.untaken]).toEqual([0, 0]);
  });
}

test("an authority that takes over counts for clients and servers alike, without a restart, beside the one before", async () => {
  // It signs at once, so that what servers show tells that it has taken over.
  const mesh = await startSecureMesh("", { options: { rootOverlap: "0s" } });
  const [after, foreign] = [await startSecureMesh(""), await startSecureMesh("")];
  const before = await mesh.certify("shop/gateway");
  const stream = mesh.connect({ certificate: before }).open("delta");
  askFor(stream, gatewayNode("shop", "gateway"), [], typeUrls.cds);
  await stream.next();

  rmSync(mesh.authorityDirectory, { recursive: true });
  cpSync(after.authorityDirectory, mesh.authorityDirectory, { recursive: true });
  const open = (certificate: typeof before) => {
    const next = mesh.connect({ roots: after.roots, certificate }).open("delta");
    askFor(next, gatewayNode("shop", "gateway"), [], typeUrls.cds);
    return Promise.race([next.ended.then((status) => status.code), next.next().then(() => 0)]);
  };
  const certified = await after.certify("shop/gateway");
  await vi.waitFor(async () => expect(await open(certified)).toBe(0), { timeout: 60_000, interval: 200 });
  // What the one before has signed is good as long as it holds, and nobody else's ever is.
  expect(await open(before)).toBe(0);
  expect(await open(await foreign.certify("shop/gateway"))).toBe(unauthenticated);
  // Who was connected stays: nobody has to come back at once.
  askFor(stream, gatewayNode("shop", "gateway"), ["none"], typeUrls.eds);
  expect((await stream.next()).typeUrl).toBe(typeUrls.eds);
});

function acknowledge(stream: XdsStream, { nonce, version }: Received, names: readonly string[]): void {
  if (stream.variant === "delta") (stream as XdsStream<"delta">).send({ type_url: sds, response_nonce: nonce });
  else
    (stream as XdsStream<"sotw">).send({
      type_url: sds,
      response_nonce: nonce,
      version_info: version,
      resource_names: names,
    });
}
