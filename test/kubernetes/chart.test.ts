/** The chart as text: what Helm renders from it, with no cluster. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { istioResources } from "../../src/api/resource-names.ts";
import { createServeCommand } from "../../src/cli/commands/serve.ts";
import { type FlagKey, flagTable } from "../../src/config/flags.ts";
import {
  chartFolder,
  defaultValues,
  findManifest,
  listRules,
  type PlacedRule,
  readChartFile,
  renderChart,
  runHelm,
  type Values,
  valueAt,
} from "./chart-rendering.ts";
import { environmentOf } from "./chart-variant.ts";
import { chartVariants } from "./chart-variants.ts";

const schema = JSON.parse(readChartFile("values.schema.json")) as SchemaNode;

interface SchemaNode {
  readonly additionalProperties?: unknown;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
}

/** Parts of the values that are Kubernetes' own forms: one comment above the whole says it all. */
const kubernetesForms = ["resources", "validation.namespaceSelector", "imagePullSecrets"];

/** Paths of all values that the schema names, "a.b", those of Kubernetes' own forms as one; without `global`. */
function listValuePaths(node: SchemaNode, prefix = ""): readonly string[] {
  return Object.entries(node.properties ?? {}).flatMap(([key, child]) => {
    const path = `${prefix}${key}`;
    if (path === "global") return [];
    if (child.properties === undefined || kubernetesForms.includes(path)) return [path];
    return listValuePaths(child, `${path}.`);
  });
}

const valuePaths = listValuePaths(schema);

/** A value at a path, as an object: ("a.b", 1) is {a: {b: 1}}. */
function nest(path: string, value: unknown): Values {
  return path
    .split(".")
    .reverse()
    .reduce<unknown>((inner, key) => ({ [key]: inner }), value) as Values;
}

describe("values", () => {
  it("pass a strict lint", async () => {
    expect(await runHelm(["lint", "--strict", chartFolder])).toContain("0 chart(s) failed");
  });

  it.each(valuePaths)("%s has a default", (path) => {
    expect(valueAt(defaultValues, path)).not.toBeUndefined();
  });

  it("have no default that the schema does not name", () => {
    const top = Object.keys(defaultValues);
    expect(top).toEqual(top.filter((key) => schema.properties?.[key] !== undefined));
  });

  it("are each explained by a comment above", () => {
    const lines = readChartFile("values.yaml").split("\n");
    const bare = valuePaths.filter((path) => {
      const depth = path.split(".").length - 1;
      const key = `${"  ".repeat(depth)}${path.split(".").at(-1)}:`;
      return !lines.some((line, index) => line.startsWith(key) && lines[index - 1]?.trim().startsWith("#"));
    });
    expect(bare).toEqual([]);
  });

  it.each(valuePaths)("%s is set to something else by a variant", (path) => {
    const differing = Object.values(chartVariants).filter(({ values }) => {
      const value = valueAt(values, path);
      return value !== undefined && JSON.stringify(value) !== JSON.stringify(valueAt(defaultValues, path));
    });
    expect(differing).not.toEqual([]);
  });

  const closed = [
    "",
    ...new Set(valuePaths.filter((path) => path.includes(".")).map((path) => `${path.split(".")[0]}.`)),
  ];
  it.each(closed)("refuse a misspelt name in %j", async (prefix) => {
    await expect(renderChart(nest(`${prefix}enabld`, true))).rejects.toThrow(
      "additional properties 'enabld' not allowed",
    );
  });

  it.each([
    ["revision", "Next Revision"],
    ["image.digest", "sha256:1234"],
    ["image.pullPolicy", "Sometimes"],
    ["replicaCount", "two"],
    ["podDisruptionBudget.maxUnavailable", "half"],
    ["logLevel", "loud"],
    ["shutdownDuration", "10"],
    ["runAsUser", 0],
    ["secretNamespaces", ["*"]],
    ["service.type", "ExternalName"],
    ["validation.failurePolicy", "Allow"],
    ["validation.timeoutSeconds", 11],
    ["injection.timeoutSeconds", 11],
    ["injection.reinvocationPolicy", "Always"],
    ["injection.policy", "on"],
    ["proxy.includeInboundPorts", "80-90"],
    ["proxy.image.digest", "latest"],
    ["networkPolicy.plaintextXdsFrom", [{}]],
    ["resources.limits.memory", "much"],
    ["resources.limits.memory", "10Mi"],
    ["nodeOptions", ["two words"]],
  ])("refuse %s: %j", async (path, value) => {
    await expect(renderChart(nest(path, value))).rejects.toThrow(path.split(".").at(-1) ?? path);
  });
});

