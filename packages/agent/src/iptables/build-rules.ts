/**
 * The rules of redirection, in the order of Istio's (tools/istio-iptables): within a chain the first match decides.
 * https://istio.io/latest/docs/ops/deployment/application-requirements/ lists the ports,
 * https://www.envoyproxy.io/docs/envoy/latest/configuration/other_features/original_src_filter TPROXY's routes.
 */
import { buildDnsRules } from "./dns-rules.ts";
import { buildInboundRules, buildTproxyMarks } from "./inbound-rules.ts";
import { buildOutboundRules } from "./outbound-rules.ts";
import type { RedirectionSettings } from "./redirection-settings.ts";
import type { Family, Rule, Table } from "./rule.ts";
import { createRuleContext, first, rule } from "./rule-context.ts";

/** Builds the rules of one family; none for IPv6 where the settings leave it out. */
export function buildRules(settings: RedirectionSettings, family: Family): readonly Rule[] {
  if (family === "v6" && !settings.ipv6) return [];
  const context = createRuleContext(settings, family);
  return [
    ...buildExcludedInterfaces(settings),
    ...settings.virtualInterfaces.map((name) => first("nat", "PREROUTING", `-i ${name} -j RETURN`)),
    ...(settings.dropInvalid ? invalidDropRules : []),
    ...buildInboundRules(context),
    ...buildOutboundRules(context, buildDnsRules(context)),
    ...(settings.interceptionMode === "TPROXY" ? buildTproxyMarks(context) : []),
  ];
}

function buildExcludedInterfaces({ excludedInterfaces, interceptionMode }: RedirectionSettings): readonly Rule[] {
  const tables: readonly Table[] = interceptionMode === "TPROXY" ? ["nat", "mangle"] : ["nat"];
  return tables.flatMap((table) =>
    excludedInterfaces.flatMap((name) => [
      rule(table, "PREROUTING", `-i ${name} -j RETURN`),
      rule(table, "OUTPUT", `-o ${name} -j RETURN`),
    ]),
  );
}

// Packets outside the window of their connection would otherwise reach the stack, which resets the connection.
const invalidDropRules: readonly Rule[] = [
  rule("mangle", "PREROUTING", "-m conntrack --ctstate INVALID -j ISTIO_DROP"),
  rule("mangle", "ISTIO_DROP", "-j DROP"),
];
