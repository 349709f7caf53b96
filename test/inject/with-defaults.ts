/**
 * A pod as an API server hands it to the next webhook: with the defaults of its version, quantities in their shortest form
 * (k8s.io/kubernetes pkg/apis/core/v1/defaults.go), and fields in its own order.
 */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };
type JsonObject = { readonly [name: string]: Json };

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const shortest: Readonly<Record<string, string>> = { "2000m": "2", "1024Mi": "1Gi" };

/** Defaults of an object, by the field that it stands in or whose list it is an item of. */
const defaults: Readonly<Record<string, (object: JsonObject) => JsonObject>> = {
  containers: () => ({
    terminationMessagePath: "/dev/termination-log",
    terminationMessagePolicy: "File",
    imagePullPolicy: "IfNotPresent",
    resources: {},
  }),
  initContainers: () => ({
    terminationMessagePath: "/dev/termination-log",
    terminationMessagePolicy: "File",
    imagePullPolicy: "IfNotPresent",
    resources: {},
  }),
  ports: () => ({ protocol: "TCP" }),
  fieldRef: () => ({ apiVersion: "v1" }),
  httpGet: () => ({ scheme: "HTTP", path: "/" }),
  grpc: () => ({ service: "" }),
  readinessProbe: () => ({ timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 }),
  livenessProbe: () => ({ timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 }),
  startupProbe: () => ({ timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 }),
  configMap: () => ({ defaultMode: 420 }),
  secret: () => ({ defaultMode: 420 }),
  downwardAPI: () => ({ defaultMode: 420 }),
  projected: () => ({ defaultMode: 420 }),
  spec: () => ({
    restartPolicy: "Always",
    dnsPolicy: "ClusterFirst",
    terminationGracePeriodSeconds: 30,
    securityContext: {},
    schedulerName: "default-scheduler",
    enableServiceLinks: true,
  }),
};

export function withDefaults(value: Json, place = ""): Json {
  if (Array.isArray(value)) return value.map((item: Json) => withDefaults(item, place));
  if (!isObject(value)) return typeof value === "string" && isQuantity(place) ? (shortest[value] ?? value) : value;
  const whole: JsonObject = { ...(defaults[place]?.(value) ?? {}), ...value };
  const names = Object.keys(whole).sort();
  const inside = (name: string) => (place === "requests" || place === "limits" ? "quantity" : name);
  return Object.fromEntries(names.map((name) => [name, withDefaults(whole[name] ?? null, inside(name))]));
}

const isQuantity = (place: string): boolean => place === "quantity" || place === "sizeLimit";
