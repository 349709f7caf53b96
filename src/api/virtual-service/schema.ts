/** VirtualService (networking.istio.io): rules that apply when a host is addressed. */
import type { Static } from "typebox";
import type { ApiObject } from "../object.ts";
import { type DeepReadonly, duration, exportTo, list, optional, record, text, texts } from "../schema-fields.ts";
import {
  corsPolicySchema,
  delegateSchema,
  destinationSchema,
  directResponseSchema,
  faultSchema,
  headersSchema,
  httpRouteDestinationSchema,
  mirrorPercent,
  mirrorPercentage,
  mirrorPolicySchema,
  redirectSchema,
  retrySchema,
  rewriteSchema,
  routeDestinationSchema,
} from "./actions.ts";
import { httpMatchSchema, l4MatchSchema, tlsMatchSchema } from "./match.ts";

export const httpRouteSchema = record(
  {
    name: optional(text("Name of the route for logs and statistics.")),
    match: optional(
      list(httpMatchSchema, "Conditions, one of which must hold. Everything matches where there is none."),
    ),
    route: optional(list(httpRouteDestinationSchema, "Where requests go, by weight.")),
    redirect: optional(redirectSchema),
    directResponse: optional(directResponseSchema),
    delegate: optional(delegateSchema),
    rewrite: optional(rewriteSchema),
    timeout: optional(duration("Time for the whole request with all retries; none where not given.")),
    retries: optional(retrySchema),
    fault: optional(faultSchema),
    mirror: optional(destinationSchema),
    mirrors: optional(
      list(mirrorPolicySchema, "Destinations that get copies of requests, each with its own percentage."),
    ),
    mirrorPercent,
    mirrorPercentage,
    corsPolicy: optional(corsPolicySchema),
    headers: optional(headersSchema),
  },
  "A rule for HTTP traffic; the first rule that matches a request applies.",
);

export const tlsRouteSchema = record(
  {
    match: list(tlsMatchSchema, "Conditions, one of which must hold."),
    route: optional(list(routeDestinationSchema, "Where connections go, by weight.")),
  },
  "A rule for TLS traffic that is passed through unopened.",
);

export const tcpRouteSchema = record(
  {
    match: optional(list(l4MatchSchema, "Conditions, one of which must hold. Everything matches where there is none.")),
    route: optional(list(routeDestinationSchema, "Where connections go, by weight.")),
  },
  "A rule for TCP traffic.",
);

export const virtualServiceSchema = record({
  hosts: optional(texts("Hosts that are addressed: names, wildcards or IP addresses. None for a delegate.")),
  gateways: optional(
    texts(
      'Gateways that apply the rules, as "namespace/name", and "mesh" for sidecars. Only sidecars where not given.',
    ),
  ),
  http: optional(list(httpRouteSchema, "Rules for HTTP traffic, in order.")),
  tls: optional(list(tlsRouteSchema, "Rules for TLS traffic that is passed through, in order.")),
  tcp: optional(list(tcpRouteSchema, "Rules for TCP traffic, in order.")),
  exportTo,
});

export type VirtualServiceSpec = DeepReadonly<Static<typeof virtualServiceSchema>>;
export type VirtualService = ApiObject<"VirtualService", VirtualServiceSpec>;

export type HttpRoute = DeepReadonly<Static<typeof httpRouteSchema>>;
export type HttpMatch = DeepReadonly<Static<typeof httpMatchSchema>>;
export type HttpRouteDestination = DeepReadonly<Static<typeof httpRouteDestinationSchema>>;
export type TlsRoute = DeepReadonly<Static<typeof tlsRouteSchema>>;
export type TlsMatch = DeepReadonly<Static<typeof tlsMatchSchema>>;
export type TcpRoute = DeepReadonly<Static<typeof tcpRouteSchema>>;
export type L4Match = DeepReadonly<Static<typeof l4MatchSchema>>;
export type RouteDestination = DeepReadonly<Static<typeof routeDestinationSchema>>;
export type Destination = DeepReadonly<Static<typeof destinationSchema>>;
export type HttpRetry = DeepReadonly<Static<typeof retrySchema>>;
export type HttpFault = DeepReadonly<Static<typeof faultSchema>>;
export type HttpRedirect = DeepReadonly<Static<typeof redirectSchema>>;
export type HttpRewrite = DeepReadonly<Static<typeof rewriteSchema>>;
export type DirectResponse = DeepReadonly<Static<typeof directResponseSchema>>;
export type CorsPolicy = DeepReadonly<Static<typeof corsPolicySchema>>;
export type HeaderChanges = DeepReadonly<Static<typeof headersSchema>>;
/** How text is compared; see stringMatch. */
export type StringMatch = { readonly exact?: string; readonly prefix?: string; readonly regex?: string };
