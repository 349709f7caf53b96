/** The generated CRDs on a real API server: accepted, lossless for every field, and clear about what they refuse. */
import { globSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { parseObject } from "../../src/api/parse.ts";
import { istioResources, type ResourceNames } from "../../src/api/resource-names.ts";
import { type Cluster, startCluster } from "../../tools/cluster/cluster.ts";
import { listCrds } from "../../tools/crds/crds.ts";
import { listFields, listSetFields } from "./round-trip-fields.ts";
import { roundTripSpecs } from "./round-trip-objects.ts";
import { storedSpecs } from "./round-trip-stored.ts";

interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec?: unknown;
}

type CrdKind = keyof typeof istioResources;

const namespace = "shop";
const crds = listCrds();
const kinds = crds.map((crd) => crd.spec.names.kind as CrdKind);
const resources: Readonly<Record<CrdKind, ResourceNames>> = istioResources;
let cluster: Cluster;

beforeAll(async () => {
  cluster = await startCluster();
  await cluster.kubectl(["apply", "--server-side", "-f", "-"], streamOf(crds));
  await cluster.kubectl(["wait", "--for=condition=Established", "--timeout=30s", "crd", "--all"]);
  await cluster.kubectl(["create", "namespace", namespace]);
});
afterAll(() => cluster?.stop());

/** Documents of one stream: kubectl leaves their validation to the server, which it does not for a List. */
function streamOf(items: readonly unknown[]): string {
  return items.map((item) => JSON.stringify(item)).join("\n---\n");
}

function objectOf(kind: CrdKind, name: string, spec: unknown): KubeObject {
  const { group, versions } = resources[kind];
  return { apiVersion: `${group}/${versions[0]}`, kind, metadata: { name, namespace }, spec };
}

const valid = kinds.flatMap((kind) =>
  (roundTripSpecs[kind] ?? []).map((spec, index) => objectOf(kind, `valid-${index}`, spec)),
);
const stored = kinds.flatMap((kind) =>
  (storedSpecs[kind] ?? []).map((spec, index) => objectOf(kind, `stored-${index}`, spec)),
);

async function apply(objects: readonly unknown[], ...args: readonly string[]): Promise<string> {
  return cluster.kubectl(["apply", "--server-side", ...args, "-f", "-"], streamOf(objects));
}

/** What kubectl says about objects that the API server refuses. */
async function explainRefusal(objects: readonly unknown[], ...args: readonly string[]): Promise<string> {
  return apply(objects, ...args).then(
    (output) => `accepted: ${output}`,
    (cause: unknown) => String(cause),
  );
}

describe("definitions", () => {
  it("exist for every kind of Istio", () => {
    expect([...kinds].sort()).toEqual(Object.keys(istioResources).sort());
  });

  it("are accepted as structural, with their names and all versions", async () => {
    const { items } = JSON.parse(await cluster.kubectl(["get", "crd", "-o", "json"])) as {
      readonly items: readonly {
        readonly metadata: { readonly name: string };
        readonly status: { readonly conditions: readonly { readonly type: string; readonly status: string }[] };
      }[];
    };
    expect(items.map((item) => item.metadata.name)).toEqual(crds.map((crd) => crd.metadata.name));
    for (const { status } of items) {
      const conditions = status.conditions.map(({ type, status }) => `${type}=${status}`);
      expect(conditions.sort()).toEqual(["Established=True", "NamesAccepted=True"]);
    }
  });

  it("explain fields to users", async () => {
    const text = await cluster.kubectl(["explain", "virtualservice.spec.http.timeout"]);
    expect(text).toContain("Time for the whole request with all retries");
  });
});

describe("every field of every kind", () => {
  it.each(crds)("is set by an object: $spec.names.kind", ({ spec }) => {
    const kind = spec.names.kind;
    const schema = spec.versions[0]?.schema.openAPIV3Schema.properties?.spec ?? {};
    const specs = [...(roundTripSpecs[kind] ?? []), ...(storedSpecs[kind] ?? [])];
    const set = new Set(specs.flatMap((value) => listSetFields(schema, value)));
    expect(listFields(schema).filter((field) => !set.has(field))).toEqual([]);
  });

  it("comes back as it was applied, in every version, and is read without an error", async () => {
    await apply([...valid, ...stored], "--validate=strict");
    for (const version of new Set(kinds.flatMap((kind) => resources[kind].versions))) {
      const served = kinds.filter((kind) => resources[kind].versions.includes(version));
      const names = served.map((kind) => `${resources[kind].plural}.${version}.${resources[kind].group}`);
      const answer = await cluster.kubectl(["get", names.join(","), "-n", namespace, "-o", "json"]);
      const { items } = JSON.parse(answer) as { readonly items: readonly KubeObject[] };
      const back = new Map(items.map((item) => [`${item.kind}/${item.metadata.name}`, item]));
      for (const object of [...valid, ...stored].filter(({ kind }) => served.includes(kind as CrdKind))) {
        const found = back.get(`${object.kind}/${object.metadata.name}`);
        expect(found, `${object.kind} in ${version}`).toMatchObject({
          apiVersion: `${resources[object.kind as CrdKind].group}/${version}`,
          spec: object.spec,
        });
        expect(found?.spec).toEqual(object.spec);
        if (object.metadata.name.startsWith("stored")) continue;
        const { messages } = parseObject(found);
        expect(messages.filter(({ level }) => level === "error")).toEqual([]);
      }
    }
  });
});

