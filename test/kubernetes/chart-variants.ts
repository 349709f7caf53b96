/** Every value of the chart set to something else than its default, with what has to come out. */
import { expect } from "vitest";
import { injectionVariants, proxyVariants } from "./chart-injection-variants.ts";
import { findManifest, listRules, type Values, valueAt } from "./chart-rendering.ts";
import {
  type ChartVariant,
  container,
  deployment,
  environmentOf,
  hasKind,
  placed,
  withVariable,
} from "./chart-variant.ts";

/** A value of the container or of the pod. */
const inContainer = (values: Values, path: string, expected: unknown): ChartVariant =>
  placed(values, "Deployment", `spec.template.spec.containers.0.${path}`, expected);
const inPod = (values: Values, path: string, expected: unknown): ChartVariant =>
  placed(values, "Deployment", `spec.template.spec.${path}`, expected);

const withArgument = (values: Values, argument: string): ChartVariant => ({
  values,
  check: (manifests) => expect(valueAt(container(manifests), "args")).toContain(argument),
});
const without = (values: Values, kind: string): ChartVariant => ({
  values,
  check: (manifests) => expect(hasKind(manifests, kind)).toBe(false),
});

const autoscaling = { enabled: true, minReplicas: 3, maxReplicas: 9, targetCPUUtilizationPercentage: null };

const scale: Readonly<Record<string, ChartVariant>> = {
  "replicas are counted": placed({ replicaCount: 4 }, "Deployment", "spec.replicas", 4),
  "an autoscaler counts the replicas itself": {
    values: {
      autoscaling: {
        ...autoscaling,
        targetMemoryUtilizationPercentage: 70,
        behavior: { scaleDown: { stabilizationWindowSeconds: 600 } },
      },
    },
    check: (manifests) => {
      expect(valueAt(deployment(manifests), "spec")).not.toHaveProperty("replicas");
      expect(valueAt(findManifest(manifests, "HorizontalPodAutoscaler"), "spec")).toEqual({
        scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "meltemi" },
        minReplicas: 3,
        maxReplicas: 9,
        metrics: [
          { type: "Resource", resource: { name: "memory", target: { type: "Utilization", averageUtilization: 70 } } },
        ],
        behavior: { scaleDown: { stabilizationWindowSeconds: 600 } },
      });
    },
  },
  "no disruption budget": without({ podDisruptionBudget: { enabled: false } }, "PodDisruptionBudget"),
  "a disruption budget in percent": placed(
    { podDisruptionBudget: { maxUnavailable: "50%" } },
    "PodDisruptionBudget",
    "spec.maxUnavailable",
    "50%",
  ),
  "how versions replace each other": placed(
    { rollingUpdate: { maxSurge: "100%", maxUnavailable: "25%" } },
    "Deployment",
    "spec.strategy.rollingUpdate",
    { maxSurge: "100%", maxUnavailable: "25%" },
  ),
};

