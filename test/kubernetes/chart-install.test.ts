/** The chart on a real API server: installed, upgraded and removed, with the rights that it really gives. */
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { type Cluster, startCluster } from "../../tools/cluster/cluster.ts";
import { createSelfSigned } from "../../tools/run/certificate.ts";
import {
  chartFolder,
  copyChartWithoutCrds,
  type Manifest,
  parseManifests,
  readChartFile,
  renderChart,
  type Values,
  valueAt,
} from "./chart-rendering.ts";
import { chartVariants } from "./chart-variants.ts";

const namespace = "istio-system";
const account = `system:serviceaccount:${namespace}:meltemi`;
const validator = "validatingwebhookconfiguration/meltemi-validator-istio-system";
const chart = copyChartWithoutCrds();
let cluster: Cluster;

beforeAll(async () => {
  cluster = await startCluster();
  for (const name of [namespace, "gateways", "shop"]) await cluster.kubectl(["create", "namespace", name]);
});
afterAll(async () => {
  rmSync(chart, { recursive: true });
  await cluster?.stop();
});

/** Installs or upgrades the release `meltemi`; gives what Helm prints, the notes among it. */
function upgrade(...settings: readonly string[]): Promise<string> {
  const values = settings.flatMap((setting) => ["--set", setting]);
  return cluster.helm(["upgrade", "--install", "meltemi", chart, "--namespace", namespace, ...values]);
}

async function mayAccount(verb: string, resource: string, ...where: readonly string[]): Promise<boolean> {
  const args = ["auth", "can-i", verb, resource, `--as=${account}`, ...where];
  // kubectl ends with 1 where the answer is no.
  const answer = await cluster.kubectl(args).catch((cause: unknown) => String(cause));
  return answer.trim().startsWith("yes");
}

async function readWebhooks(): Promise<readonly Values[]> {
  return valueAt(JSON.parse(await cluster.kubectl(["get", validator, "-o", "json"])), "webhooks") as readonly Values[];
}
const policiesOf = (webhooks: readonly Values[]): readonly unknown[] =>
  webhooks.map(({ failurePolicy }) => failurePolicy);

/** Objects of every kind that can be listed, with the release's label, as "kind/name". */
async function listReleaseObjects(): Promise<readonly string[]> {
  const kinds = await cluster.kubectl(["api-resources", "--verbs=list,delete", "-o", "name"]);
  const label = "app.kubernetes.io/instance=meltemi";
  const names = ["get", kinds.trim().split("\n").join(","), "--all-namespaces", "-l", label, "-o", "name"];
  return (await cluster.kubectl(names)).trim().split("\n").filter(Boolean).sort();
}

describe("objects", () => {
  it("of every variant are taken by the API server, which knows every field", { timeout: 120_000 }, async () => {
    const distinct = new Set<string>();
    for (const { values } of Object.values(chartVariants)) {
      for (const object of await renderChart(values)) distinct.add(JSON.stringify(object));
    }
    const input = [...distinct].join("\n---\n");
    const options = ["--server-side", "--dry-run=server", "--validate=strict", "-o", "yaml", "-f", "-"];
    const [list] = parseManifests(await cluster.kubectl(["apply", ...options], input));
    const taken = valueAt(list, "items") as readonly Manifest[];
    expect(taken.length).toBe(distinct.size);
    expect(taken.length).toBeGreaterThan(60);
  });
});

