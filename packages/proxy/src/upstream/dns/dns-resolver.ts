/** Resolving names to addresses, by DNS servers that configuration names or by the system's. */
import { Resolver } from "node:dns";
import { lookup } from "node:dns/promises";
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import type { Cluster_DnsLookupFamily } from "@meltemi/protos/envoy/config/cluster/v3";
import type { DnsResolverPlan } from "./dns-config.ts";

export interface ResolvedAddress {
  readonly ip: string;
  /** Undefined where the source has none, as /etc/hosts. */
  readonly ttlMs: number | undefined;
}

export interface DnsResolver {
  /** The addresses in the order of the answer; none where the name has none. Rejects where the servers give no answer. */
  resolve(name: string, family: Cluster_DnsLookupFamily): Promise<readonly ResolvedAddress[]>;
  /** Gives up what is asked at the moment: it rejects. */
  close(): void;
}

/** As Envoy's c-ares: four tries of five seconds at most for each server. */
const queryTimeoutMs = 5000;
const queryTries = 4;
const hostsFile = "/etc/hosts";

/** Codes that say that there are no records, which is an answer as well. */
const emptyCodes: ReadonlySet<string> = new Set(["ENODATA", "ENOTFOUND"]);

type Family = 4 | 6;
type LookUp = (name: string, family: Family) => Promise<readonly ResolvedAddress[]>;

export function createDnsResolver(plan: DnsResolverPlan): DnsResolver {
  const resolver = new Resolver({ timeout: queryTimeoutMs, tries: queryTries });
  if (plan.servers.length > 0 && !plan.isFallback) resolver.setServers(plan.servers);
  const query: LookUp = (name, family) => ask(resolver, name, family);
  const lookUp = chooseLookUp(plan, query);
  return {
    async resolve(name, family) {
      const ipFamily = isIP(name);
      if (ipFamily !== 0) return isWanted(ipFamily === 6 ? 6 : 4, family) ? [{ ip: name, ttlMs: undefined }] : [];
      const routable = plan.filtersUnroutable ? routableFamilies() : undefined;
      const find: LookUp = (text, wanted) =>
        routable?.has(wanted) === false ? Promise.resolve([]) : lookUp(text, wanted);
      return await resolveFamilies(find, name, family);
    },
    close: () => resolver.cancel(),
  };
}

function chooseLookUp(plan: DnsResolverPlan, query: LookUp): LookUp {
  if (plan.kind === "system") return lookUpBySystem;
  return async (name, family) => {
    const listed = await lookUpInHosts(name, family);
    if (listed.length > 0) return listed;
    if (plan.servers.length > 0 && !plan.isFallback) return await query(name, family);
    return await askSystem(plan, { name, family, query });
  };
}

/** The system's servers with the times to live; then its own look-up, which knows search domains; then the servers for emergencies. */
async function askSystem(
  plan: DnsResolverPlan,
  { name, family, query }: { readonly name: string; readonly family: Family; readonly query: LookUp },
): Promise<readonly ResolvedAddress[]> {
  try {
    const found = await query(name, family);
    if (found.length > 0 || plan.isWithoutSearch) return found;
    return await lookUpBySystem(name, family);
  } catch (cause: unknown) {
    if (plan.servers.length === 0) throw cause;
    const fallback = new Resolver({ timeout: queryTimeoutMs, tries: queryTries });
    fallback.setServers(plan.servers);
    return await ask(fallback, name, family);
  }
}

async function resolveFamilies(
  find: LookUp,
  name: string,
  family: Cluster_DnsLookupFamily,
): Promise<readonly ResolvedAddress[]> {
  switch (family) {
    case "V4_ONLY":
      return await find(name, 4);
    case "V6_ONLY":
      return await find(name, 6);
    case "ALL": {
      const [six, four] = await Promise.all([find(name, 6), find(name, 4)]);
      return [...six, ...four];
    }
    default: {
      const [first, second]: readonly [Family, Family] = family === "V4_PREFERRED" ? [4, 6] : [6, 4];
      const found = await find(name, first);
      return found.length > 0 ? found : await find(name, second);
    }
  }
}

function ask(resolver: Resolver, name: string, family: Family): Promise<readonly ResolvedAddress[]> {
  return new Promise((resolve, reject) => {
    const settle = (
      error: NodeJS.ErrnoException | null,
      records: readonly { readonly address: string; readonly ttl: number }[] | undefined,
    ): void => {
      if (error === null) resolve((records ?? []).map(({ address, ttl }) => ({ ip: address, ttlMs: ttl * 1000 })));
      else if (emptyCodes.has(error.code ?? "")) resolve([]);
      else reject(error);
    };
    if (family === 4) resolver.resolve4(name, { ttl: true }, settle);
    else resolver.resolve6(name, { ttl: true }, settle);
  });
}

async function lookUpBySystem(name: string, family: Family): Promise<readonly ResolvedAddress[]> {
  try {
    const found = await lookup(name, { family, all: true, verbatim: true });
    return found.map(({ address }) => ({ ip: address, ttlMs: undefined }));
  } catch (cause: unknown) {
    if (cause instanceof Error && "code" in cause && emptyCodes.has(String(cause.code))) return [];
    throw cause;
  }
}

async function lookUpInHosts(name: string, family: Family): Promise<readonly ResolvedAddress[]> {
  const text = await readFile(hostsFile, "utf8").catch(() => "");
  const wanted = name.toLowerCase().replace(/\.$/, "");
  return findInHosts(text, wanted)
    .filter((ip) => isIP(ip) === family)
    .map((ip) => ({ ip, ttlMs: undefined }));
}

/** Addresses of a name in the text of a hosts file (hosts(5)). */
export function findInHosts(text: string, name: string): readonly string[] {
  return text.split("\n").flatMap((line) => {
    const [ip = "", ...names] = (line.split("#")[0] ?? "").trim().split(/\s+/);
    return names.some((each) => each.toLowerCase() === name) ? [ip] : [];
  });
}

function isWanted(ip: Family, family: Cluster_DnsLookupFamily): boolean {
  if (family === "V4_ONLY") return ip === 4;
  return family !== "V6_ONLY" || ip === 6;
}

/** Families of which some interface other than the loopback has an address. */
function routableFamilies(): ReadonlySet<Family> {
  const families = new Set<Family>();
  for (const { family, internal } of Object.values(networkInterfaces()).flatMap((each) => each ?? [])) {
    if (!internal) families.add(family === "IPv6" ? 6 : 4);
  }
  return families;
}