const memory = (limit: string | number): Values => ({ resources: { limits: { memory: limit } } });
const processVariants: Readonly<Record<string, ChartVariant>> = {
  "resources are the container's": inContainer(
    { resources: { requests: { cpu: "2", memory: "4Gi" }, limits: { memory: "8Gi" } } },
    "resources",
    { requests: { cpu: "2", memory: "4Gi" }, limits: { memory: "8Gi" } },
  ),
  "heap of a limit in Mi": withVariable(memory("1500Mi"), "NODE_OPTIONS", "--max-old-space-size=1125"),
  "heap of a limit with a fraction": withVariable(memory("1.5Gi"), "NODE_OPTIONS", "--max-old-space-size=1152"),
  "heap of a decimal limit": withVariable(memory("4G"), "NODE_OPTIONS", "--max-old-space-size=2861"),
  "heap of a limit in bytes": withVariable(memory(1073741824), "NODE_OPTIONS", "--max-old-space-size=768"),
  "no limit, no heap size": withVariable({ resources: { limits: { memory: null } } }, "NODE_OPTIONS", undefined),
  "more options for Node": withVariable(
    { nodeOptions: ["--heapsnapshot-signal=SIGUSR2"] },
    "NODE_OPTIONS",
    "--max-old-space-size=1536 --heapsnapshot-signal=SIGUSR2",
  ),
  "level of the log": withArgument({ logLevel: "debug" }, "--log_output_level=debug"),
  "log as text": withArgument({ logAsJson: false }, "--log_as_json=false"),
  "age of connections": withArgument(
    { keepaliveMaxServerConnectionAge: "infinity" },
    "--keepaliveMaxServerConnectionAge=infinity",
  ),
  "duration of the drain": withArgument({ shutdownDuration: "1m30s" }, "--shutdownDuration=1m30s"),
  "time until the process is killed": inPod(
    { terminationGracePeriodSeconds: 120 },
    "terminationGracePeriodSeconds",
    120,
  ),
  "more arguments, last": {
    values: { extraArgs: ["--keepaliveInterval=10s"] },
    check: (manifests) => {
      const args = valueAt(container(manifests), "args") as readonly string[];
      expect(args.at(-1)).toBe("--keepaliveInterval=10s");
    },
  },
  "more variables": withVariable(
    { extraEnv: [{ name: "PILOT_DEBOUNCE_AFTER", value: "50ms" }] },
    "PILOT_DEBOUNCE_AFTER",
    "50ms",
  ),
  "domain of the cluster": withArgument({ clusterDomain: "mesh.example" }, "--domain=mesh.example"),
  "name of the cluster": withVariable({ clusterID: "east" }, "CLUSTER_ID", "east"),
};

const digest = `sha256:${"0123456789abcdef".repeat(4)}`;
const spread = {
  maxSkew: 2,
  topologyKey: "rack",
  whenUnsatisfiable: "DoNotSchedule",
  labelSelector: { matchLabels: { a: "b" } },
};
const toleration = { key: "mesh", operator: "Exists", effect: "NoSchedule" };
const podVariants: Readonly<Record<string, ChartVariant>> = {
  "image by tag": inContainer(
    { image: { repository: "mirror.example/mesh", tag: "next" } },
    "image",
    "mirror.example/mesh:next",
  ),
  "image by digest": inContainer({ image: { tag: "next", digest } }, "image", `meltemi@${digest}`),
  "when the image is pulled": inContainer({ image: { pullPolicy: "Always" } }, "imagePullPolicy", "Always"),
  "credentials for the image": inPod({ imagePullSecrets: [{ name: "registry" }] }, "imagePullSecrets", [
    { name: "registry" },
  ]),
  "annotations of pods": placed(
    { podAnnotations: { owner: "mesh" } },
    "Deployment",
    "spec.template.metadata.annotations.owner",
    "mesh",
  ),
  "labels of pods": placed({ podLabels: { team: "mesh" } }, "Deployment", "spec.template.metadata.labels.team", "mesh"),
  "another user": inPod({ runAsUser: 1337 }, "securityContext.runAsGroup", 1337),
  "the platform's user": inPod({ runAsUser: null }, "securityContext", {
    runAsNonRoot: true,
    seccompProfile: { type: "RuntimeDefault" },
  }),
  "priority of pods": inPod(
    { priorityClassName: "system-cluster-critical" },
    "priorityClassName",
    "system-cluster-critical",
  ),
  "labels of nodes": inPod({ nodeSelector: { pool: "mesh" } }, "nodeSelector", { pool: "mesh" }),
  "taints of nodes": inPod({ tolerations: [toleration] }, "tolerations", [toleration]),
  "affinity of pods": inPod({ affinity: { nodeAffinity: {} } }, "affinity", { nodeAffinity: {} }),
  "a spread with its own selector": inPod({ topologySpreadConstraints: [spread] }, "topologySpreadConstraints", [
    spread,
  ]),
  "no spread": inPod({ topologySpreadConstraints: [] }, "topologySpreadConstraints", undefined),
  "no xDS over TLS": {
    values: { secureXds: { enabled: false } },
    check: (manifests) => {
      expect(valueAt(container(manifests), "args")).toContain("--secureGRPCAddr=");
      for (const manifest of manifests) {
        const text = JSON.stringify(manifest);
        // The settings of the mesh name the port all the same: that is for proxies of other releases.
        if (manifest["kind"] !== "ConfigMap") expect(text).not.toMatch(/15012|tokenreviews|subjectaccessreviews/);
      }
    },
  },
};

