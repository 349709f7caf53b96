import { unpackAs } from "@meltemi/protos";
import type { TypedExtensionConfig } from "@meltemi/protos/envoy/config/core/v3";
import type { Permission } from "@meltemi/protos/envoy/config/rbac/v3";
import { ConfigError, compileAll, need, within } from "../lib/config-error.ts";
import { pathOnly } from "../matchers/path-matcher.ts";
import { compileStringMatcher } from "../matchers/string-matcher.ts";
import { compileUriTemplate } from "../router/uri-template.ts";
import { always, compileHeaderRule, compileIpRule, compileMetadataRule, compilePathRule, type Rule } from "./rule.ts";

/** What is asked for. Throws ConfigError. */
export function compilePermission(wire: Permission): Rule {
  const rule = compileCombination(wire) ?? compileAddress(wire) ?? compileMessage(wire);
  if (rule === undefined) throw new ConfigError("", "one of the kinds of permissions is required");
  return rule;
}

function compileCombination({ and_rules: and, or_rules: or, not_rule: not, any }: Permission): Rule | undefined {
  if (and !== undefined) {
    const rules = compileAll("and_rules.rules", and.rules, compilePermission);
    return (subject) => rules.every((rule) => rule(subject));
  }
  if (or !== undefined) {
    const rules = compileAll("or_rules.rules", or.rules, compilePermission);
    return (subject) => rules.some((rule) => rule(subject));
  }
  if (not !== undefined) {
    const rule = within("not_rule", () => compilePermission(not));
    return (subject) => !rule(subject);
  }
  return any === true ? always : undefined;
}

function compileAddress(wire: Permission): Rule | undefined {
  const { destination_ip: range, destination_port: port, destination_port_range: ports } = wire;
  if (range !== undefined) {
    return compileIpRule({ field: "destination_ip", range, ipOf: ({ connection }) => connection.localAddress.ip });
  }
  if (port !== undefined) return ({ connection }) => connection.localAddress.port === port;
  if (ports === undefined) return undefined;
  const { start = 0, end = 0 } = ports;
  if (start >= end) throw new ConfigError("destination_port_range", "the end must be after the start");
  return ({ connection }) => connection.localAddress.port >= start && connection.localAddress.port < end;
}

function compileMessage(wire: Permission): Rule | undefined {
  if (wire.header !== undefined) return compileHeaderRule(wire.header);
  if (wire.url_path !== undefined) return compilePathRule(wire.url_path);
  if (wire.metadata !== undefined) return compileMetadataRule(wire.metadata);
  if (wire.requested_server_name !== undefined) {
    const { requested_server_name: name } = wire;
    const test = within("requested_server_name", () => compileStringMatcher(name));
    return ({ connection }) => test(connection.sni);
  }
  if (wire.uri_template !== undefined) {
    const { uri_template: template } = wire;
    return within("uri_template", () => compileTemplate(template));
  }
  if (wire.matcher !== undefined) {
    throw new ConfigError("matcher", `the matcher ${wire.matcher.name ?? ""} is not supported`);
  }
  return undefined;
}

function compileTemplate({ name = "", typed_config: any }: TypedExtensionConfig): Rule {
  const config = any && unpackAs("envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig", any);
  if (config === undefined) throw new ConfigError("", `the matcher ${name} is not supported`);
  const template = compileUriTemplate(need("typed_config.path_template", config.path_template));
  return ({ request }) => request !== undefined && template.match(pathOnly(request.path)) !== undefined;
}