const route = [{ destination: { host: "a" } }];
const refused: readonly (readonly [string, CrdKind, unknown, string])[] = [
  [
    "two comparisons",
    "VirtualService",
    { hosts: ["a"], http: [{ match: [{ uri: { exact: "/", prefix: "/" } }], route }] },
    "spec.http[0].match[0].uri: Invalid value: only one of exact, prefix, regex may be set",
  ],
  [
    "duration",
    "VirtualService",
    { hosts: ["a"], http: [{ route, timeout: "5 lightyears" }] },
    'spec.http[0].timeout: Invalid value: "5 lightyears": spec.http[0].timeout in body must be of type duration',
  ],
  [
    "type",
    "VirtualService",
    { hosts: ["a"], http: [{ route: [{ destination: { host: "a", port: { number: "80" } } }] }] },
    ".spec.http[0].route[0].destination.port.number: expected numeric (int or float), got string",
  ],
  [
    "no destination",
    "VirtualService",
    { hosts: ["a"], http: [{ route: [{ weight: 1 }] }] },
    "spec.http[0].route[0].destination: Required value",
  ],
  [
    "unsigned",
    "VirtualService",
    { hosts: ["a"], http: [{ route, directResponse: { status: -1 } }] },
    "should be greater than or equal to 0",
  ],
  ["no host", "DestinationRule", { subsets: [] }, "spec.host: Required value"],
  [
    "enum",
    "DestinationRule",
    { host: "a", trafficPolicy: { tls: { mode: "ON" } } },
    'spec.trafficPolicy.tls.mode: Unsupported value: "ON": supported values: "DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"',
  ],
  [
    "two hashes",
    "DestinationRule",
    { host: "a", trafficPolicy: { loadBalancer: { consistentHash: { useSourceIp: true, httpHeaderName: "x" } } } },
    "only one of httpHeaderName, httpCookie, useSourceIp, httpQueryParameterName may be set",
  ],
  [
    "int32",
    "DestinationRule",
    { host: "a", trafficPolicy: { connectionPool: { tcp: { maxConnections: 3000000000 } } } },
    "spec.trafficPolicy.connectionPool.tcp.maxConnections",
  ],
  [
    "port without name",
    "Gateway",
    { servers: [{ port: { number: 80, protocol: "HTTP" }, hosts: ["*"] }] },
    "spec.servers[0].port.name: Required value",
  ],
  [
    "endpoints of NONE",
    "ServiceEntry",
    { hosts: ["a.com"], endpoints: [{ address: "1.1.1.1" }] },
    "endpoints need a resolution other than NONE",
  ],
  [
    "same port twice",
    "ServiceEntry",
    {
      hosts: ["a.com"],
      ports: [
        { number: 80, name: "a" },
        { number: 80, name: "b" },
      ],
    },
    "two ports have the same number",
  ],
  [
    "CIDR and DNS",
    "ServiceEntry",
    { hosts: ["a.com"], resolution: "DNS", addresses: ["10.0.0.0/8"] },
    "addresses may be CIDR ranges for resolution NONE and STATIC only",
  ],
  ["socket", "WorkloadEntry", { address: "unix://app.sock" }, "a Unix socket is given by its absolute path"],
  ["port range", "WorkloadEntry", { address: "1.1.1.1", ports: { http: 0 } }, "must be a port from 1 to 65535"],
  [
    "ports without selector",
    "PeerAuthentication",
    { portLevelMtls: { 80: { mode: "STRICT" } } },
    "portLevelMtls needs a selector",
  ],
  [
    "star in a selector",
    "PeerAuthentication",
    { selector: { matchLabels: { app: "*" } } },
    "labels are compared as they are",
  ],
  [
    "two attachments",
    "AuthorizationPolicy",
    { selector: { matchLabels: { app: "a" } }, targetRefs: [{ kind: "Service", name: "a" }] },
    "only one of selector, targetRef, targetRefs may be set",
  ],
  [
    "mixed identities",
    "AuthorizationPolicy",
    { rules: [{ from: [{ source: { serviceAccounts: ["a"], principals: ["b"] } }] }] },
    "do not go together with principals or namespaces",
  ],
  [
    "jwks twice",
    "RequestAuthentication",
    { jwtRules: [{ issuer: "a", jwks: "{}", jwksUri: "https://a.com" }] },
    "only one of jwksUri, jwks may be set",
  ],
  [
    "jwks scheme",
    "RequestAuthentication",
    { jwtRules: [{ issuer: "a", jwksUri: "ftp://a.com" }] },
    "must be an http:// or https:// URL",
  ],
  [
    "tag without value",
    "Telemetry",
    { metrics: [{ overrides: [{ tagOverrides: { a: { operation: "UPSERT" } } }] }] },
    "operation UPSERT needs a value",
  ],
  ["negative threads", "ProxyConfig", { concurrency: -1 }, "spec.concurrency"],
];

