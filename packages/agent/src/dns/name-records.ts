/**
 * The name table as an agent looks names up in it: short forms of Kubernetes' names, wildcards, and the resolver's search
 * domain. Names are in lower case and end with a dot.
 */
import { isIPv4, isIPv6 } from "node:net";
import type { NameTable, NameTable_NameInfo } from "@meltemi/protos/istio/networking/nds/v1";
import { parseAddressBits } from "../../../../src/lib/ip-address.ts";

export interface NameScope {
  /** Namespace of the proxy: its services go by their bare names. */
  readonly proxyNamespace: string;
  /** DNS domain of the proxy, with or without its namespace: "ns.svc.cluster.local". */
  readonly proxyDomain: string;
  /** Search domains of the pod's resolver; the first one counts, as it is tried first. */
  readonly search: readonly string[];
}

/** Addresses of one name in network byte order. */
export interface AddressRecords {
  readonly v4: readonly Uint8Array[];
  readonly v6: readonly Uint8Array[];
}

export interface FoundName {
  readonly records: AddressRecords;
  /** The name that the question stands for, where it is that name with the search domain behind it. */
  readonly canonicalName?: string;
}

export interface NameRecords {
  /** Undefined where the mesh knows no such name; `name` ends with a dot, in any case. */
  find(name: string): FoundName | undefined;
  /** How many names there are. */
  readonly size: number;
}

/** Indexes a name table; names without a valid address are left out. */
export function buildNameRecords(table: NameTable, scope: NameScope): NameRecords {
  const records = new Map<string, AddressRecords>();
  for (const [host, info] of Object.entries(table.table ?? {})) {
    const addresses = parseAddresses(info.ips ?? []);
    if (addresses.v4.length + addresses.v6.length === 0) continue;
    for (const name of listNames(host, info, scope)) records.set(name.toLowerCase(), addresses);
  }
  const suffix = formatSearchSuffix(scope.search[0]);
  return { size: records.size, find: (name) => findName(records, suffix, name.toLowerCase()) };
}

function parseAddresses(texts: readonly string[]): AddressRecords {
  return {
    v4: texts.filter((text) => isIPv4(text)).map((text) => formatBytes(text)),
    v6: texts.filter((text) => isIPv6(text) && !text.includes("%")).map((text) => formatBytes(text)),
  };
}

function formatBytes(address: string): Uint8Array {
  const { bits, size } = parseAddressBits(address);
  return Buffer.from(bits.toString(16).padStart(size / 4, "0"), "hex");
}

/** All names of a host: for services of the proxy's own cluster domain the shorter forms as well. */
function listNames(host: string, info: NameTable_NameInfo, scope: NameScope): readonly string[] {
  const fullName = host.endsWith(".") ? host : `${host}.`;
  if (info.registry !== "Kubernetes") return [fullName];
  const { proxyNamespace } = scope;
  const parts = scope.proxyDomain.split(".");
  const domain = parts[0] === proxyNamespace ? parts.slice(1) : parts;
  // "name.namespace" says nothing where clusters have different domains.
  if (domain.join(".") === "" || !host.endsWith(domain.join("."))) return [fullName];
  const { shortname = "", namespace = "" } = info;
  return [
    fullName,
    `${shortname}.${namespace}.`,
    `${shortname}.${namespace}.${domain[0]}.`,
    ...(namespace === proxyNamespace ? [`${shortname}.`] : []),
    ...(info.alt_hosts ?? []).map((name) => `${name}.`),
  ];
}

/** ".ns.svc.cluster.local."; undefined where there is no search domain, or only the root. */
function formatSearchSuffix(domain: string | undefined): string | undefined {
  const bare = domain?.toLowerCase().replace(/\.$/, "");
  return bare === undefined || bare === "" ? undefined : `.${bare}.`;
}

/**
 * A name itself wins, then what it is without the search domain: a resolver asks for "example.com.ns.svc.cluster.local"
 * first, and the answer to that saves it all further tries. Wildcards come last, the longest first.
 */
function findName(
  all: ReadonlyMap<string, AddressRecords>,
  suffix: string | undefined,
  name: string,
): FoundName | undefined {
  const searched = suffix !== undefined && name.endsWith(suffix) ? name.slice(0, 1 - suffix.length) : undefined;
  // A name that has the search domain itself is not looked for with that domain twice.
  const bare = searched !== undefined && !`.${searched}`.endsWith(suffix ?? "") ? searched : undefined;
  const exact = findEither(all, name, bare);
  if (exact !== undefined) return exact;
  const labels = name.split(".");
  for (let index = 1; index < labels.length - 1; index += 1) {
    const wildcard = `*.${labels.slice(index).join(".")}`;
    const found = findEither(all, wildcard, stripSuffix(wildcard, suffix, bare));
    if (found !== undefined)
      return found.canonicalName === undefined ? found : { ...found, canonicalName: bare ?? name };
  }
  return undefined;
}

/** A wildcard without the search domain, where the question had it and a label is left. */
function stripSuffix(wildcard: string, suffix: string | undefined, bare: string | undefined): string | undefined {
  if (bare === undefined || suffix === undefined || !wildcard.endsWith(suffix)) return undefined;
  const stripped = wildcard.slice(0, 1 - suffix.length);
  return stripped.length > "*.".length ? stripped : undefined;
}

function findEither(
  all: ReadonlyMap<string, AddressRecords>,
  name: string,
  bare: string | undefined,
): FoundName | undefined {
  const own = all.get(name);
  if (own !== undefined) return { records: own };
  const found = bare === undefined ? undefined : all.get(bare);
  return found === undefined || bare === undefined ? undefined : { records: found, canonicalName: bare };
}
