/** Values of the chart that are about injection, as in chart-variants.ts. */
import { expect } from "vitest";
import { parse } from "yaml";
import { findManifest, type Manifest, type Values, valueAt } from "./chart-rendering.ts";
import { type ChartVariant, environmentOf, hasKind, placed, withVariable } from "./chart-variant.ts";

const digest = `sha256:${"0123456789abcdef".repeat(4)}`;
const mutatingWebhooks = "MutatingWebhookConfiguration";
const injector = (manifests: readonly Manifest[]): Manifest =>
  findManifest(manifests, "ConfigMap", "istio-sidecar-injector");

/** A value that ends up in one of the two texts of the injector's ConfigMap. */
const inInjector = (values: Values, key: "config" | "values", path: string, expected: unknown): ChartVariant => ({
  values,
  check: (manifests) =>
    expect(valueAt(parse(String(valueAt(injector(manifests), `data.${key}`))), path)).toEqual(expected),
});
/** A value of `injection` that is a key of its settings, too. */
const injectorSetting = (name: string, value: unknown): ChartVariant =>
  inInjector({ injection: { [name]: value } }, "config", name, value);
/** A value of `proxy` that is one of Istio's `global.proxy`, too. */
const proxyValue = (name: string, value: unknown): ChartVariant =>
  inInjector({ proxy: { [name]: value } }, "values", `global.proxy.${name}`, value);

const onlyPodsWith = { matchLabels: { mesh: "no" } };
export const injectionVariants: Readonly<Record<string, ChartVariant>> = {
  "no injection": {
    values: { injection: { enabled: false } },
    check: (manifests) => {
      expect(hasKind(manifests, mutatingWebhooks)).toBe(false);
      expect(environmentOf(manifests)["INJECT_ENABLED"]).toBe("false");
      expect(JSON.stringify(manifests)).not.toMatch(/mutatingwebhookconfigurations|sidecar-injector/);
    },
  },
  "injection of a revision alone": {
    values: { revision: "next" },
    check: (manifests) => {
      const configuration = findManifest(manifests, mutatingWebhooks, "istio-sidecar-injector-next");
      const list = valueAt(configuration, "webhooks") as readonly { readonly name: string }[];
      expect(list.map(({ name }) => name)).toEqual([
        "rev.namespace.sidecar-injector.istio.io",
        "rev.object.sidecar-injector.istio.io",
      ]);
      expect(JSON.stringify(list)).toContain('"values":["next"]');
      expect(environmentOf(manifests)["INJECTION_WEBHOOK_CONFIG_NAME"]).toBe("istio-sidecar-injector-next");
      const map = findManifest(manifests, "ConfigMap", "istio-sidecar-injector-next");
      expect(valueAt(parse(String(valueAt(map, "data.values"))), "revision")).toBe("next");
    },
  },
  "injection of namespaces without labels": placed(
    { injection: { enableNamespacesByDefault: true } },
    mutatingWebhooks,
    "webhooks.4.name",
    "auto.sidecar-injector.istio.io",
  ),
  "pods may be asked about again": placed(
    { injection: { reinvocationPolicy: "IfNeeded" } },
    mutatingWebhooks,
    "webhooks.3.reinvocationPolicy",
    "IfNeeded",
  ),
  "patience of the API server with injection": placed(
    { injection: { timeoutSeconds: 3 } },
    mutatingWebhooks,
    "webhooks.0.timeoutSeconds",
    3,
  ),
  "native sidecars": withVariable({ injection: { nativeSidecars: true } }, "ENABLE_NATIVE_SIDECARS", "true"),
  "probes that stay": inInjector(
    { injection: { rewriteAppHTTPProbe: false } },
    "values",
    "sidecarInjectorWebhook.rewriteAppHTTPProbe",
    false,
  ),
  "pods that have to ask": injectorSetting("policy", "disabled"),
  "another template for all": injectorSetting("defaultTemplates", ["sidecar", "company"]),
  "templates of the company": injectorSetting("templates", { company: "spec: {priorityClassName: mesh}" }),
  "names for templates": injectorSetting("aliases", { both: ["sidecar", "company"] }),
  "pods that are never injected": injectorSetting("neverInjectSelector", [onlyPodsWith]),
  "pods that are always injected": injectorSetting("alwaysInjectSelector", [onlyPodsWith]),
  "annotations for injected pods": injectorSetting("injectedAnnotations", { owner: "mesh" }),
  "values that the chart does not know": inInjector(
    { injection: { values: { global: { proxy: { tracer: "zipkin" } } } }, proxy: { logLevel: "info" } },
    "values",
    "global.proxy",
    expect.objectContaining({ tracer: "zipkin", logLevel: "info" }),
  ),
};

export const proxyVariants: Readonly<Record<string, ChartVariant>> = {
  "proxy's image by tag": inInjector(
    { proxy: { image: { repository: "mirror.example/mesh/proxy", tag: "1.30" } } },
    "values",
    "global",
    expect.objectContaining({ hub: "mirror.example/mesh", tag: "1.30", proxy_init: { image: "proxy" } }),
  ),
  "proxy's image by digest": inInjector(
    { proxy: { image: { digest } } },
    "values",
    "global.proxy.image",
    `docker.io/library/meltemi-proxy@${digest}`,
  ),
  "when the proxy's image is pulled": inInjector(
    { proxy: { image: { pullPolicy: "Always" } } },
    "values",
    "global.imagePullPolicy",
    "Always",
  ),
  "credentials for the proxy's image": inInjector(
    { proxy: { imagePullSecrets: ["registry"] } },
    "values",
    "global.imagePullSecrets",
    ["registry"],
  ),
  "resources of the proxy": proxyValue("resources", {
    requests: { cpu: "1", memory: "1Gi" },
    limits: { cpu: "2", memory: "2Gi" },
  }),
  "log of the proxy": proxyValue("logLevel", "debug"),
  "logs of components of the proxy": proxyValue("componentLogLevel", "misc:info"),
  "applications wait for the proxy": proxyValue("holdApplicationUntilProxyStarts", true),
  "destinations through the proxy": proxyValue("includeIPRanges", "10.0.0.0/8"),
  "destinations past the proxy": proxyValue("excludeIPRanges", "10.1.0.0/16"),
  "ports of the pod through the proxy": proxyValue("includeInboundPorts", "80,81"),
  "ports of the pod past the proxy": proxyValue("excludeInboundPorts", "22"),
  "ports of others through the proxy": proxyValue("includeOutboundPorts", "443"),
  "ports of others past the proxy": proxyValue("excludeOutboundPorts", "5432"),
  "when the proxy is first asked": proxyValue("readinessInitialDelaySeconds", 5),
  "how often the proxy is asked": proxyValue("readinessPeriodSeconds", 2),
  "bad answers of the proxy": proxyValue("readinessFailureThreshold", 30),
  "start of the proxy": proxyValue("startupProbe", { enabled: false, failureThreshold: 60 }),
  "a proxy with all rights": proxyValue("privileged", true),
  "system calls of the proxy": proxyValue("seccompProfile", { type: "RuntimeDefault" }),
  "life of the proxy": proxyValue("lifecycle", { preStop: { exec: { command: ["sleep", "5"] } } }),
  "network of pods": inInjector({ proxy: { network: "blue" } }, "values", "global.network", "blue"),
  "name of the mesh": inInjector({ proxy: { meshID: "ours" } }, "values", "global.meshID", "ours"),
  "redirection by a plugin": inInjector({ proxy: { cni: { enabled: true } } }, "values", "pilot.cni.enabled", true),
};
