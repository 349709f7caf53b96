/**
 * Rules that bring queries (port 53, UDP and TCP) to the agent's DNS server, and keep its own queries apart from those
 * of applications in connection tracking: without zones, two flows with one five-tuple race for an entry.
 */
import type { Rule } from "./rule.ts";
import { type RuleContext, rule } from "./rule-context.ts";

const agentDnsPort = "15053";

export function buildDnsRules(context: RuleContext): readonly Rule[] {
  if (!context.capturesDns) return [];
  const servers = listServers(context);
  return [
    rule("raw", "OUTPUT", "-j ISTIO_OUTPUT_DNS"),
    ...(servers.length === 0 ? [] : [rule("nat", "ISTIO_OUTPUT", "-j ISTIO_OUTPUT_DNS")]),
    // TCP for all servers before UDP, as Istio has it: the order says nothing here.
    ...servers.map(({ to }) => redirect(`-p tcp --dport 53 ${to}-j REDIRECT --to-ports ${agentDnsPort}`)),
    ...servers.map(({ to }) => redirect(`-p udp --dport 53 ${to}-j REDIRECT --to-ports ${agentDnsPort}`)),
    ...buildZones(context, servers),
  ];
}

/** A server as the destination of queries and the source of answers; one entry without either stands for all. */
interface ServerMatch {
  readonly to: string;
  readonly from: string;
}

function listServers({ settings: { dns }, family }: RuleContext): readonly ServerMatch[] {
  if (dns.kind === "none") return [];
  if (dns.kind === "all") return [{ to: "", from: "" }];
  const bits = family === "v4" ? 32 : 128;
  return dns[family].map((server) => ({ to: `-d ${server}/${bits} `, from: `-s ${server}/${bits} ` }));
}

function redirect(words: string): Rule {
  return rule("nat", "ISTIO_OUTPUT_DNS", words);
}

/** Zone 1: between the agent and resolvers. Zone 2: between applications and the agent. */
function buildZones({ settings }: RuleContext, servers: readonly ServerMatch[]): readonly Rule[] {
  const outgoing = (words: string): Rule => rule("raw", "ISTIO_OUTPUT_DNS", `-p udp ${words}`);
  const owners = [
    ...settings.proxyUids.map((uid) => `-m owner --uid-owner ${uid}`),
    ...settings.proxyGids.map((gid) => `-m owner --gid-owner ${gid}`),
  ];
  return [
    ...owners.flatMap((owner) => [
      outgoing(`--dport 53 ${owner} -j CT --zone 1`),
      outgoing(`--sport ${agentDnsPort} ${owner} -j CT --zone 2`),
    ]),
    ...(servers.length === 0 ? [] : [rule("raw", "PREROUTING", "-j ISTIO_INBOUND")]),
    ...servers.flatMap(({ to, from }) => [
      outgoing(`--dport 53 ${to}-j CT --zone 2`),
      rule("raw", "ISTIO_INBOUND", `-p udp --sport 53 ${from}-j CT --zone 1`),
    ]),
  ];
}
