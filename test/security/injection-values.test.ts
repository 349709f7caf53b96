import { expect, test } from "vitest";
import { parse } from "yaml";
import { defaultMeshConfig } from "../../src/api/mesh-config/defaults.ts";
import { annotation } from "../../src/inject/annotation-names.ts";
import { type InjectionInput, type InjectionResult, injectPod } from "../../src/inject/injection.ts";
import { parseInjectionConfig } from "../../src/inject/injection-config.ts";

const read = (config: object, values: object = {}) => {
  const parsed = parseInjectionConfig({ config: JSON.stringify(config), values: JSON.stringify(values) });
  if (parsed.config === undefined) throw new Error(JSON.stringify(parsed.messages));
  return parsed.config;
};
const cni = { pilot: { cni: { enabled: true, provider: "multus" } }, global: { proxy: { tracer: "datadog" } } };
const otel = {
  ...defaultMeshConfig,
  extensionProviders: [
    {
      name: "o",
      opentelemetry: { service: "o", port: 1, serviceAttributeEnrichment: "OTEL_SEMANTIC_CONVENTIONS" as const },
    },
  ],
};

interface Given {
  readonly annotations?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly more?: Partial<InjectionInput>;
}

function inject({ annotations = {}, labels = {}, more = {} }: Given): InjectionResult {
  return injectPod({
    pod: {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "a", annotations, labels },
      spec: { containers: [{ name: "a", image: "a" }] },
    },
    podNamespace: "default",
    config: read({}, cni),
    mesh: otel,
    revision: "",
    hasNativeSidecars: false,
    ...more,
  });
}

/** Names of everything that a pod would run or mount; empty where it is refused. */
function namesIn(result: InjectionResult): readonly string[] {
  if (result.kind !== "injected") return [];
  const spec = result.pod["spec"] as Readonly<Record<string, readonly { readonly name: string }[] | undefined>>;
  return ["containers", "initContainers", "volumes"].flatMap((list) => (spec[list] ?? []).map(({ name }) => name));
}

const usual = new Set(namesIn(inject({})));

/** Texts that would become containers, fields or other documents if anything were rendered as YAML or JSON. */
const attacks: readonly string[] = [
  "x\n  - name: evil",
  'x"\n    securityContext:\n      privileged: true\n  - name: evil\n    image: "evil',
  "100m\n  - name: evil\n    image: evil",
  '"}],"containers":[{"name":"evil"}]',
  "x, evil: {name: evil}",
  "*\n---\nkind: Pod\nname: evil",
  "&a [name: evil]",
  "{{ .Values }}\u2028- name: evil",
  "$" + "{inject.ProxyImage}\n- name: evil",
];

const sinks = Object.values(annotation).filter((name) => name !== annotation.inject);

/** The annotations whose values are words of a fixed form: anything else is denied, not carried along. */
const checked: readonly string[] = [
  annotation.interceptionMode,
  annotation.statusPort,
  annotation.readinessInitialDelay,
  annotation.readinessPeriod,
  annotation.readinessFailures,
  annotation.includeOutboundIpRanges,
  annotation.excludeOutboundIpRanges,
  annotation.includeInboundPorts,
  annotation.excludeInboundPorts,
  annotation.includeOutboundPorts,
  annotation.excludeOutboundPorts,
  annotation.excludeInterfaces,
  annotation.kubevirtInterfaces,
  annotation.virtualInterfaces,
  annotation.mergeMetrics,
  annotation.proxyConfig,
  annotation.proxyCpu,
  annotation.proxyMemory,
  annotation.proxyCpuLimit,
  annotation.proxyMemoryLimit,
  annotation.proxyImage,
  annotation.proxyImageType,
  annotation.logLevel,
  annotation.componentLogLevel,
  annotation.agentLogLevel,
  annotation.bootstrapOverride,
  annotation.userVolume,
  annotation.userVolumeMount,
  annotation.bindsLowPorts,
  annotation.nativeSidecar,
  annotation.datadogEnvironment,
  annotation.otelNamespace,
  annotation.otelVersion,
  annotation.otelInstance,
  annotation.overrides,
  annotation.templates,
];

test.each(checked)("CVE-2026-58889 %s with a line of YAML in it is denied, by its name", (name) => {
  const result = inject({ annotations: { [name]: "x\n  - name: evil" } });
  expect(result.kind).toBe("refused");
  const paths = result.kind === "refused" ? result.messages.map(({ path }) => path) : [];
  expect(paths.some((path) => path.includes(name))).toBe(true);
});

test.each(sinks)("CVE-2026-58889 %s never becomes a container, a volume or a field", (name) => {
  for (const attack of attacks) {
    const result = inject({ annotations: { [name]: attack } });
    expect(namesIn(result).filter((found) => !usual.has(found))).toEqual([]);
  }
});

test("CVE-2026-58889 labels, names and owners are texts in their places", () => {
  for (const attack of attacks) {
    const labels = {
      app: attack,
      version: attack,
      "topology.istio.io/network": attack,
      "service.istio.io/workload-name": attack,
    };
    const owner = { apiVersion: attack, kind: attack, name: attack, namespace: attack };
    const environment = new Map([["ISTIO_META_CLUSTER_ID", attack]]);
    const result = inject({ labels, more: { owner, environment, compliancePolicy: attack } });
    expect(result.kind).toBe("injected");
    expect(namesIn(result).filter((found) => !usual.has(found))).toEqual([]);
    if (result.kind === "injected") expect(parse(JSON.stringify(result.pod))).toEqual(result.pod);
  }
});

test("CVE-2022-21701 a placeholder of a template takes a value as text, never as structure", () => {
  const config = read({
    defaultTemplates: ["own"],
    templates: {
      own: "spec:\n  volumes:\n  - name: own\n    configMap:\n      name: $" + "{inject.ObjectMeta.Annotations[who]}\n",
    },
  });
  for (const attack of attacks) {
    const result = inject({ annotations: { who: attack }, more: { config } });
    expect(result).toMatchObject({
      kind: "injected",
      pod: { spec: { volumes: [{ name: "own", configMap: { name: attack } }] } },
    });
  }
});

test("CVE-2022-21701 a placeholder names single values alone", () => {
  const template = "spec:\n  volumes:\n  - name: own\n    configMap: $" + "{inject.MeshConfig.defaultConfig}\n";
  const result = inject({ more: { config: read({ defaultTemplates: ["own"], templates: { own: template } }) } });
  expect(result).toMatchObject({ kind: "injected", pod: { spec: { volumes: [{ configMap: "" }] } } });
});

test.each(["__proto__", "constructor", "toString"])("names such as %s are no settings", (name) => {
  const pod: unknown = JSON.parse(
    `{"metadata":{"name":"a","labels":{"${name}":"x"},"annotations":{"inject.istio.io/templates":"${name}"}},"spec":{"containers":[{"name":"a"}]}}`,
  );
  expect(inject({ more: { pod } }).kind).toBe("refused");
  expect(Object.keys(Object.prototype)).toEqual([]);
});

test.each([
  null,
  1,
  "pod",
  [],
  {},
  { metadata: [] },
  { spec: { containers: [1] } },
  { metadata: { labels: { a: 1 } } },
])("%j is refused or left alone, and nothing breaks", (pod) => {
  expect(["refused", "injected"]).toContain(inject({ more: { pod } }).kind);
});
