/** Route tables as resources, and the parts of them that filters have too. */
import { encode, fromJson } from "@meltemi/protos";
import type {
  Action,
  Fault,
  FilterOverrides,
  Forward,
  HeaderChange,
  HeaderRule,
  HostSpec,
  Mutations,
  QueryRule,
  Redirect,
  RouteMatch,
  RouteSpec,
  TableSpec,
  Target,
} from "./world.ts";

const rbacRouteType = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute";
export const faultType = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault";

export function buildTable(spec: TableSpec): Uint8Array {
  const name = "envoy.config.route.v3.RouteConfiguration";
  return encode(name, fromJson(name, describeTable(spec)));
}

export function describeTable({ name, hosts, mutations }: TableSpec): object {
  return {
    name,
    virtual_hosts: hosts.map(describeHost),
    // Routes may name clusters that are not there.
    validate_clusters: false,
    ...describeMutations(mutations),
  };
}

function describeHost({ name, domains, routes, mutations, filters, requiresTls }: HostSpec): object {
  return {
    name,
    domains,
    routes: routes.map(describeRoute),
    require_tls: requiresTls ? "ALL" : "NONE",
    ...describeMutations(mutations),
    ...describeOverrides(filters),
  };
}

function describeRoute({ name, match, action, mutations, filters }: RouteSpec): object {
  return {
    name,
    match: describeMatch(match),
    ...describeAction(action),
    ...describeMutations(mutations),
    ...describeOverrides(filters),
  };
}

function describeMatch({ kind, path, isCaseSensitive, headers, query, fraction }: RouteMatch): object {
  const paths = {
    prefix: { prefix: path },
    exact: { path },
    regex: { safe_regex: { regex: path } },
    separated: { path_separated_prefix: path },
  };
  return {
    ...paths[kind],
    ...(kind === "regex" ? {} : { case_sensitive: isCaseSensitive }),
    headers: headers.map(describeHeader),
    query_parameters: query.map(describeQuery),
    ...(fraction === undefined
      ? {}
      : { runtime_fraction: { default_value: { numerator: fraction, denominator: "HUNDRED" } } }),
  };
}

export function describeHeader({ name, kind, value, isInverted }: HeaderRule): object {
  const rules = {
    exact: { string_match: { exact: value } },
    prefix: { string_match: { prefix: value } },
    suffix: { string_match: { suffix: value } },
    contains: { string_match: { contains: value } },
    present: { present_match: true },
    regex: { string_match: { safe_regex: { regex: value } } },
    range: { range_match: { start: 10, end: 50 } },
  };
  return { name, ...rules[kind], invert_match: isInverted };
}

function describeQuery({ name, kind, value }: QueryRule): object {
  if (kind === "present") return { name, present_match: true };
  return { name, string_match: { [kind]: value } };
}

function describeAction(action: Action): object {
  if (action.kind === "forward") return { route: describeForward(action) };
  if (action.kind === "redirect") return { redirect: describeRedirect(action) };
  return { direct_response: { status: action.status, body: { inline_string: action.body } } };
}

function describeForward({ target, rewrite, host, timeoutMs, retry, mirrors, version }: Forward): object {
  return {
    ...describeTarget(target),
    ...(rewrite?.kind === "prefix" ? { prefix_rewrite: rewrite.to } : {}),
    ...(rewrite?.kind === "regex"
      ? { regex_rewrite: { pattern: { regex: rewrite.pattern }, substitution: rewrite.to } }
      : {}),
    ...(host === undefined ? {} : { host_rewrite_literal: host }),
    ...(timeoutMs === undefined ? {} : { timeout: `${timeoutMs / 1000}s` }),
    ...(retry === undefined
      ? {}
      : {
          retry_policy: {
            retry_on: retry.on,
            num_retries: retry.times,
            ...(retry.perTryTimeoutMs === undefined ? {} : { per_try_timeout: `${retry.perTryTimeoutMs / 1000}s` }),
            ...(retry.on === "retriable-status-codes" ? { retriable_status_codes: [503] } : {}),
            ...(retry.avoidsTried ? describeAvoidance() : {}),
            retry_back_off: { base_interval: "0.002s", max_interval: "0.01s" },
          },
        }),
    request_mirror_policies: mirrors.map(({ cluster, percent }) => ({
      cluster,
      runtime_fraction: { default_value: { numerator: percent, denominator: "HUNDRED" } },
    })),
    ...(version === undefined ? {} : { metadata_match: { filter_metadata: { "envoy.lb": { version } } } }),
    hash_policy: [{ header: { header_name: "x-a" } }],
  };
}

function describeAvoidance(): object {
  const name = "envoy.retry_host_predicates.previous_hosts";
  const type = "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate";
  return { retry_host_predicate: [{ name, typed_config: { "@type": type } }], host_selection_retry_max_attempts: 3 };
}

export function describeTarget(target: Target): object {
  if (target.kind === "cluster") return { cluster: target.cluster };
  if (target.kind === "header") return { cluster_header: "x-cluster" };
  return { weighted_clusters: { clusters: target.parts.map(({ cluster, weight }) => ({ name: cluster, weight })) } };
}

function describeRedirect({ status, host, isToHttps, path, stripsQuery }: Redirect): object {
  const codes = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
  };
  return {
    response_code: codes[status],
    ...(host === undefined ? {} : { host_redirect: host }),
    ...(isToHttps ? { https_redirect: true } : {}),
    ...(path?.kind === "whole" ? { path_redirect: path.to } : {}),
    ...(path?.kind === "prefix" ? { prefix_rewrite: path.to } : {}),
    strip_query: stripsQuery,
  };
}

function describeMutations({ request, requestRemoved, response, responseRemoved }: Mutations): object {
  return {
    request_headers_to_add: request.map(describeChange),
    request_headers_to_remove: requestRemoved,
    response_headers_to_add: response.map(describeChange),
    response_headers_to_remove: responseRemoved,
  };
}

function describeChange({ name, value, action }: HeaderChange): object {
  return { header: { key: name, value }, append_action: action };
}

function describeOverrides({ fault, rbac }: FilterOverrides): object {
  return {
    typed_per_filter_config: {
      ...(fault === undefined ? {} : { "envoy.filters.http.fault": { "@type": faultType, ...describeFault(fault) } }),
      ...(rbac === undefined
        ? {}
        : {
            "envoy.filters.http.rbac": {
              "@type": rbacRouteType,
              ...(rbac.kind === "open" ? {} : { rbac: describeDenial(rbac.header) }),
            },
          }),
    },
  };
}

export function describeFault({ abort, delayMs, header }: Fault): object {
  const always = { numerator: 100, denominator: "HUNDRED" };
  return {
    ...(abort === undefined ? {} : { abort: { http_status: abort, percentage: always } }),
    ...(delayMs === undefined ? {} : { delay: { fixed_delay: `${delayMs / 1000}s`, percentage: always } }),
    ...(header === undefined ? {} : { headers: [describeHeader(header)] }),
  };
}

/** Rules of an RBAC filter under which everybody may pass but who has the header. */
export function describeDenial(header: HeaderRule): object {
  const policy = { permissions: [{ header: describeHeader(header) }], principals: [{ any: true }] };
  return { rules: { action: "DENY", policies: { denied: policy } } };
}
