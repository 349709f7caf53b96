import type { Principal, Principal_Authenticated } from "@meltemi/protos/envoy/config/rbac/v3";
import { ConfigError, compileAll, within } from "../lib/config-error.ts";
import { compileFilterStateMatcher } from "../matchers/metadata-matcher.ts";
import { compileStringMatcher } from "../matchers/string-matcher.ts";
import { always, compileHeaderRule, compileIpRule, compileMetadataRule, compilePathRule, type Rule } from "./rule.ts";

/** Who asks. Throws ConfigError. */
export function compilePrincipal(wire: Principal): Rule {
  const rule = compileCombination(wire) ?? compileAddress(wire) ?? compileIdentity(wire);
  if (rule === undefined) throw new ConfigError("", "one of the kinds of principals is required");
  return rule;
}

function compileCombination({ and_ids: and, or_ids: or, not_id: not, any }: Principal): Rule | undefined {
  if (and !== undefined) {
    const rules = compileAll("and_ids.ids", and.ids, compilePrincipal);
    return (subject) => rules.every((rule) => rule(subject));
  }
  if (or !== undefined) {
    const rules = compileAll("or_ids.ids", or.ids, compilePrincipal);
    return (subject) => rules.some((rule) => rule(subject));
  }
  if (not !== undefined) {
    const rule = within("not_id", () => compilePrincipal(not));
    return (subject) => !rule(subject);
  }
  return any === true ? always : undefined;
}

function compileAddress(wire: Principal): Rule | undefined {
  if (wire.source_ip !== undefined) {
    return compileIpRule({
      field: "source_ip",
      range: wire.source_ip,
      ipOf: ({ connection }) => connection.remoteAddress.ip,
    });
  }
  if (wire.direct_remote_ip !== undefined) {
    return compileIpRule({
      field: "direct_remote_ip",
      range: wire.direct_remote_ip,
      ipOf: ({ connection }) => connection.directRemoteAddress.ip,
    });
  }
  if (wire.remote_ip === undefined) return undefined;
  return compileIpRule({
    field: "remote_ip",
    range: wire.remote_ip,
    ipOf: ({ connection, remoteIp }) => remoteIp ?? connection.remoteAddress.ip,
  });
}

function compileIdentity(wire: Principal): Rule | undefined {
  if (wire.authenticated !== undefined) {
    const { authenticated } = wire;
    return within("authenticated", () => compileAuthenticated(authenticated));
  }
  if (wire.header !== undefined) return compileHeaderRule(wire.header);
  if (wire.url_path !== undefined) return compilePathRule(wire.url_path);
  if (wire.metadata !== undefined) return compileMetadataRule(wire.metadata);
  if (wire.filter_state === undefined) return undefined;
  const { filter_state: state } = wire;
  const test = within("filter_state", () => compileFilterStateMatcher(state));
  return ({ info }) => test(info);
}

/** By the client's certificate: any of its URI SANs, else any of its DNS SANs, else its subject. Any TLS where no name is asked for. */
function compileAuthenticated({ principal_name: name }: Principal_Authenticated): Rule {
  if (name === undefined) return ({ connection }) => connection.tls !== undefined;
  const test = within("principal_name", () => compileStringMatcher(name));
  return ({ connection: { tls } }) => {
    if (tls === undefined) return false;
    const { peer } = tls;
    return (peer?.uriSans ?? []).some(test) || (peer?.dnsSans ?? []).some(test) || test(peer?.subject ?? "");
  };
}
