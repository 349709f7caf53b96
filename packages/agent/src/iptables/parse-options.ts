/** Texts of the command line and the environment to checked settings: nothing else may become part of a rule. */
import { isIP, isIPv4 } from "node:net";
import { parseDuration } from "../../../../src/lib/duration.ts";
import { parseResolvConf } from "../dns/resolv-conf.ts";
import { type IptablesFlagKey, type IptablesValues, iptablesFlags, parseBoolean } from "./flags.ts";
import {
  type AddressRanges,
  type DnsCapture,
  RedirectionError,
  type RedirectionSettings,
} from "./redirection-settings.ts";

/** What is asked for, beside the rules themselves. */
export interface RedirectionOptions {
  readonly settings: RedirectionSettings;
  readonly dryRun: boolean;
  readonly skipRuleApply: boolean;
  readonly runValidation: boolean;
  readonly probePort: number;
  readonly probeTimeoutMs: number;
  /** Path of a network namespace; "" for the own one. */
  readonly networkNamespace: string;
  readonly cniMode: boolean;
  readonly reconcile: boolean;
  readonly cleanupOnly: boolean;
  readonly forceApply: boolean;
  readonly forceBinary: "" | "legacy" | "nft";
}

/** Facts about the pod that options leave open. */
export interface HostFacts {
  /** ISTIO_OUTBOUND_OWNER_GROUPS and the like, which have no option. */
  readonly environment: { readonly [name: string]: string | undefined };
  /** Addresses of all interfaces, in the order of the system. */
  readonly addresses: readonly string[];
  /** Text of the pod's resolv.conf. */
  readonly resolvConf: string;
  /** Number of a user, by name. */
  findUid(name: string): string | undefined;
}

/** Most groups that fit into one rule (tools/common/config/validation.go). */
const maxOwnerGroups = 64;
const defaultProxyUid = "1337";

/** Reads options; throws RedirectionError for what is no port, range, name or choice. */
export function parseRedirectionOptions(values: IptablesValues, host: HostFacts): RedirectionOptions {
  const flag = (key: IptablesFlagKey): boolean => {
    const value = parseBoolean(values[key]);
    if (value === undefined) throw wrong(iptablesFlags[key].name, values[key], "true or false");
    return value;
  };
  if (flag("nativeNftables")) {
    throw new RedirectionError(
      "native-nftables is not supported: rules are made by iptables, over nf_tables where the kernel has it",
    );
  }
  return {
    settings: parseSettings(values, host, flag),
    dryRun: flag("dryRun"),
    skipRuleApply: flag("skipRuleApply"),
    runValidation: flag("runValidation"),
    probePort: Number(checked(values, "probePort", portForm)),
    probeTimeoutMs: parseTimeout(values.probeTimeout),
    networkNamespace: values.networkNamespace,
    cniMode: flag("cniMode"),
    reconcile: flag("reconcile"),
    cleanupOnly: flag("cleanupOnly"),
    forceApply: flag("forceApply"),
    forceBinary: parseChoice("force-iptables-binary", values.forceIptablesBinary, ["", "legacy", "nft"]),
  };
}

function parseSettings(
  values: IptablesValues,
  host: HostFacts,
  flag: (key: IptablesFlagKey) => boolean,
): RedirectionSettings {
  const mode = parseChoice(iptablesFlags.interceptionMode.name, values.interceptionMode, ["", "REDIRECT", "TPROXY"]);
  const proxyUid =
    values.proxyUid || (host.findUid(host.environment["ENVOY_USER"] ?? "istio-proxy") ?? defaultProxyUid);
  const owner = { ...values, proxyUid, proxyGid: values.proxyGid || proxyUid };
  const excluded = parseRanges("istio-service-exclude-cidr", values.excludedRanges);
  if (excluded === "*") throw wrong("istio-service-exclude-cidr", "*", "a list of ranges");
  return {
    proxyPort: checked(values, "envoyPort", portForm),
    inboundCapturePort: checked(values, "inboundCapturePort", portForm),
    inboundTunnelPort: checked(values, "inboundTunnelPort", portForm),
    proxyUids: list(owner, "proxyUid", ownerForm),
    proxyGids: list(owner, "proxyGid", ownerForm),
    interceptionMode: mode === "TPROXY" ? "TPROXY" : "REDIRECT",
    tproxyMark: checked(values, "tproxyMark", numberForm),
    tproxyRouteTable: checked(values, "tproxyRouteTable", numberForm),
    inboundPorts: values.inboundPorts === "*" ? "*" : list(values, "inboundPorts", portsForm),
    inboundPortsExcluded: list(values, "excludedInboundPorts", portsForm),
    outboundRanges: parseRanges("istio-service-cidr", values.serviceRanges),
    outboundRangesExcluded: excluded,
    outboundPorts: list(values, "outboundPorts", portsForm),
    outboundPortsExcluded: list(values, "excludedOutboundPorts", portsForm),
    ...parseOwnerGroups(host),
    virtualInterfaces: list(values, "virtualInterfaces", interfaceForm),
    excludedInterfaces: list(values, "excludedInterfaces", interfaceForm),
    dns: parseDnsCapture(flag("redirectDns"), flag("captureAllDns"), host.resolvConf),
    dropInvalid: flag("dropInvalid"),
    ipv6: usesIpv6(host.addresses, flag("dualStack")),
    ipv4LoopbackRange: parseLoopbackRange(host.environment["ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR"] ?? "127.0.0.1/32"),
  };
}

