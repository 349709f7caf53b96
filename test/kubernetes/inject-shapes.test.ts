/** Every shape of pod that injection has a golden for, created through a real API server: it takes each, as it is there. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { parse } from "yaml";
import { createRootAuthority } from "../../src/ca/authority.ts";
import { createServingCertificates, type ServingCertificates } from "../../src/ca/serving-certificates.ts";
import { startWebhookServer, type WebhookServer } from "../../src/http/webhook-server.ts";
import { type InjectionInput, injectPod } from "../../src/inject/injection.ts";
import { createKubeClient } from "../../src/kube/create-kube-client.ts";
import type { KubeClient } from "../../src/kube/kube-client.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { silentLog } from "../../src/lib/log.ts";
import { injectReview } from "../../src/webhook/inject-review.ts";
import { type Cluster, startCluster } from "../../tools/cluster/cluster.ts";
import { casesDirectory, listCases, readCase } from "../inject/read-case.ts";

type Json = Readonly<Record<string, unknown>>;
interface Pod extends Json {
  readonly metadata: Json;
  readonly spec: Json;
}

const metrics = { count: () => undefined, observe: () => undefined };
const cases = listCases().map((name) => ({
  ...readCase(name),
  golden: parse(readFileSync(join(casesDirectory, name, "out.yaml"), "utf8")) as Json,
}));
let cluster: Cluster;
let client: KubeClient;
let certificates: ServingCertificates;
let server: WebhookServer;
/** What pods are injected with at the moment; undefined lets them pass. */
let current: InjectionInput | undefined;

beforeAll(async () => {
  cluster = await startCluster();
  client = await createKubeClient({ kubeconfig: cluster.kubeconfig, clock: systemClock, log: silentLog });
  const authority = await createRootAuthority({ organization: "mesh", lifetimeMs: 86_400_000, nowMs: Date.now() });
  const source = { kind: "authority", authority, names: ["127.0.0.1"] } as const;
  certificates = await createServingCertificates({ source, clock: systemClock, log: silentLog });
  server = await startWebhookServer({
    address: { host: "127.0.0.1", port: 0 },
    certificates,
    validate: () => {
      throw new Error("nothing is validated here");
    },
    inject: {
      findObstacle: () => undefined,
      answer: (review, path) =>
        injectReview(review, {
          path,
          metrics,
          inject: ({ pod, namespace }) =>
            current === undefined
              ? { kind: "skipped", reason: "no case" }
              : injectPod({ ...current, pod, podNamespace: namespace }),
        }),
    },
    isReady: () => true,
    metrics,
    log: silentLog,
  });
  for (const namespace of new Set(cases.map(({ input }) => input.podNamespace)))
    await createUnlessThere(
      { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } },
      "/api/v1/namespaces",
    );
  await createUnlessThere(
    buildConfiguration(server.port, authority.roots),
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
  );
  await vi.waitFor(async () => expect(await isAsked()).toBe(true), { timeout: 20_000, interval: 100 });
}, 120_000);
afterAll(async () => {
  client?.close();
  await server?.stop();
  certificates?.stop();
  await cluster?.stop();
});

async function createUnlessThere(body: object, path: string): Promise<void> {
  try {
    await client.request({ method: "POST", path, body });
  } catch (cause: unknown) {
    if (!String(cause).includes("already exists")) throw cause;
  }
}