const meshVariants: Readonly<Record<string, ChartVariant>> = {
  "a revision is in every name and label": {
    values: { revision: "next", istiodAlias: { enabled: true } },
    check: (manifests) => {
      for (const object of manifests) {
        expect(object.metadata.name).toContain("next");
        expect(object.metadata.labels?.["istio.io/rev"]).toBe("next");
      }
      expect(environmentOf(manifests)["REVISION"]).toBe("next");
    },
  },
  "the revision default is no other than none": {
    values: { revision: "default" },
    check: (manifests) => {
      expect(manifests.filter(({ metadata }) => metadata.name.includes("default"))).toEqual([]);
      expect(environmentOf(manifests)["REVISION"]).toBe("default");
    },
  },
  "settings of the mesh lie over the defaults": {
    values: {
      meshConfig: { accessLogFile: "/dev/stdout", trustDomain: "mesh.example", defaultConfig: { concurrency: 2 } },
      meshNetworks: { east: { endpoints: [{ fromRegistry: "Kubernetes" }], gateways: [] } },
    },
    check: (manifests) => {
      const data = valueAt(findManifest(manifests, "ConfigMap", "istio"), "data") as Readonly<Record<string, string>>;
      expect(data["mesh"]).toBe(
        [
          "accessLogFile: /dev/stdout",
          "defaultConfig:",
          "  concurrency: 2",
          "  discoveryAddress: meltemi.istio-system.svc:15012",
          "enablePrometheusMerge: true",
          "rootNamespace: istio-system",
          "trustDomain: mesh.example",
          "",
        ].join("\n"),
      );
      expect(data["meshNetworks"]).toContain("fromRegistry: Kubernetes");
    },
  },
  "no ConfigMap of the mesh": {
    values: { meshConfigMap: { create: false } },
    check: (manifests) => expect(findManifest(manifests, "ConfigMap").metadata.name).toBe("istio-sidecar-injector"),
  },
  "a shared ConfigMap, which may be read": {
    values: { sharedMeshConfig: "company" },
    check: (manifests) => {
      expect(environmentOf(manifests)["SHARED_MESH_CONFIG"]).toBe("company");
      const rules = listRules(manifests).filter(({ place }) => place.startsWith("Role/"));
      const rule = rules.find(({ resources }) => resources.includes("configmaps"));
      expect(rule?.resourceNames).toEqual(["istio", "company", "istio-sidecar-injector"]);
    },
  },
  "annotations of the service account": placed(
    { serviceAccount: { annotations: { owner: "mesh" } } },
    "ServiceAccount",
    "metadata.annotations",
    { owner: "mesh" },
  ),
  "roles of one's own": {
    values: { rbac: { create: false }, secretNamespaces: ["gateways"] },
    check: (manifests) => {
      for (const kind of ["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"]) {
        expect(hasKind(manifests, kind)).toBe(false);
      }
    },
  },
  "secrets of two namespaces, one named twice": {
    values: { secretNamespaces: ["gateways", "shop", "gateways"] },
    check: (manifests) => {
      const roles = manifests.filter(({ kind, metadata }) => kind === "Role" && metadata.name.endsWith("-secrets"));
      expect(roles.map(({ metadata }) => metadata.namespace)).toEqual(["gateways", "shop"]);
      expect(environmentOf(manifests)["SECRET_NAMESPACES"]).toBe("gateways,shop");
    },
  },
};

