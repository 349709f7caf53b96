/** Providers that the mesh configuration names: external authorization, tracing, metrics and access logs. */
import { type TProperties, Type } from "typebox";
import { duration, flag, labels, list, name, oneOf, optional, record, text, texts, uint32 } from "../schema-fields.ts";

const service = name("Name of the service, as host or namespace/host.");
const port = uint32("Port of the service.");
const maxTagLength = optional(uint32("Longest path in a span."));
const freeForm = (description: string) => optional(Type.Record(Type.String(), Type.Unknown(), { description }));

const remote = <Properties extends TProperties>(properties: Properties, description: string) =>
  optional(record({ service, port, ...properties }, description));

const requestBody = optional(
  record(
    {
      maxRequestBytes: optional(uint32("Most bytes of the body that are sent.")),
      allowPartialMessage: optional(flag("Sends what there is when the body is longer.")),
      packAsBytes: optional(flag("Sends the body as bytes and not as text.")),
    },
    "Whether and how the body is part of the check.",
  ),
);

const initialMetadata = optional(
  list(
    record(
      {
        name: optional(text("Name of the header.")),
        value: optional(text("Its value.")),
        envName: optional(text("Variable of the proxy's environment that holds the value.")),
      },
      "One header.",
    ),
    "Headers of the requests to the provider.",
  ),
);

const retry = optional(
  record(
    {
      attempts: optional(uint32("Retries.")),
      retryBackOff: freeForm("Wait between retries."),
      timeout: optional(duration("Timeout of an attempt.")),
      retryOn: optional(text("Conditions for a retry.")),
    },
    "Retries of calls to the provider.",
  ),
);

const grpcService = optional(
  record(
    { timeout: optional(duration("Timeout of a call.")), initialMetadata, retryPolicy: retry },
    "How gRPC calls are made.",
  ),
);

const httpService = optional(
  record(
    {
      path: optional(text("Path of the requests.")),
      timeout: optional(duration("Timeout of a request.")),
      headers: initialMetadata,
    },
    "How HTTP requests are made.",
  ),
);

const logFilter = optional(record({ expression: optional(text("CEL expression.")) }, "Which requests are logged."));

const authorization = {
  envoyExtAuthzHttp: remote(
    {
      timeout: optional(duration("Timeout of the check; 600s where not given.")),
      pathPrefix: optional(text("Prefix of the path of the check.")),
      failOpen: optional(flag("Lets requests pass when the check fails.")),
      clearRouteCache: optional(flag("Chooses the route anew after the check.")),
      statusOnError: optional(text("Status when the check cannot be made; 403 where not given.")),
      includeHeadersInCheck: optional(texts("Use includeRequestHeadersInCheck instead.")),
      includeRequestHeadersInCheck: optional(texts("Request headers that are part of the check.")),
      includeAdditionalHeadersInCheck: optional(labels("Fixed headers that are part of the check.")),
      includeRequestBodyInCheck: requestBody,
      headersToUpstreamOnAllow: optional(texts("Headers of the answer that go on to the application.")),
      headersToDownstreamOnDeny: optional(texts("Headers of the answer that go back to the caller on a denial.")),
      headersToDownstreamOnAllow: optional(texts("Headers of the answer that go back to the caller otherwise.")),
    },
    "External authorization over HTTP.",
  ),
  envoyExtAuthzGrpc: remote(
    {
      timeout: optional(duration("Timeout of the check; 600s where not given.")),
      failOpen: optional(flag("Lets requests pass when the check fails.")),
      clearRouteCache: optional(flag("Chooses the route anew after the check.")),
      statusOnError: optional(text("Status when the check cannot be made; 403 where not given.")),
      includeRequestBodyInCheck: requestBody,
    },
    "External authorization over gRPC.",
  ),
};