function buildConfiguration(port: number, roots: string): object {
  const clientConfig = { url: `https://127.0.0.1:${port}/inject`, caBundle: Buffer.from(roots).toString("base64") };
  const webhook = {
    name: "shapes.sidecar-injector.istio.io",
    clientConfig,
    rules: [{ operations: ["CREATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["pods"] }],
    sideEffects: "None",
    admissionReviewVersions: ["v1"],
    failurePolicy: "Fail",
  };
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "MutatingWebhookConfiguration",
    metadata: { name: "shapes" },
    webhooks: [webhook],
  };
}

/** True once the API server knows of the webhook. */
async function isAsked(): Promise<boolean> {
  const [first] = cases.filter(({ name }) => name === "plain");
  if (first === undefined) return false;
  const pod = await create(first.input.pod as Pod, first.input);
  return JSON.stringify(pod).includes("istio-proxy");
}

/** Creates a pod without consequences, injected as a case says; gives what would be stored. */
async function create(pod: Pod, input?: InjectionInput): Promise<Pod> {
  current = input;
  const namespace = input?.podNamespace ?? String(pod.metadata["namespace"]);
  // The API server fills it in before it asks webhooks; it is told not to, here.
  const spec = { serviceAccountName: "default", ...pod.spec };
  const body = { apiVersion: "v1", kind: "Pod", ...pod, metadata: { ...pod.metadata, namespace }, spec };
  const path = `/api/v1/namespaces/${namespace}/pods`;
  return (await client.request({ method: "POST", path, query: { dryRun: "All" }, body })) as Pod;
}

/** Without what is new with each creation. */
function keepLasting({ metadata, spec }: Pod): { readonly metadata: Json; readonly spec: Json } {
  const { uid: _, creationTimestamp: __, managedFields: ___, generation: ____, ...kept } = metadata;
  const { name, ...others } = kept;
  return { metadata: "generateName" in kept ? others : { ...others, name }, spec };
}

/** Variables and annotations that repeat in JSON what the application's containers say. */
const telling = /"name":"(ISTIO_META_POD_PORTS|ISTIO_KUBE_APP_PROBERS)","value":"((?:[^"\\]|\\.)*)"/g;
const tellingAnnotation = /"(proxy\.istio\.io\/overrides)":"((?:[^"\\]|\\.)*)"/g;

/**
 * A pod as text without those, and those by name: the API server adds defaults before it asks, so that they have more
 * fields than in the golden, which is of a pod as somebody wrote it.
 */
function tellApart(pod: Pod): readonly [text: string, told: Json] {
  const told: Record<string, unknown> = {};
  const take = (_whole: string, name: string, value: string): string => {
    told[name] = JSON.parse(JSON.parse(`"${value}"`) as string);
    return `"name":"${name}"`;
  };
  const text = JSON.stringify(keepLasting(pod))
    .replaceAll(telling, take)
    .replaceAll(tellingAnnotation, (whole, name, value) => {
      take(whole, name, value);
      return `"${name}":""`;
    });
  return [text, told];
}

const isInjected = ({ golden }: (typeof cases)[number]): boolean => "spec" in golden;

const bringsProxy = ({ spec }: Pod): boolean => JSON.stringify(spec).includes('"name":"istio-proxy"');

/**
 * What a pod with a proxy of its own becomes: defaults that the API server adds count as what that container says
 * itself, as with istiod, so that the golden of the pod as somebody wrote it says more.
 */
async function injectStored(input: InjectionInput): Promise<Pod> {
  const pod = input.pod as Pod;
  const stored = await create({ ...pod, metadata: { ...pod.metadata, namespace: input.podNamespace } });
  const result = injectPod({ ...input, pod: keepLasting(stored) });
  if (result.kind !== "injected") throw new Error(JSON.stringify(result));
  return result.pod as Pod;
}

describe("a pod", () => {
  test.each(cases.filter(isInjected).map((each) => [each.name, each] as const))("%s", async (_name, each) => {
    const created = await create(each.input.pod as Pod, each.input);
    const namespace = each.input.podNamespace;
    const golden = bringsProxy(each.input.pod as Pod) ? await injectStored(each.input) : (each.golden as Pod);
    const stored = await create({ ...golden, metadata: { ...golden.metadata, namespace } });
    const [[text, told], [goldenText, goldenTold]] = [tellApart(created), tellApart(stored)];
    expect(JSON.parse(text)).toEqual(JSON.parse(goldenText));
    expect(told).toMatchObject(goldenTold);
    const again = await create(keepLasting(created) as Pod, each.input);
    expect(keepLasting(again)).toEqual(keepLasting(created));
  });
});

describe("a pod that is not injected", () => {
  const others = cases.filter((each) => !isInjected(each));

  test.each(others.map((each) => [each.name, each] as const))("%s", async (_name, { input, golden }) => {
    const pod = input.pod as Pod;
    if ("skipped" in golden) {
      const plain = await create({ ...pod, metadata: { ...pod.metadata, namespace: input.podNamespace } });
      expect(keepLasting(await create(pod, input))).toEqual(keepLasting(plain));
      return;
    }
    const [first = ""] = golden["refused"] as readonly string[];
    await expect(create(pod, input)).rejects.toThrow(first);
  });
});