const peer = { namespaceSelector: { matchLabels: { "istio-injection": "enabled" } } };
const monitoring = { podSelector: { matchLabels: { app: "prometheus" } } };
const networkVariants: Readonly<Record<string, ChartVariant>> = {
  "service of another type": placed({ service: { type: "LoadBalancer" } }, "Service", "spec.type", "LoadBalancer"),
  "annotations of the service": placed({ service: { annotations: { a: "b" } } }, "Service", "metadata.annotations", {
    a: "b",
  }),
  "families of addresses": {
    values: { service: { ipFamilyPolicy: "SingleStack", ipFamilies: ["IPv4"] } },
    check: (manifests) => {
      const spec = valueAt(findManifest(manifests, "Service"), "spec");
      expect(spec).toMatchObject({ ipFamilyPolicy: "SingleStack", ipFamilies: ["IPv4"] });
    },
  },
  "a second service with Istio's name": {
    values: { istiodAlias: { enabled: true } },
    check: (manifests) => {
      const [own, alias] = [
        findManifest(manifests, "Service", "meltemi"),
        findManifest(manifests, "Service", "istiod"),
      ];
      expect(valueAt(alias, "spec")).toEqual(valueAt(own, "spec"));
      expect(valueAt(deployment(manifests), "spec.template.metadata.labels.app")).toBe("istiod");
      expect(valueAt(deployment(manifests), "spec.selector.matchLabels")).not.toHaveProperty("app");
    },
  },
  "no network policy": without({ networkPolicy: { enabled: false } }, "NetworkPolicy"),
  "peers that may reach what is in plain text": {
    values: { networkPolicy: { plaintextXdsFrom: [peer], monitoringFrom: [monitoring] } },
    check: (manifests) => {
      const rules = valueAt(findManifest(manifests, "NetworkPolicy"), "spec.ingress");
      expect(rules).toContainEqual({ ports: [{ port: 15010 }], from: [{ podSelector: {} }, peer] });
      expect(rules).toContainEqual({ ports: [{ port: 15014 }], from: [{ podSelector: {} }, monitoring] });
    },
  },
};

const webhooks = "ValidatingWebhookConfiguration";
const selector = { matchLabels: { mesh: "yes" }, matchExpressions: [] };
const validationVariants: Readonly<Record<string, ChartVariant>> = {
  "no validation": {
    values: { validation: { enabled: false } },
    check: (manifests) => {
      expect(hasKind(manifests, webhooks)).toBe(false);
      expect(environmentOf(manifests)).not.toHaveProperty("VALIDATION_WEBHOOK_CONFIG_NAME");
      expect(JSON.stringify(manifests)).not.toContain("validatingwebhookconfigurations");
    },
  },
  "validation of its own revision alone": {
    values: { validation: { defaultValidator: false } },
    check: (manifests) => {
      const list = valueAt(findManifest(manifests, webhooks), "webhooks") as readonly { readonly name: string }[];
      expect(list.map(({ name }) => name)).toEqual(["rev.validation.istio.io"]);
    },
  },
  "a failure policy that the values set": placed(
    { validation: { failurePolicy: "Fail" } },
    webhooks,
    "webhooks.1.failurePolicy",
    "Fail",
  ),
  "patience of the API server": placed(
    { validation: { timeoutSeconds: 10 } },
    webhooks,
    "webhooks.0.timeoutSeconds",
    10,
  ),
  "namespaces that are validated": placed(
    { validation: { namespaceSelector: selector } },
    webhooks,
    "webhooks.0.namespaceSelector",
    selector,
  ),
};

export const chartVariants: Readonly<Record<string, ChartVariant>> = {
  ...scale,
  ...processVariants,
  ...podVariants,
  ...meshVariants,
  ...networkVariants,
  ...validationVariants,
  ...injectionVariants,
  ...proxyVariants,
};