describe("refusals", () => {
  it("name the kind, the field and the reason", async () => {
    const objects = refused.map(([name, kind, spec]) =>
      objectOf(kind, `bad-${name.toLowerCase().replaceAll(" ", "-")}`, spec),
    );
    const text = await explainRefusal(objects);
    for (const [index, [, kind, , reason]] of refused.entries()) {
      const { name } = objects[index]?.metadata ?? { name: "" };
      const line = text.split("\n").find((candidate) => candidate.includes(name)) ?? `${name} was not refused`;
      expect.soft(line).toContain(kind);
      expect.soft(line).toContain(reason);
    }
  });

  it("include fields that do not exist, where the client asks for strictness", async () => {
    const misspelt = objectOf("VirtualService", "misspelt", { hosts: ["a"], htp: [] });
    const strict = cluster.kubectl(["create", "--validate=strict", "-f", "-"], streamOf([misspelt]));
    await expect(strict).rejects.toThrow('unknown field "spec.htp"');
    await cluster.kubectl(["create", "--validate=ignore", "-f", "-"], streamOf([misspelt]));
    const [found] = await read("vs", "misspelt");
    expect(found?.spec).toEqual({ hosts: ["a"] });
  });
});

describe("leniency", () => {
  it("takes null for absent where protobuf has a wrapper, and objects of Istio without a spec", async () => {
    const rule = objectOf("DestinationRule", "nulls", {
      host: "a",
      trafficPolicy: { outlierDetection: { consecutive5xxErrors: null, interval: "1s" } },
    });
    await apply([rule, objectOf("Sidecar", "empty", undefined)]);
    const [found] = await read("dr", "nulls");
    expect(parseObject(found).messages.filter(({ level }) => level === "error")).toEqual([]);
  });
});

async function read(resource: string, name: string): Promise<readonly KubeObject[]> {
  return [JSON.parse(await cluster.kubectl(["get", resource, name, "-n", namespace, "-o", "json"])) as KubeObject];
}

describe("samples", () => {
  it("apply on the server, and are read without an error", async () => {
    const files = globSync("manifests/samples/**/*.yaml");
    const objects = files
      .flatMap((file) => parseAllDocuments(readFileSync(file, "utf8")).map((document) => document.toJS() as unknown))
      .filter((raw): raw is KubeObject => String((raw as KubeObject | null)?.apiVersion).includes(".istio.io/"));
    expect(objects.length).toBeGreaterThan(3);
    const namespaces = new Set(objects.map(({ metadata }) => metadata.namespace ?? "default"));
    const named = [...namespaces].map((name) => ({ apiVersion: "v1", kind: "Namespace", metadata: { name } }));
    await apply([...named, ...objects], "--validate=strict");
    for (const object of objects) {
      expect(parseObject(object).messages.filter(({ level }) => level === "error")).toEqual([]);
    }
  });
});

describe("kubectl get", () => {
  it("shows what each kind is about and how far it has come", async () => {
    await cluster.kubectl(["create", "namespace", "table"]);
    const inTable = (kind: CrdKind, spec: unknown) => {
      const object = objectOf(kind, "reviews", spec);
      return { ...object, metadata: { ...object.metadata, namespace: "table" } };
    };
    await apply([
      inTable("VirtualService", { hosts: ["a.example.com"], gateways: ["edge"] }),
      inTable("DestinationRule", { host: "reviews" }),
      inTable("Gateway", { selector: { istio: "ingressgateway" }, servers: [] }),
    ]);
    const condition = {
      type: "Reconciled",
      status: "True",
      message: "3/3 proxies up to date.",
      reason: "Live",
      observedGeneration: 1,
    };
    const patch = JSON.stringify({
      status: { conditions: [condition], observedGeneration: "1", validationMessages: [] },
    });
    const target = ["vs", "reviews", "-n", "table", "--subresource=status", "--type=merge"];
    await cluster.kubectl(["patch", ...target, "-p", patch]);
    const table = await cluster.kubectl(["get", "vs,dr,gw", "-n", "table", "-o", "wide"]);
    const lines = table.split("\n").map((line) => line.trim().split(/\s{2,}/));
    expect(lines).toContainEqual(["NAME", "GATEWAYS", "HOSTS", "STATUS", "MESSAGE", "AGE"]);
    expect(lines).toContainEqual([
      "virtualservice.networking.istio.io/reviews",
      '["edge"]',
      '["a.example.com"]',
      "Live",
      "3/3 proxies up to date.",
      expect.stringMatching(/^\d+s$/),
    ]);
    expect(lines).toContainEqual(["NAME", "HOST", "STATUS", "MESSAGE", "AGE"]);
    expect(lines).toContainEqual(["NAME", "SELECTOR", "HOSTS", "STATUS", "MESSAGE", "AGE"]);
  });

  it("finds all kinds by their categories", async () => {
    const names = await cluster.kubectl(["api-resources", "--categories=istio-io", "-o", "name"]);
    expect(names.trim().split("\n").sort()).toEqual(crds.map((crd) => crd.metadata.name).sort());
  });
});