describe("templates", () => {
  it.each(Object.entries(chartVariants))("%s", async (_name, { values, check }) => {
    check(await renderChart(values));
  });

  it("name no host and no path of the machine that they were written on", async () => {
    const text = JSON.stringify(await renderChart({ istiodAlias: { enabled: true } }));
    expect(text).not.toMatch(/\/(work|home|tmp|root)\//);
    expect(valueAt(findManifest(await renderChart(), "Deployment"), "spec.template.spec.containers.0.image")).toBe(
      "meltemi:0.1.0",
    );
  });

  it("carry the version of the program", () => {
    const program = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as Values;
    expect(readChartFile("Chart.yaml")).toContain(`appVersion: "${program["version"]}"`);
  });

  it("harden the pod", async () => {
    const spec = valueAt(findManifest(await renderChart(), "Deployment"), "spec.template.spec");
    expect(spec).toMatchObject({
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } },
    });
    expect(spec).not.toHaveProperty("hostNetwork");
    expect(valueAt(spec, "containers.0.securityContext")).toEqual({
      allowPrivilegeEscalation: false,
      privileged: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
  });

  it("serve Istio's ports under Istio's names", async () => {
    const ports = valueAt(findManifest(await renderChart(), "Service"), "spec.ports") as readonly Values[];
    expect(ports.map(({ name, port, targetPort }) => `${name} ${port} ${targetPort}`)).toEqual([
      "grpc-xds 15010 15010",
      "https-dns 15012 15012",
      "https-webhook 443 15017",
      "http-monitoring 15014 15014",
    ]);
  });

  it("leave plain text to the own namespace", async () => {
    expect(valueAt(findManifest(await renderChart(), "NetworkPolicy"), "spec.ingress")).toEqual([
      { ports: [{ port: 15012 }, { port: 15017 }] },
      { ports: [{ port: 15010 }], from: [{ podSelector: {} }] },
      { ports: [{ port: 15014 }], from: [{ podSelector: {} }] },
    ]);
  });

  it("start the program with options and variables that it has", async () => {
    const manifests = await renderChart({ sharedMeshConfig: "company", secretNamespaces: ["shop"] });
    const [command, ...args] = valueAt(
      findManifest(manifests, "Deployment"),
      "spec.template.spec.containers.0.args",
    ) as readonly string[];
    const serve = createServeCommand().exitOverride();
    expect(command).toBe(serve.name());
    expect(() => serve.parseOptions([...args])).not.toThrow();
    expect(serve.parseOptions([...args]).unknown).toEqual([]);
    const known = Object.keys(flagTable).map((key) => {
      const flag = flagTable[key as FlagKey];
      return "env" in flag ? flag.env : "";
    });
    const unknown = Object.keys(environmentOf(manifests)).filter((name) => !known.some((env) => env === name));
    expect(unknown).toEqual(["NODE_OPTIONS"]);
  });
});

describe("rights", () => {
  const isIstio = (group: string): boolean => group.endsWith(".istio.io");
  const describeRule = ({ place, apiGroups, resources, verbs }: PlacedRule): string =>
    `${place}: ${verbs} of ${resources} in ${apiGroups}`;

  async function rulesOfEverything(): Promise<readonly PlacedRule[]> {
    return listRules(await renderChart({ secretNamespaces: ["gateways"] }));
  }

  it("have no wildcard", async () => {
    const rules = await rulesOfEverything();
    const wild = rules.filter((rule) =>
      [...rule.apiGroups, ...rule.resources, ...rule.verbs, ...(rule.resourceNames ?? [])].some((word) =>
        word.includes("*"),
      ),
    );
    expect(rules.length).toBeGreaterThan(10);
    expect(wild.map(describeRule)).toEqual([]);
  });

  it("reach secrets in named namespaces alone", async () => {
    const rules = (await rulesOfEverything()).filter(({ resources }) => resources.includes("secrets"));
    expect(rules.map(describeRule)).toEqual([
      "Role/istio-system/meltemi: create of secrets in ",
      "Role/istio-system/meltemi: get of secrets in ",
      "Role/istio-system/meltemi: update of secrets in ",
      "Role/gateways/meltemi-istio-system-secrets: get,list,watch of configmaps,secrets in ",
    ]);
    expect(rules[1]?.resourceNames).toEqual(["cacerts", "istio-ca-secret"]);
    expect(rules[2]?.resourceNames).toEqual(["istio-ca-secret"]);
  });

  it("write nothing in the whole cluster but statuses, entries of workloads, reviews, roots and the own webhooks", async () => {
    const reading = new Set(["get", "list", "watch"]);
    const writing = (await rulesOfEverything())
      .filter(({ place, verbs }) => place.startsWith("ClusterRole/") && verbs.some((verb) => !reading.has(verb)))
      .filter(({ resources }) => !resources.every((resource) => resource.endsWith("/status")));
    expect(writing.map(describeRule)).toEqual([
      "ClusterRole/meltemi-istio-system: create,patch,delete of workloadentries in networking.istio.io",
      "ClusterRole/meltemi-istio-system: create of tokenreviews in authentication.k8s.io",
      "ClusterRole/meltemi-istio-system: create of subjectaccessreviews in authorization.k8s.io",
      "ClusterRole/meltemi-istio-system: create of configmaps in ",
      "ClusterRole/meltemi-istio-system: get,list,watch,patch of configmaps in ",
      "ClusterRole/meltemi-istio-system: patch of validatingwebhookconfigurations in admissionregistration.k8s.io",
      "ClusterRole/meltemi-istio-system: patch of mutatingwebhookconfigurations in admissionregistration.k8s.io",
    ]);
    expect(writing.slice(-3).map(({ resourceNames }) => resourceNames)).toEqual([
      ["istio-ca-root-cert", "istio-ca-crl"],
      ["meltemi-validator-istio-system"],
      ["istio-sidecar-injector"],
    ]);
  });

  it("read every kind of Istio, write the status of each, and validate each in every version", async () => {
    const manifests = await renderChart();
    const rules = listRules(manifests).filter(
      ({ place, apiGroups }) => place.startsWith("Cluster") && apiGroups.some(isIstio),
    );
    const listed = (verb: string): readonly string[] =>
      rules
        .filter(({ verbs }) => verbs.includes(verb))
        .flatMap(({ apiGroups, resources }) => resources.map((resource) => `${resource}.${apiGroups[0]}`))
        .sort();
    const kinds = Object.values(istioResources);
    expect(listed("watch")).toEqual(kinds.map(({ plural, group }) => `${plural}.${group}`).sort());
    const statuses = kinds.map(({ plural, group }) => `${plural}/status.${group}`);
    expect(listed("patch")).toEqual([...statuses, "workloadentries.networking.istio.io"].sort());
    const webhookRules = valueAt(
      findManifest(manifests, "ValidatingWebhookConfiguration"),
      "webhooks.0.rules",
    ) as readonly {
      readonly apiGroups: readonly string[];
      readonly apiVersions: readonly string[];
      readonly resources: readonly string[];
    }[];
    const missed = kinds.filter(
      ({ group, plural, versions }) =>
        !webhookRules.some(
          (rule) =>
            rule.apiGroups.includes(group) &&
            rule.resources.includes(plural) &&
            versions.every((version) => rule.apiVersions.includes(version)),
        ),
    );
    expect(missed).toEqual([]);
    expect(webhookRules.every(({ apiGroups }) => apiGroups.every(isIstio))).toBe(true);
  });
});