interface Form {
  readonly pattern: RegExp;
  readonly name: string;
}
const portForm: Form = { pattern: /^\d{1,5}$/, name: "a port" };
// iptables takes ranges and names from /etc/services as well.
const portsForm: Form = { pattern: /^(\d{1,5}(:\d{1,5})?|[a-z][a-z0-9-]{0,30})$/, name: "a list of ports" };
const ownerForm: Form = { pattern: /^[A-Za-z0-9_][\w.-]{0,31}$/, name: "a list of users or groups" };
const numberForm: Form = { pattern: /^\d{1,9}$/, name: "a number" };
const interfaceForm: Form = { pattern: /^[A-Za-z0-9_][\w.:@-]{0,14}\+?$/, name: "a list of interfaces" };

function checked(values: IptablesValues, key: IptablesFlagKey, form: Form): string {
  const value = values[key];
  if (!form.pattern.test(value)) throw wrong(iptablesFlags[key].name, value, form.name);
  return value;
}

/** Parts of a list; empty ones are left out, as injection writes "15090,15021,". */
function list(values: IptablesValues, key: IptablesFlagKey, form: Form): readonly string[] {
  return parseList(iptablesFlags[key].name, values[key], form);
}

function parseList(name: string, value: string, form: Form): readonly string[] {
  const parts = splitList(value);
  if (!parts.every((part) => form.pattern.test(part))) throw wrong(name, value, form.name);
  return parts;
}

function splitList(value: string): readonly string[] {
  return value
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

function wrong(name: string, value: string, expected: string): RedirectionError {
  return new RedirectionError(`${name}: ${JSON.stringify(value)} is not ${expected}`);
}

function parseChoice<Choice extends string>(name: string, value: string, choices: readonly Choice[]): Choice {
  const found = choices.find((choice) => choice === value);
  if (found === undefined) throw wrong(name, value, `one of ${choices.filter((choice) => choice !== "").join(", ")}`);
  return found;
}

function parseTimeout(value: string): number {
  const timeoutMs = parseDuration(value);
  if (timeoutMs === undefined || timeoutMs < 0) throw wrong("probe-timeout", value, 'a duration such as "5s"');
  return timeoutMs;
}

function parseRanges(name: string, value: string): "*" | AddressRanges {
  if (value === "*") return "*";
  const ranges = splitList(value);
  if (!ranges.every((range) => rangeFamily(range) !== undefined)) {
    throw wrong(name, value, 'a list of ranges such as "10.0.0.0/8"');
  }
  return {
    v4: ranges.filter((range) => rangeFamily(range) === 4),
    v6: ranges.filter((range) => rangeFamily(range) === 6),
  };
}

/** 4 or 6; undefined where the text is no range in CIDR form. */
function rangeFamily(range: string): 4 | 6 | undefined {
  const [address = "", bits = "", rest] = range.split("/");
  const family = address.includes("%") ? 0 : isIP(address);
  if (rest !== undefined || !/^\d{1,3}$/.test(bits) || (family !== 4 && family !== 6)) return undefined;
  return Number(bits) <= (family === 4 ? 32 : 128) ? family : undefined;
}

function parseLoopbackRange(range: string): string {
  const bits = Number(range.split("/")[1]);
  if (rangeFamily(range) !== 4 || !range.startsWith("127.") || bits < 8) {
    throw wrong("ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", range, "a range of IPv4 loopback addresses");
  }
  return range;
}

function parseOwnerGroups({
  environment,
}: HostFacts): Pick<RedirectionSettings, "ownerGroups" | "ownerGroupsExcluded"> {
  const included = environment["ISTIO_OUTBOUND_OWNER_GROUPS"] ?? "*";
  const excluded = environment["ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE"] ?? "";
  const groups = included === "*" ? "*" : parseList("ISTIO_OUTBOUND_OWNER_GROUPS", included, ownerForm);
  if (groups.length > maxOwnerGroups) {
    throw wrong("ISTIO_OUTBOUND_OWNER_GROUPS", included, `a list of at most ${maxOwnerGroups} groups`);
  }
  return {
    ownerGroups: groups,
    ownerGroupsExcluded: parseList("ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE", excluded, ownerForm),
  };
}

function parseDnsCapture(redirects: boolean, capturesAll: boolean, resolvConf: string): DnsCapture {
  if (!redirects) return { kind: "none" };
  if (capturesAll) return { kind: "all" };
  // A zone ("fe80::1%eth0") is no part of what a rule can match.
  const servers = parseResolvConf(resolvConf).nameservers.map((server) => server.replace(/%.*$/, ""));
  return {
    kind: "servers",
    v4: servers.filter((server) => isIPv4(server)),
    v6: servers.filter((server) => isIP(server) === 6),
  };
}

/**
 * Istio's rule: by the first address that is neither loopback nor link-local, IPv4 addresses first; with `dualStack` by
 * any such IPv6 address. Throws where the pod has no address at all.
 */
function usesIpv6(addresses: readonly string[], dualStack: boolean): boolean {
  const usable = addresses.filter((address) => !/^(127\.|169\.254\.|::1$|fe[89ab]|ff.2)/i.test(address));
  if (usable.length === 0) throw new RedirectionError("the pod has no address but loopback and link-local ones");
  const hasIpv4 = usable.some((address) => isIPv4(address));
  const hasIpv6 = usable.some((address) => isIP(address) === 6);
  return dualStack ? hasIpv6 : !hasIpv4;
}