const tracing = {
  zipkin: remote(
    {
      maxTagLength,
      enable64bitTraceId: optional(flag("Uses short trace identities.")),
      path: optional(text("Path of the collector.")),
      timeout: optional(duration("Timeout of a report.")),
      headers: initialMetadata,
      traceContextOption: optional(oneOf(["USE_B3", "USE_B3_WITH_W3C_PROPAGATION"], "Which headers carry the trace.")),
    },
    "Zipkin.",
  ),
  lightstep: remote({ accessToken: optional(text("Access token.")), maxTagLength }, "Lightstep."),
  datadog: remote({ maxTagLength }, "Datadog."),
  skywalking: remote({ accessToken: optional(text("Access token.")) }, "SkyWalking."),
  opentelemetry: remote(
    {
      maxTagLength,
      http: httpService,
      grpc: grpcService,
      resourceDetectors: optional(
        record(
          { environment: freeForm("Reads OTEL_RESOURCE_ATTRIBUTES."), dynatrace: freeForm("Reads Dynatrace's files.") },
          "Where attributes of the resource come from.",
        ),
      ),
      dynatraceSampler: freeForm("Samples as Dynatrace says."),
      serviceAttributeEnrichment: optional(
        oneOf(["ISTIO_CANONICAL", "OTEL_SEMANTIC_CONVENTIONS"], "Which attributes describe the service."),
      ),
    },
    "OpenTelemetry.",
  ),
  opencensus: remote({ context: optional(texts("Context formats.")), maxTagLength }, "OpenCensus."),
};

const metricsAndLogs = {
  stackdriver: optional(
    record(
      {
        debug: optional(flag("Prints traces as well.")),
        maxTagLength,
        maxNumberOfAttributes: optional(uint32("Most attributes of a span.")),
        maxNumberOfAnnotations: optional(uint32("Most annotations of a span.")),
        maxNumberOfMessageEvents: optional(uint32("Most message events of a span.")),
        logging: optional(
          record({ labels: optional(labels("Labels and the CEL expressions of their values.")) }, "Logs."),
        ),
      },
      "Google Cloud's operations suite.",
    ),
  ),
  prometheus: optional(record({}, "Prometheus.")),
  envoyFileAccessLog: optional(
    record(
      {
        path: optional(text("Path of the file.")),
        logFormat: optional(
          record(
            { text: optional(text("Format as text.")), labels: freeForm("Format as JSON, keys to formats.") },
            "Format of a line.",
          ),
        ),
        omitEmptyValues: optional(flag("Leaves empty values out.")),
        filter: logFilter,
      },
      "Access log to a file.",
    ),
  ),
  envoyHttpAls: remote(
    {
      logName: optional(text("Name of the log.")),
      filterStateObjectsToLog: optional(texts("Filter state to log.")),
      additionalRequestHeadersToLog: optional(texts("Request headers to log.")),
      additionalResponseHeadersToLog: optional(texts("Response headers to log.")),
      additionalResponseTrailersToLog: optional(texts("Response trailers to log.")),
      omitEmptyValues: optional(flag("Leaves empty values out.")),
      filter: logFilter,
    },
    "Access log of HTTP over gRPC.",
  ),
  envoyTcpAls: remote(
    {
      logName: optional(text("Name of the log.")),
      filterStateObjectsToLog: optional(texts("Filter state to log.")),
      filter: logFilter,
    },
    "Access log of TCP over gRPC.",
  ),
  envoyOtelAls: remote(
    {
      logName: optional(text("Name of the log.")),
      logFormat: optional(
        record(
          { text: optional(text("Format as text.")), labels: freeForm("Attributes and their formats.") },
          "Format of a record.",
        ),
      ),
      filterStateObjectsToLog: optional(texts("Filter state to log.")),
      http: httpService,
      grpc: grpcService,
      filter: logFilter,
    },
    "Access log to OpenTelemetry.",
  ),
  sds: remote({ name: optional(text("Name of the secret provider.")) }, "Secrets from another server."),
};

export const extensionProviderSchema = record(
  { name: name("Name of the provider, unique in the mesh."), ...authorization, ...tracing, ...metricsAndLogs },
  "A provider: its name and exactly one kind.",
);
