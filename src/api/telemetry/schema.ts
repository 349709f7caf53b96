/** Telemetry (telemetry.istio.io): traces, metrics and access logs of workloads. */
import type { Static } from "typebox";
import type { ApiObject } from "../object.ts";
import { attachmentFields } from "../policy-attachment.ts";
import {
  type DeepReadonly,
  decimal,
  duration,
  flag,
  list,
  map,
  name,
  oneOf,
  optional,
  record,
  text,
} from "../schema-fields.ts";

const modeField = optional(
  oneOf(
    ["CLIENT_AND_SERVER", "CLIENT", "SERVER"],
    "Whether the workload makes the requests (CLIENT), answers them (SERVER) or both.",
  ),
);
const match = optional(record({ mode: modeField }, "Which traffic this is for; all where not given."));
const providers = optional(
  list(record({ name: name("Name of an extension provider of MeshConfig.") }), "Where to report; the mesh's default."),
);

export const customTagSchema = record(
  {
    literal: optional(record({ value: name("Value, the same for each span.") }, "A value that never changes.")),
    environment: optional(
      record(
        {
          name: name("Name of the variable."),
          defaultValue: optional(text("Value where the proxy does not have the variable.")),
        },
        "Value of an environment variable of the proxy.",
      ),
    ),
    header: optional(
      record(
        { name: name("Name of the header."), defaultValue: optional(text("Value where requests lack the header.")) },
        "Value of a header of the request.",
      ),
    ),
    formatter: optional(
      record(
        { value: optional(text('Operators of access logs, such as "%PROTOCOL%".')) },
        "A value made by operators.",
      ),
    ),
  },
  "Where the value of a tag comes from; one of literal, environment, header, formatter.",
);

export const tracingSchema = record(
  {
    match,
    providers,
    randomSamplingPercentage: optional(decimal("Share of requests that are traced if nobody decided yet: 0 to 100.")),
    disableSpanReporting: optional(flag("Reports no spans; context is still passed on.")),
    disableContextPropagation: optional(flag("Passes no context of traces on.")),
    customTags: optional(map(customTagSchema, "Tags of each span by name.")),
    enableIstioTags: optional(flag("Adds Istio's own tags to spans; true where not given.")),
    useRequestIdForTraceSampling: optional(flag("Takes the decision from the request ID; true where not given.")),
  },
  "Traces; only the first of several counts.",
);

const tagOverrideSchema = record({
  operation: optional(oneOf(["UPSERT", "REMOVE"], "UPSERT adds or replaces the tag, REMOVE takes it away.")),
  value: optional(text("Expression for the tag's value; for UPSERT only, which needs it.")),
});

const metricMatchSchema = record(
  {
    metric: optional(
      oneOf(
        [
          "ALL_METRICS",
          "REQUEST_COUNT",
          "REQUEST_DURATION",
          "REQUEST_SIZE",
          "RESPONSE_SIZE",
          "TCP_OPENED_CONNECTIONS",
          "TCP_CLOSED_CONNECTIONS",
          "TCP_SENT_BYTES",
          "TCP_RECEIVED_BYTES",
          "GRPC_REQUEST_MESSAGES",
          "GRPC_RESPONSE_MESSAGES",
        ],
        "One of Istio's metrics, or all.",
      ),
    ),
    customMetric: optional(text("Name of any other metric.")),
    mode: modeField,
  },
  "Which metrics this is for; all where not given.",
);

export const metricsSchema = record({
  providers,
  overrides: optional(
    list(
      record({
        match: optional(metricMatchSchema),
        disabled: optional(flag("Does not report the metrics.")),
        tagOverrides: optional(map(tagOverrideSchema, "Changes of tags by name.")),
      }),
      "Changes of metrics, applied in order.",
    ),
  ),
  reportingInterval: optional(duration("Time between reports; for metrics of TCP only.")),
});

export const accessLoggingSchema = record({
  match,
  providers,
  disabled: optional(flag("Writes no access log.")),
  filter: optional(
    record(
      { expression: optional(text('Expression in CEL, such as "response.code >= 400".')) },
      "Which requests are logged.",
    ),
  ),
});

export const telemetrySchema = record({
  ...attachmentFields,
  tracing: optional(list(tracingSchema, "Settings of traces.")),
  metrics: optional(list(metricsSchema, "Settings of metrics.")),
  accessLogging: optional(list(accessLoggingSchema, "Settings of access logs.")),
});

export type Tracing = DeepReadonly<Static<typeof tracingSchema>>;
export type Metrics = DeepReadonly<Static<typeof metricsSchema>>;
export type AccessLogging = DeepReadonly<Static<typeof accessLoggingSchema>>;
export type TelemetrySpec = DeepReadonly<Static<typeof telemetrySchema>>;
export type Telemetry = ApiObject<"Telemetry", TelemetrySpec>;
