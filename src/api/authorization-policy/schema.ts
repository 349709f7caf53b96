/** AuthorizationPolicy (security.istio.io): which requests and connections workloads accept. */
import type { Static } from "typebox";
import type { ApiObject } from "../object.ts";
import { attachmentFields } from "../policy-attachment.ts";
import { type DeepReadonly, list, name, oneOf, optional, record, text, texts } from "../schema-fields.ts";

export const sourceSchema = record(
  {
    principals: optional(texts('Identities of peers from mutual TLS, as "TRUST_DOMAIN/ns/NAMESPACE/sa/ACCOUNT".')),
    notPrincipals: optional(texts("Identities of peers that do not match.")),
    requestPrincipals: optional(texts('Identities from a token of the request, as "ISSUER/SUBJECT".')),
    notRequestPrincipals: optional(texts("Identities from a token that do not match.")),
    namespaces: optional(texts("Namespaces of peers, from mutual TLS.")),
    notNamespaces: optional(texts("Namespaces of peers that do not match.")),
    serviceAccounts: optional(
      texts('Service accounts of peers, as "ACCOUNT" or "NAMESPACE/ACCOUNT"; 16 at most, no wildcards.'),
    ),
    notServiceAccounts: optional(texts("Service accounts of peers that do not match.")),
    trustDomains: optional(texts('Trust domains of peers; "*" may stand at the start or the end.')),
    notTrustDomains: optional(texts("Trust domains of peers that do not match.")),
    ipBlocks: optional(texts("Addresses or subnets that packets come from.")),
    notIpBlocks: optional(texts("Addresses or subnets that packets do not come from.")),
    remoteIpBlocks: optional(
      texts("Addresses or subnets of the first client, from X-Forwarded-For or PROXY protocol."),
    ),
    notRemoteIpBlocks: optional(texts("Addresses or subnets of the first client that do not match.")),
  },
  "Source of a request; all fields that are given must match.",
);

export const operationSchema = record(
  {
    hosts: optional(texts("Hosts of HTTP requests, in any case.")),
    notHosts: optional(texts("Hosts that do not match.")),
    ports: optional(texts("Ports of the workload, as text.")),
    notPorts: optional(texts("Ports that do not match.")),
    methods: optional(texts("Methods of HTTP requests; gRPC is always POST.")),
    notMethods: optional(texts("Methods that do not match.")),
    paths: optional(texts('Paths of HTTP requests, with "*" at an end or "{*}" and "{**}" for segments.')),
    notPaths: optional(texts("Paths that do not match.")),
  },
  "What a request does; all fields that are given must match.",
);

export const conditionSchema = record({
  key: name('Attribute of the request, such as "request.headers[user-agent]" or "source.namespace".'),
  values: optional(texts("Values that match.")),
  notValues: optional(texts("Values that do not match.")),
});

export const ruleSchema = record({
  from: optional(list(record({ source: optional(sourceSchema) }), "Sources, one of which must match; any if absent.")),
  to: optional(
    list(record({ operation: optional(operationSchema) }), "Operations, one of which must match; any if absent."),
  ),
  when: optional(list(conditionSchema, "Conditions, all of which must hold.")),
});

export const authorizationPolicySchema = record({
  ...attachmentFields,
  rules: optional(list(ruleSchema, "Rules, one of which must match; without rules nothing ever matches.")),
  action: optional(
    oneOf(
      ["ALLOW", "DENY", "AUDIT", "CUSTOM"],
      "What becomes of requests that match: CUSTOM asks a provider, and comes before DENY, which comes before ALLOW.",
    ),
  ),
  provider: optional(
    record({ name: optional(text("Name of an extension provider of MeshConfig.")) }, "Whom the action CUSTOM asks."),
  ),
});

export type AuthorizationSource = DeepReadonly<Static<typeof sourceSchema>>;
export type AuthorizationOperation = DeepReadonly<Static<typeof operationSchema>>;
export type AuthorizationCondition = DeepReadonly<Static<typeof conditionSchema>>;
export type AuthorizationRule = DeepReadonly<Static<typeof ruleSchema>>;
export type AuthorizationPolicySpec = DeepReadonly<Static<typeof authorizationPolicySchema>>;
export type AuthorizationPolicy = ApiObject<"AuthorizationPolicy", AuthorizationPolicySpec>;
