import type { Labels } from "../api/object.ts";

export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
}

export const unknownLocality: Locality = { region: "", zone: "", subzone: "" };

/** Parses "region/zone/subzone" (each part may be missing). */
export function parseLocality(text: string): Locality {
  const [region = "", zone = "", subzone = ""] = text.split("/");
  return { region, zone, subzone };
}

/** Formats as "region/zone/subzone", without empty parts at the end. */
export function formatLocality(locality: Locality): string {
  if (locality.region === "") return "";
  if (locality.zone === "") return locality.region;
  if (locality.subzone === "") return `${locality.region}/${locality.zone}`;
  return `${locality.region}/${locality.zone}/${locality.subzone}`;
}

/** "UNKNOWN" (the wire's default, not written) where no platform watches the endpoint: those of a ServiceEntry. */
export type EndpointHealth = "UNKNOWN" | "HEALTHY" | "UNHEALTHY" | "DRAINING" | "TERMINATING";

/** One address and port that serves one port of a service. Immutable: identity tells whether it changed. */
export interface Endpoint {
  /** An IP address, a DNS name, or "unix:///path". */
  readonly address: string;
  /** Further addresses of a dual-stack workload. */
  readonly additionalAddresses: readonly string[];
  readonly port: number;
  /** Name of the service's port that this endpoint serves. */
  readonly servicePortName: string;
  /** Number of that port where a ServiceEntry states it: entries that share a host may call different ports the same. */
  readonly servicePort?: number;
  readonly labels: Labels;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly workloadName: string;
  readonly network: string;
  readonly locality: Locality;
  readonly clusterId: string;
  /** 0 means none was given: 1 on the wire. */
  readonly weight: number;
  /** "istio" where the workload takes mutual TLS, otherwise "disabled". */
  readonly tlsMode: string;
  readonly health: EndpointHealth;
  readonly nodeName: string;
  readonly hostName: string;
  readonly subDomain: string;
}

/**
 * True for endpoints of a port: by its number where they state it, else by its name. EDS alone goes by names in any case
 * (Istio: IstioEndpoint.LegacyClusterPortKey).
 */
export function servesPort(
  { servicePort, servicePortName }: Pick<Endpoint, "servicePort" | "servicePortName">,
  port: { readonly number: number; readonly name: string },
): boolean {
  return servicePort === undefined ? servicePortName === port.name : servicePort === port.number;
}
