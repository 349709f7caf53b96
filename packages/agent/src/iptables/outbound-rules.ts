/** Rules for connections that the pod makes; their order in ISTIO_OUTPUT is what they mean. */
import type { Rule } from "./rule.ts";
import { first, type RuleContext, rule } from "./rule-context.ts";

/** `dnsRules` come after the owners and before the destinations. */
export function buildOutboundRules(context: RuleContext, dnsRules: readonly Rule[]): readonly Rule[] {
  const { settings, family, loopback, passthrough } = context;
  return [
    rule("nat", "OUTPUT", "-j ISTIO_OUTPUT"),
    ...settings.outboundPortsExcluded.flatMap((port) => [
      output(`-p tcp --dport ${port} -j RETURN`),
      output(`-p udp --dport ${port} -j RETURN`),
    ]),
    output(`-o lo -s ${passthrough} -j RETURN`),
    ...settings.proxyUids.flatMap((uid) => buildOwnerRules(context, { option: "--uid-owner", id: uid })),
    ...settings.proxyGids.flatMap((gid) => buildOwnerRules(context, { option: "--gid-owner", id: gid })),
    ...buildGroupRules(context),
    ...dnsRules,
    output(`-d ${loopback} -j RETURN`),
    ...settings.outboundRangesExcluded[family].map((range) => output(`-d ${range} -j RETURN`)),
    ...settings.outboundPorts.map((port) => output(`-p tcp --dport ${port} -j ISTIO_REDIRECT`)),
    ...buildRangeRules(context),
  ];
}

function output(words: string): Rule {
  return rule("nat", "ISTIO_OUTPUT", words);
}

interface Owner {
  readonly option: "--uid-owner" | "--gid-owner";
  readonly id: string;
}

/** How traffic of the proxy itself, and the application's to itself, goes. */
function buildOwnerRules(context: RuleContext, { option, id }: Owner): readonly Rule[] {
  const { settings, loopback, capturesDns } = context;
  const tunnel = settings.inboundTunnelPort;
  // The agent's own queries must reach a resolver in the pod itself. Istio leaves port 53 out for users alone.
  const ports =
    capturesDns && option === "--uid-owner" ? `-m multiport ! --dports 53,${tunnel}` : `! --dport ${tunnel}`;
  // A resolver in the pod itself is captured like any other, so queries to it go on to the DNS rules.
  const toSelf = capturesDns ? "-o lo -p tcp ! --dport 53" : "-o lo";
  return [
    // The application called its own service: Envoy's outbound side chose this pod, the inbound side takes it.
    output(`-o lo ! -d ${loopback} -p tcp ${ports} -m owner ${option} ${id} -j ISTIO_IN_REDIRECT`),
    // The application called its own address: no proxy in between, unless loopback addresses are asked for.
    ...(redirectsLoopback(context) ? [] : [output(`${toSelf} -m owner ! ${option} ${id} -j RETURN`)]),
    // What the proxy sends is never sent to the proxy.
    output(`-m owner ${option} ${id} -j RETURN`),
  ];
}

function redirectsLoopback({ settings: { outboundRanges } }: RuleContext): boolean {
  if (outboundRanges === "*") return false;
  return outboundRanges.v4.some((range) => range.startsWith("127.")) || outboundRanges.v6.some(isLoopback);
}

/** True for a range whose address is ::1, however it is written. */
function isLoopback(range: string): boolean {
  return /^[0:]*:0{0,3}1\//.test(range);
}

function buildGroupRules({ settings }: RuleContext): readonly Rule[] {
  if (settings.ownerGroups === "*") {
    return settings.ownerGroupsExcluded.map((group) => output(`-m owner --gid-owner ${group} -j RETURN`));
  }
  const others = settings.ownerGroups.map((group) => `-m owner ! --gid-owner ${group} `).join("");
  return [output(`${others}-j RETURN`)];
}

function buildRangeRules({ settings, family }: RuleContext): readonly Rule[] {
  const { outboundRanges, virtualInterfaces } = settings;
  const destinations = outboundRanges === "*" ? [""] : outboundRanges[family].map((range) => `-d ${range} `);
  return destinations.flatMap((destination) => [
    ...virtualInterfaces.map((name) => first("nat", "PREROUTING", `-i ${name} ${destination}-j ISTIO_REDIRECT`)),
    output(`${destination}-j ISTIO_REDIRECT`),
  ]);
}