describe("a release", () => {
  it("is installed with all its objects, and says that the cluster lacks Istio's kinds", async () => {
    const notes = await upgrade();
    expect(notes).toContain("STATUS: deployed");
    expect(notes).toContain("the cluster does not have Istio's kinds");
    expect(await listReleaseObjects()).toEqual([
      "clusterrole.rbac.authorization.k8s.io/meltemi-istio-system",
      "clusterrolebinding.rbac.authorization.k8s.io/meltemi-istio-system",
      "configmap/istio",
      "configmap/istio-sidecar-injector",
      "deployment.apps/meltemi",
      "mutatingwebhookconfiguration.admissionregistration.k8s.io/istio-sidecar-injector",
      "networkpolicy.networking.k8s.io/meltemi",
      "poddisruptionbudget.policy/meltemi",
      "role.rbac.authorization.k8s.io/meltemi",
      "rolebinding.rbac.authorization.k8s.io/meltemi",
      "service/meltemi",
      "serviceaccount/meltemi",
      "validatingwebhookconfiguration.admissionregistration.k8s.io/meltemi-validator-istio-system",
    ]);
  });

  it("begins with webhooks that let everything pass, and does not stand in the way of other groups", async () => {
    expect(policiesOf(await readWebhooks())).toEqual(["Ignore", "Ignore"]);
    await cluster.kubectl(["create", "configmap", "bystander", "-n", "shop"]);
  });

  it("gives the account these rights", async () => {
    const inNamespace = (name: string): Promise<string> =>
      cluster.kubectl(["auth", "can-i", "--list", `--as=${account}`, "-n", name]);
    const [own, other] = [await inNamespace(namespace), await inNamespace("shop")];
    await expect(
      `# In its own namespace\n${sortRows(own)}\n# In any other namespace\n${sortRows(other)}\n`,
    ).toMatchFileSnapshot(fileURLToPath(new URL("chart-rights.golden.txt", import.meta.url)));
    expect(`${own}${other}`).not.toMatch(/\[[^\]]*\*[^\]]*\]\s*$/m);
    expect(other).not.toMatch(/^(secrets|leases)/m);
    // Roots are given to every namespace; no other ConfigMap is read or changed there.
    const configMaps = other.split("\n").filter((line) => line.startsWith("configmaps "));
    expect(configMaps.filter((line) => !/\[istio-ca-(root-cert|crl)\]|\[create\]$/.test(line.trimEnd()))).toEqual([]);
  });

  it("keeps secrets from the account, but for those of the certificate authority", async () => {
    for (const verb of ["get", "list", "watch"]) {
      expect(await mayAccount(verb, "secrets", "--all-namespaces")).toBe(false);
      expect(await mayAccount(verb, "secrets", "-n", namespace)).toBe(false);
      expect(await mayAccount(verb, "secrets", "-n", "gateways")).toBe(false);
    }
    expect(await mayAccount("get", "secret/istio-ca-secret", "-n", namespace)).toBe(true);
    expect(await mayAccount("get", "secret/istio-ca-secret", "-n", "gateways")).toBe(false);
  });

  it("keeps what the control plane wrote into its webhooks when it is upgraded", async () => {
    const { certificatePem } = createSelfSigned(["meltemi.istio-system.svc"], Date.now());
    const caBundle = Buffer.from(certificatePem).toString("base64");
    const patch = (await readWebhooks()).map((_webhook, index) => [
      { op: "replace", path: `/webhooks/${index}/failurePolicy`, value: "Fail" },
      { op: "add", path: `/webhooks/${index}/clientConfig/caBundle`, value: caBundle },
    ]);
    const args = ["patch", validator, "--type=json", `--as=${account}`, "-p", JSON.stringify(patch.flat())];
    await cluster.kubectl(args);
    await upgrade("logLevel=debug", "validation.timeoutSeconds=7");
    const webhooks = await readWebhooks();
    expect(policiesOf(webhooks)).toEqual(["Fail", "Fail"]);
    expect(webhooks.map((webhook) => valueAt(webhook, "clientConfig.caBundle"))).toEqual([caBundle, caBundle]);
    expect(webhooks.map(({ timeoutSeconds }) => timeoutSeconds)).toEqual([7, 7]);
  });

  it("sets the failure policy where the values name one", async () => {
    await upgrade("validation.failurePolicy=Ignore");
    expect(policiesOf(await readWebhooks())).toEqual(["Ignore", "Ignore"]);
  });

  it("lets the account change no webhook but its own", async () => {
    const other = "validatingwebhookconfiguration/other";
    await cluster.kubectl(["apply", "-f", "-"], stringify(emptyValidator("other")));
    const args = ["patch", other, "--type=merge", `--as=${account}`, "-p", '{"metadata":{"labels":{"a":"b"}}}'];
    await expect(cluster.kubectl(args)).rejects.toThrow("forbidden");
    await cluster.kubectl(["delete", other]);
  });

  it("opens the secrets of a namespace that the values name", async () => {
    await upgrade("secretNamespaces={gateways}");
    expect(await mayAccount("list", "secrets", "-n", "gateways")).toBe(true);
    expect(await mayAccount("update", "secrets", "-n", "gateways")).toBe(false);
    expect(await mayAccount("list", "secrets", "-n", "shop")).toBe(false);
  });

  it("leaves nothing behind", async () => {
    await cluster.helm(["uninstall", "meltemi", "--namespace", namespace]);
    expect(await listReleaseObjects()).toEqual([]);
    expect((await cluster.kubectl(["get", "secrets", "-n", namespace, "-o", "name"])).trim()).toBe("");
  });
});

