/**
 * What the mesh reads of the statuses of objects: addresses that a controller gave to hosts, and what probes say of a
 * workload. All else in a status is for people, and must not make an object look changed.
 */
import { isIP } from "node:net";
import type { Labels } from "./object.ts";

/** An address that a controller has given to a host of a ServiceEntry. */
export interface AssignedAddress {
  readonly host: string;
  readonly value: string;
}

export interface ServiceEntryStatus {
  /** Never empty. */
  readonly addresses: readonly AssignedAddress[];
}

export interface WorkloadEntryStatus {
  /** What the condition "Healthy" says. */
  readonly isHealthy: boolean;
}

/** Annotation of workload entries that are served only while a probe says that they are well (Istio: model/status). */
export const healthChecksAnnotation = "proxy.istio.io/health-checks-enabled";
/** Type of the condition that says so. */
export const healthyCondition = "Healthy";

const readers: Readonly<Record<string, (status: Fields) => object | undefined>> = {
  ServiceEntry: readAddresses,
  WorkloadEntry: readHealth,
};

/** The part of a raw status that counts for objects of a kind; undefined where there is none. Never throws. */
export function readStatus(kind: string, raw: unknown): { readonly status?: ServiceEntryStatus | WorkloadEntryStatus } {
  const status = Object.hasOwn(readers, kind) ? readers[kind]?.(asFields(raw)) : undefined;
  return status === undefined ? {} : { status: status as ServiceEntryStatus | WorkloadEntryStatus };
}

/** True where a workload entry may be sent traffic: without probes always, otherwise once one has said so. */
export function isServing(annotations: Labels, status: WorkloadEntryStatus | undefined): boolean {
  const probed = /^(1|t|T|TRUE|true|True)$/.test(annotations[healthChecksAnnotation] ?? "");
  return !probed || status?.isHealthy === true;
}

type Fields = Readonly<Record<string, unknown>>;

function asFields(raw: unknown): Fields {
  return typeof raw === "object" && raw !== null && !Array.isArray(raw) ? (raw as Fields) : {};
}

function asList(raw: unknown): readonly Fields[] {
  return Array.isArray(raw) ? raw.map(asFields) : [];
}

function readAddresses({ addresses }: Fields): ServiceEntryStatus | undefined {
  const assigned = asList(addresses).flatMap(({ host, value }): AssignedAddress[] =>
    typeof host === "string" && typeof value === "string" && isIP(value) !== 0 ? [{ host, value }] : [],
  );
  return assigned.length === 0 ? undefined : { addresses: assigned };
}

function readHealth({ conditions }: Fields): WorkloadEntryStatus | undefined {
  const healthy = asList(conditions).find(({ type }) => type === healthyCondition)?.["status"];
  return healthy === "True" || healthy === "False" ? { isHealthy: healthy === "True" } : undefined;
}
