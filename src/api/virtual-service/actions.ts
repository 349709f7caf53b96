/** What a route of a VirtualService does with a request: destination, redirect, rewrite, retries, fault, CORS, headers. */
import {
  duration,
  flag,
  int32,
  labels,
  list,
  name,
  oneOf,
  optional,
  percent,
  record,
  stringMatch,
  text,
  texts,
  uint32,
} from "../schema-fields.ts";

export const destinationSchema = record(
  {
    host: name("Name of a service in the registry; a name without dots is a service of this object's namespace."),
    subset: optional(text("Name of a subset that a DestinationRule of the host defines.")),
    port: optional(
      record(
        { number: optional(uint32("Number of the service's port.")) },
        "Port of the host; may be left out where the host has only one.",
      ),
    ),
  },
  "Service that receives the traffic.",
);

const headerOperations = (description: string) =>
  record(
    {
      set: optional(labels("Headers to overwrite with these values.")),
      add: optional(labels("Headers to which these values are appended.")),
      remove: optional(texts("Headers to remove.")),
    },
    description,
  );

export const headersSchema = record(
  {
    request: optional(headerOperations("Changes before the request goes on to the destination.")),
    response: optional(headerOperations("Changes before the response goes back to the caller.")),
  },
  "Changes of headers.",
);

export const redirectSchema = record(
  {
    uri: optional(text("Replaces the path, whatever part of it was matched.")),
    prefixRewrite: optional(text("Replaces only the matched prefix of the path; every uri match must be a prefix.")),
    authority: optional(text("Replaces the authority (host).")),
    port: optional(uint32("Replaces the port.")),
    derivePort: optional(
      oneOf(
        ["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"],
        "Takes the port from the protocol (80, 443) or from the request.",
      ),
    ),
    scheme: optional(text("Replaces the scheme: http or https.")),
    redirectCode: optional(uint32("Status of the redirect; 301 where it is not given.")),
  },
  "Answers with a redirect instead of forwarding.",
);

export const directResponseSchema = record(
  {
    status: uint32("HTTP status of the answer."),
    body: optional(
      record(
        {
          string: optional(text("Body as text.")),
          bytes: optional(text("Body as bytes in base64.")),
        },
        "Body of the answer; none where it is not given.",
      ),
    ),
  },
  "Answers with fixed content instead of forwarding.",
);

export const delegateSchema = record(
  {
    name: optional(text("Name of the VirtualService that holds the routes.")),
    namespace: optional(text("Its namespace; that of this object where it is not given.")),
  },
  "Hands the matched part over to the routes of another VirtualService, which has no hosts of its own.",
);

export const rewriteSchema = record(
  {
    uri: optional(text("Replaces the matched prefix of the path, or the whole path for other matches.")),
    authority: optional(text("Replaces the authority (Host header).")),
    uriRegexRewrite: optional(
      record(
        {
          match: optional(text("RE2 expression that finds parts of the path.")),
          rewrite: optional(text("Replacement, with \\1 and so on for what groups captured.")),
        },
        "Rewrites the path by a regular expression.",
      ),
    ),
  },
  "Rewrites the request before it is forwarded.",
);

export const retrySchema = record(
  {
    attempts: optional(int32("Number of retries; 0 turns retries off.")),
    perTryTimeout: optional(
      duration("Timeout of each attempt, the first one included; that of the route where not given."),
    ),
    retryOn: optional(text("Conditions for a retry, separated by commas: Envoy's names and HTTP status codes.")),
    retryRemoteLocalities: optional(flag("Whether retries may go to other localities.")),
    retryIgnorePreviousHosts: optional(
      flag("Whether retries avoid hosts that were tried before; true where not given."),
    ),
    backoff: optional(duration("Shortest wait between retries; 25ms where not given.")),
  },
  "Retries of failed requests.",
);

export const corsPolicySchema = record(
  {
    allowOrigin: optional(texts("Origins that may call. Use allowOrigins instead.")),
    allowOrigins: optional(
      list(stringMatch("An origin, such as https://example.com."), "Origins that may call; the first match counts."),
    ),
    allowMethods: optional(texts("Methods for Access-Control-Allow-Methods.")),
    allowHeaders: optional(texts("Request headers for Access-Control-Allow-Headers.")),
    exposeHeaders: optional(texts("Response headers that scripts may read.")),
    maxAge: optional(duration("How long the answer to a preflight may be kept.")),
    allowCredentials: optional(flag("Whether calls with credentials are allowed.")),
    unmatchedPreflights: optional(
      oneOf(
        ["UNSPECIFIED", "FORWARD", "IGNORE"],
        "What happens to preflights of other origins; FORWARD where not given.",
      ),
    ),
  },
  "Cross-Origin Resource Sharing.",
);

export const faultSchema = record(
  {
    delay: optional(
      record(
        {
          percent: optional(int32("Percentage as an integer. Use percentage instead.")),
          fixedDelay: optional(duration("How long to wait before the request is forwarded, 1ms at least.")),
          exponentialDelay: optional(duration("Mean of a random delay. Not supported.")),
          percentage: optional(percent("Part of the requests to delay.")),
        },
        "Delays requests.",
      ),
    ),
    abort: optional(
      record(
        {
          httpStatus: optional(int32("HTTP status to answer with.")),
          grpcStatus: optional(text("gRPC status to answer with, by name such as UNAVAILABLE or by number.")),
          http2Error: optional(text("HTTP/2 error to answer with. Not supported.")),
          percentage: optional(percent("Part of the requests to abort; none where not given.")),
        },
        "Answers with an error.",
      ),
    ),
  },
  "Faults to inject for tests. While it is set, timeouts and retries of the route do not apply.",
);

export const mirrorPolicySchema = record(
  {
    destination: destinationSchema,
    percentage: optional(percent("Part of the requests to mirror; all where not given.")),
  },
  "A destination that gets copies of requests; its answers are discarded.",
);

export const routeDestinationSchema = record(
  {
    destination: destinationSchema,
    weight: optional(int32("Share of the connections, relative to the sum of all weights of the route.")),
  },
  "A weighted destination.",
);

export const httpRouteDestinationSchema = record(
  {
    destination: destinationSchema,
    weight: optional(int32("Share of the requests, relative to the sum of all weights of the route.")),
    headers: optional(headersSchema),
  },
  "A weighted destination.",
);

export const mirrorPercentage = optional(percent("Part of the requests that mirror gets; all where not given."));
export const mirrorPercent = optional(uint32("Percentage as an integer. Use mirrorPercentage instead."));
