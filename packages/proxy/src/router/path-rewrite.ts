/** Rewrites of paths: of the part that a route matched, by a regular expression, or by a template. */
import { unpackAs } from "@meltemi/protos";
import type { RouteAction } from "@meltemi/protos/envoy/config/route/v3";
import type { RegexMatchAndSubstitute } from "@meltemi/protos/envoy/type/matcher/v3";
import { ConfigError, within } from "../lib/config-error.ts";
import { pathOnly } from "../matchers/path-matcher.ts";
import { compileReplacement } from "../matchers/regex.ts";
import type { CompiledMatch } from "./route-match.ts";
import { compileUriRewrite } from "./uri-template.ts";

/** From a path with query to another. */
export type PathRewrite = (path: string) => string;

const templateRewrite = "envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig";

/** Undefined where the path stays as it is. Throws ConfigError. */
export function compilePathRewrite(wire: RouteAction, match: CompiledMatch): PathRewrite | undefined {
  const { prefix_rewrite: prefix = "", regex_rewrite: regex, path_rewrite_policy: policy } = wire;
  if ([prefix !== "", regex !== undefined, policy !== undefined].filter(Boolean).length > 1) {
    throw new ConfigError("", "takes only one of prefix_rewrite, regex_rewrite and path_rewrite_policy");
  }
  if (prefix !== "") {
    if (match.template) throw new ConfigError("prefix_rewrite", "is not possible with path_match_policy");
    return rewritePrefix(prefix, match);
  }
  if (regex !== undefined) return within("regex_rewrite", () => rewriteByRegex(regex));
  if (policy === undefined) return undefined;
  return within("path_rewrite_policy", () => {
    const config = policy.typed_config && unpackAs(templateRewrite, policy.typed_config);
    if (config === undefined)
      throw new ConfigError("typed_config", `the extension ${policy.name ?? ""} is not supported`);
    return rewriteByTemplate(config.path_template_rewrite ?? "", match);
  });
}

/** The matched part is replaced, the rest and the query stay. */
export function rewritePrefix(prefix: string, match: CompiledMatch): PathRewrite {
  return (path) => prefix + path.slice(match.matchedLength(path));
}

/** Every match of the expression in the path is replaced, the query stays. Throws ConfigError. */
export function rewriteByRegex(wire: RegexMatchAndSubstitute): PathRewrite {
  const replace = compileReplacement(wire.pattern?.regex ?? "", wire.substitution ?? "");
  return (path) => {
    const only = pathOnly(path);
    return replace(only) + path.slice(only.length);
  };
}

function rewriteByTemplate(rewrite: string, { template }: CompiledMatch): PathRewrite {
  if (template === undefined) throw new ConfigError("", "needs a path_match_policy with a template");
  const write = within("typed_config", () => compileUriRewrite(rewrite, template.variables));
  return (path) => {
    const only = pathOnly(path);
    const found = template.match(only);
    return found === undefined ? path : write(found) + path.slice(only.length);
  };
}
