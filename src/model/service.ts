import type { Labels } from "../api/object.ts";
import type { ObjectRef } from "../lib/message.ts";
import type { Protocol } from "../lib/protocol.ts";
import { createSlotMemo } from "../lib/slot-memo.ts";
import { compareText } from "../lib/text-order.ts";
import type { Features } from "./features.ts";

/** How a client finds the endpoints of a service (Istio: model.Resolution; the number is what registryz prints). */
export type Resolution =
  | "clientSideLb" // 0: endpoints are known
  | "dnsLb" // 1: strict DNS
  | "passthrough" // 2: the original destination
  | "dnsRoundRobin" // 3: logical DNS
  | "alias" // 4: ExternalName
  | "dynamicDns"; // 5: dynamic forward proxy

export interface ServicePort {
  readonly name: string;
  readonly number: number;
  readonly protocol: Protocol;
  /** Kubernetes: number or name of a container port. ServiceEntry: the number, where one was given. */
  readonly targetPort?: number | string;
}

/** One host of the mesh, from a Kubernetes Service or from one host of a ServiceEntry. */
export interface Service {
  readonly hostname: string;
  readonly name: string;
  readonly namespace: string;
  readonly registry: "Kubernetes" | "External";
  readonly ports: readonly ServicePort[];
  /** Cluster addresses or the addresses (also CIDR blocks) of a ServiceEntry; empty where it has none. */
  readonly addresses: readonly string[];
  /** Addresses of a Kubernetes service alone, where entries for its host add some: its name stands for these only. */
  readonly ownAddresses?: readonly string[];
  /** Where entries that share the host have different addresses: those of each port. */
  readonly portAddresses?: { readonly [port: number]: readonly string[] };
  /** Addresses that the status of its ServiceEntry gives to the host. */
  readonly assignedAddress?: { readonly v4?: string; readonly v6?: string };
  /** Addresses from automatic allocation, for services without one of their own: those of the status, or others. */
  readonly autoAllocatedAddress?: string;
  readonly autoAllocatedAddressV6?: string;
  readonly resolution: Resolution;
  readonly isHeadless: boolean;
  readonly meshExternal: boolean;
  /** "*" for all, "." for the own namespace, "~" for nobody, otherwise names of namespaces. Never empty. */
  readonly exportTo: ReadonlySet<string>;
  /** Where entries that share the host are for different namespaces: who may see each port. */
  readonly portExportTo?: { readonly [port: number]: ReadonlySet<string> };
  readonly labels: Labels;
  readonly selector: Labels | undefined;
  /** RFC 3339 */
  readonly creationTimestamp?: string;
  readonly resourceVersion?: string;
  /** Target of an ExternalName service. */
  readonly externalName?: string;
  /** Other hosts (ExternalName services) that stand for this one. */
  readonly aliases: readonly { readonly hostname: string; readonly namespace: string }[];
  /** Subject alternative names that a client may accept, from a ServiceEntry or an annotation. */
  readonly subjectAltNames: readonly string[];
  readonly publishNotReadyAddresses: boolean;
  readonly nodeLocal: boolean;
  readonly trafficDistribution?: "PreferClose" | "PreferSameZone" | "PreferSameNode" | "Any";
  /** True where clients try all addresses of a looked up name at once and keep the first that answers. */
  readonly racesConnections?: boolean;
  /** Addresses of load balancers and external IPs: registryz shows them. */
  readonly externalAddresses: readonly string[];
  /** The object this service came from. */
  readonly object: ObjectRef;
}

const keptParts = createSlotMemo<Service>();

/**
 * The service as clients of a port know it, with the addresses of the entries that declare the port; the service itself
 * where all ports have the same addresses, otherwise always the same copy. Istio: each ServiceEntry is a service.
 */
export function atPort(service: Service, port: number): Service {
  const addresses = service.portAddresses?.[port];
  if (addresses === undefined) return service;
  return keptParts({ owner: service, slot: `${port}` }, [], () => ({ ...service, addresses }));
}

/** Key of a service: a host may exist in several namespaces. */
export function serviceKey(service: { readonly hostname: string; readonly namespace: string }): string {
  return `${service.namespace}/${service.hostname}`;
}

/** True where a label of the service asks for sessions that stay with an endpoint that is about to go. */
export function keepsSessions({ labels }: Pick<Service, "labels">, features: Features): boolean {
  return [features.persistentSessionLabel, features.persistentSessionHeaderLabel].some(
    (label) => label !== "" && (labels[label] ?? "") !== "",
  );
}

/** Istio's order of services: creation time, then name, then namespace. Those without a time count as the oldest. */
export function compareServices(a: Service, b: Service): number {
  return (
    compareText(a.creationTimestamp ?? "", b.creationTimestamp ?? "") ||
    compareText(a.name, b.name) ||
    compareText(a.namespace, b.namespace)
  );
}

export const unspecifiedAddress = "0.0.0.0";
