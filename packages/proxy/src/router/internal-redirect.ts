/** Redirects of upstreams that the proxy follows itself. */

import { typeNameOf, unpackAs } from "@meltemi/protos";
import type { TypedExtensionConfig } from "@meltemi/protos/envoy/config/core/v3";
import type { InternalRedirectPolicy as PolicyWire, RouteAction } from "@meltemi/protos/envoy/config/route/v3";
import { ConfigError, compileAll, within } from "../lib/config-error.ts";
import { wrappedNumber } from "../lib/wrapped.ts";

/** What a predicate decides on. */
export interface RedirectTarget {
  readonly fromScheme: string;
  readonly toScheme: string;
  /** Of the route that the new request would take. */
  readonly routeName: string;
  /** Names of the routes that were redirected from, by the policy that did so. */
  readonly previous: readonly { readonly policy: InternalRedirectPolicy; readonly routeName: string }[];
}

export interface InternalRedirectPolicy {
  readonly maxRedirects: number;
  readonly statusCodes: ReadonlySet<number>;
  readonly allowsCrossScheme: boolean;
  readonly predicates: readonly ((target: RedirectTarget, policy: InternalRedirectPolicy) => boolean)[];
  readonly headersToCopy: readonly string[];
}

const followable = new Set([301, 302, 303, 307, 308]);

/** Undefined where redirects are passed to the client. Throws ConfigError. */
export function compileInternalRedirect(wire: RouteAction): InternalRedirectPolicy | undefined {
  const { internal_redirect_policy: policy } = wire;
  if (policy !== undefined) return within("internal_redirect_policy", () => compilePolicy(policy));
  if (wire.internal_redirect_action !== "HANDLE_INTERNAL_REDIRECT") return undefined;
  return compilePolicy({ max_internal_redirects: wire.max_internal_redirects });
}

function compilePolicy(wire: PolicyWire): InternalRedirectPolicy {
  const codes = (wire.redirect_response_codes ?? []).filter((code) => followable.has(code));
  return {
    maxRedirects: wrappedNumber(wire.max_internal_redirects, 1),
    statusCodes: new Set((wire.redirect_response_codes?.length ?? 0) === 0 ? [302] : codes),
    allowsCrossScheme: wire.allow_cross_scheme_redirect === true,
    predicates: compileAll("predicates", wire.predicates, compilePredicate),
    headersToCopy: compileAll("response_headers_to_copy", wire.response_headers_to_copy, (name) => {
      if (name.startsWith(":") || name === "") throw new ConfigError("", `"${name}" cannot be copied`);
      return name.toLowerCase();
    }),
  };
}

const extensions = "envoy.extensions.internal_redirect";

function compilePredicate(wire: TypedExtensionConfig): InternalRedirectPolicy["predicates"][number] {
  const { name = "", typed_config: config } = wire;
  const type = typeNameOf(config?.type_url ?? "");
  if (type === `${extensions}.previous_routes.v3.PreviousRoutesConfig`) {
    return ({ previous, routeName }, policy) =>
      !previous.some((before) => before.policy === policy && before.routeName === routeName);
  }
  if (type === `${extensions}.safe_cross_scheme.v3.SafeCrossSchemeConfig`) {
    return ({ fromScheme, toScheme }) => fromScheme === "https" || toScheme === "http";
  }
  const listed = config && unpackAs(`${extensions}.allow_listed_routes.v3.AllowListedRoutesConfig`, config);
  if (listed === undefined) throw new ConfigError("", `the extension ${name} is not supported`);
  const names = new Set(listed.allowed_route_names);
  return ({ routeName }) => names.has(routeName);
}
