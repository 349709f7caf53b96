/**
 * Kubernetes objects as the slim records of types.ts. Fields that the mesh does not read are passed over; a field of a
 * wrong type is a finding.
 */
import type { Finding } from "../findings.ts";
import { createFindings } from "../findings.ts";
import type { MeshObject } from "../kinds.ts";
import type { ObjectMeta } from "../object.ts";
import { convertEndpointSlice, convertLegacyEndpoints, convertService } from "./convert-service.ts";
import { createFieldReader, type FieldReader } from "./fields.ts";
import type { KubeNode, PodSpec, Secret } from "./types.ts";

type KubeObject = Extract<
  MeshObject,
  {
    readonly kind:
      | "Service"
      | "EndpointSlice"
      | "Endpoints"
      | "Pod"
      | "Node"
      | "Namespace"
      | "Secret"
      | "ConfigMap"
      | "ServiceAccount";
  }
>;
export type KubeKind = KubeObject["kind"];

export interface Converted {
  readonly object: KubeObject;
  readonly findings: readonly Finding[];
}

/** Converts the raw object of one of the kinds of Kubernetes whose metadata was read already. Never throws. */
export function convertKubeObject(
  kind: KubeKind,
  raw: unknown,
  identity: { readonly apiVersion: string; readonly meta: ObjectMeta },
): Converted {
  const findings = createFindings();
  const root = createFieldReader(raw, [], findings);
  const build = (): KubeObject => {
    switch (kind) {
      case "Service":
        return { kind, ...identity, spec: convertService(root, identity.meta, findings) };
      case "EndpointSlice":
        return { kind, ...identity, spec: convertEndpointSlice(root, identity.meta, findings) };
      case "Endpoints":
        return { kind, ...identity, spec: convertLegacyEndpoints(root, identity.meta) };
      case "Pod":
        return { kind, ...identity, spec: convertPod(root) };
      case "Node":
        return { kind, ...identity, spec: convertNode(root) };
      case "Namespace": {
        const phase = root.object("status").text("phase");
        return { kind, ...identity, spec: phase === undefined ? {} : { phase } };
      }
      case "Secret":
        return { kind, ...identity, spec: convertSecret(root) };
      case "ConfigMap":
        return { kind, ...identity, spec: { data: root.labels("data") ?? {} } };
      case "ServiceAccount":
        return { kind, ...identity, spec: {} };
    }
  };
  return { object: build(), findings: findings.all };
}

function convertPod(root: FieldReader): PodSpec {
  const [metadata, spec, status] = [root.object("metadata"), root.object("spec"), root.object("status")];
  const listed = status.objects("podIPs").flatMap((item) => item.address("ip") ?? []);
  const first = status.address("podIP");
  const owner = metadata.objects("ownerReferences").find((reference) => reference.flag("controller") === true);
  const [nodeName, hostname, subdomain] = [spec.text("nodeName"), spec.text("hostname"), spec.text("subdomain")];
  const ready = status.objects("conditions").find((condition) => condition.text("type") === "Ready");
  return {
    addresses: listed.length > 0 || first === undefined ? listed : [first],
    ...(nodeName === undefined ? {} : { nodeName }),
    serviceAccountName: spec.text("serviceAccountName") ?? spec.text("serviceAccount") ?? "default",
    ...(hostname === undefined ? {} : { hostname }),
    ...(subdomain === undefined ? {} : { subdomain }),
    hostNetwork: spec.flag("hostNetwork") ?? false,
    phase: status.text("phase") ?? "Pending",
    ready: ready?.text("status") === "True",
    terminating: metadata.has("deletionTimestamp"),
    ...(owner === undefined ? {} : { owner: { kind: owner.text("kind") ?? "", name: owner.text("name") ?? "" } }),
    ports: spec.objects("containers").flatMap((container) => container.objects("ports").flatMap(convertContainerPort)),
  };
}

function convertContainerPort(port: FieldReader): PodSpec["ports"] {
  const [containerPort, name] = [port.port("containerPort"), port.text("name")];
  if (containerPort === undefined) return [];
  return [{ ...(name === undefined ? {} : { name }), containerPort, protocol: port.text("protocol") ?? "TCP" }];
}

function convertNode(root: FieldReader): KubeNode["spec"] {
  const status = root.object("status");
  const kubeletVersion = status.object("nodeInfo").text("kubeletVersion");
  return {
    addresses: status
      .objects("addresses")
      .map((item) => ({ type: item.text("type") ?? "", address: item.text("address") ?? "" })),
    ...(kubeletVersion === undefined ? {} : { kubeletVersion }),
  };
}

function convertSecret(root: FieldReader): Secret["spec"] {
  const encoded = Object.entries(root.labels("data") ?? {});
  const plain = Object.entries(root.labels("stringData") ?? {});
  return {
    type: root.text("type") ?? "Opaque",
    // stringData wins, as in the API server.
    data: Object.fromEntries([
      ...encoded.map(([key, value]) => [key, new Uint8Array(Buffer.from(value, "base64"))] as const),
      ...plain.map(([key, value]) => [key, new Uint8Array(Buffer.from(value, "utf8"))] as const),
    ]),
  };
}
