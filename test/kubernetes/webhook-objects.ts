/** Objects of the tests of the webhook. */

/** A CRD whose schema lets everything pass, so that the webhook alone judges. */
export function buildOpenCrd(group: string, plural: string, kind: string): object {
  const anything = { type: "object", "x-kubernetes-preserve-unknown-fields": true };
  const version = { name: "v1", served: true, storage: true, schema: { openAPIV3Schema: anything } };
  const names = { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List` };
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${group}` },
    spec: { group, names, scope: "Namespaced", versions: [version] },
  };
}

/** A webhook configuration as the chart has it, but with a URL, because nothing routes to Services here. */
export function buildConfig(name: string, port: number): object {
  const groups = ["security.istio.io", "networking.istio.io", "telemetry.istio.io", "extensions.istio.io"];
  const rules = [{ operations: ["CREATE", "UPDATE"], apiGroups: groups, apiVersions: ["*"], resources: ["*"] }];
  const url = `https://127.0.0.1:${port}/validate`;
  const webhook = {
    name: "rev.validation.istio.io",
    clientConfig: { url },
    rules,
    failurePolicy: "Ignore",
    sideEffects: "None",
    admissionReviewVersions: ["v1"],
    objectSelector: { matchExpressions: [{ key: "istio.io/rev", operator: "In", values: ["default"] }] },
  };
  const unlabelled = { matchExpressions: [{ key: "istio.io/rev", operator: "DoesNotExist" }] };
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingWebhookConfiguration",
    metadata: { name, labels: { "istio.io/rev": "default" } },
    webhooks: [webhook, { ...webhook, name: "validation.istio.io", objectSelector: unlabelled }],
  };
}

const spec = { hosts: ["reviews"], http: [{ route: [{ destination: { host: "reviews" } }] }] };
export const virtualService = (changes: object = {}, metadata: object = { name: "reviews" }): object => ({
  apiVersion: "networking.istio.io/v1",
  kind: "VirtualService",
  metadata: { namespace: "shop", ...metadata },
  spec: { ...spec, ...changes },
});
/** No host, and the field is told by its path. */
export const invalid = { http: [{ route: [{ destination: {}, weight: 50 }] }] };