describe("two revisions", () => {
  it("stand side by side in one namespace, the second validating its own objects alone", async () => {
    const install = (name: string, ...values: readonly string[]): Promise<string> =>
      cluster.helm(["install", name, chart, "--namespace", namespace, ...values]);
    await install("meltemi", "--set", "istiodAlias.enabled=true");
    await install("meltemi-next", "--set", "revision=next,validation.defaultValidator=false,istiodAlias.enabled=true");
    const services = await cluster.kubectl(["get", "services", "-n", namespace, "-o", "name"]);
    expect(services.trim().split("\n")).toEqual([
      "service/istiod",
      "service/istiod-next",
      "service/meltemi",
      "service/meltemi-next",
    ]);
    for (const name of ["meltemi", "meltemi-next"]) {
      await cluster.helm(["uninstall", name, "--namespace", namespace]);
    }
  });
});

describe("a release with the definitions of kinds", () => {
  it("brings Istio's kinds, with which the objects of the guide are taken", async () => {
    // Without webhooks: nobody serves them here, and the API server would wait for them.
    const values = ["--set", "validation.enabled=false"];
    const notes = await cluster.helm(["install", "meltemi", chartFolder, "--namespace", namespace, ...values]);
    expect(notes).not.toContain("does not have Istio's kinds");
    const guide = readChartFile("../../docs/install.md");
    const objects = [...guide.matchAll(/^```yaml\n(.*?)^```/gms)].map(([, text]) => text).join("---\n");
    const options = ["--server-side", "--dry-run=server", "--validate=strict", "-o", "name", "-f", "-"];
    expect((await cluster.kubectl(["apply", ...options], objects)).trim().split("\n")).toEqual([
      "role.rbac.authorization.k8s.io/ingress-secrets",
      "rolebinding.rbac.authorization.k8s.io/ingress-secrets",
      "serviceaccount/ingress",
      "deployment.apps/ingress",
      "service/ingress",
      "gateway.networking.istio.io/web",
      "virtualservice.networking.istio.io/hello",
    ]);
  });

  it("keeps them, and so the objects of these kinds, when it is removed", async () => {
    await cluster.helm(["uninstall", "meltemi", "--namespace", namespace]);
    expect(await listReleaseObjects()).toEqual([]);
    expect(await cluster.kubectl(["get", "crds", "-o", "name"])).toContain("virtualservices.networking.istio.io");
  });
});

/** kubectl prints rights in an order of its own; those to paths without objects are everybody's. */
function sortRows(table: string): string {
  const [head = "", ...all] = table.trim().split("\n");
  const rows = all.filter((row) => !row.startsWith(" "));
  return [head, ...rows.sort()].map((row) => row.replaceAll(/ {2,}/g, "  ").trimEnd()).join("\n");
}

function emptyValidator(name: string): object {
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingWebhookConfiguration",
    metadata: { name },
    webhooks: [],
  };
}
