import { expect, test } from "vitest";
import { parseObject } from "../parse.ts";

/** What is said about a spec, one line a message, without the notice that the kind has no effect yet. */
function said(spec: unknown, version = "v1"): readonly string[] {
  const raw = { apiVersion: `telemetry.istio.io/${version}`, kind: "Telemetry", metadata: { name: "a" }, spec };
  return parseObject(raw)
    .messages.filter(({ code }) => code !== "untranslated-kind")
    .map(({ level, path, text }) => `${level} ${path}: ${text}`);
}

const tag = (source: unknown, name = "t"): unknown => ({ tracing: [{ customTags: { [name]: source } }] });
const override = (fields: object): unknown => ({ metrics: [{ overrides: [fields] }] });
const filter = (expression: string): unknown => ({ accessLogging: [{ filter: { expression } }] });

test.each([
  [{}],
  [{ tracing: [null], metrics: [null], accessLogging: [null] }],
  [{ targetRefs: [{ kind: "Gateway", group: "gateway.networking.k8s.io", name: "g" }] }],
  [{ tracing: [{ match: { mode: "CLIENT" }, providers: [{ name: "p" }], randomSamplingPercentage: "99.9" }] }],
  [{ tracing: [{ disableSpanReporting: true, disableContextPropagation: null, enableIstioTags: false }] }],
  [{ tracing: [{ useRequestIdForTraceSampling: false, random_sampling_percentage: 0 }] }],
  [tag({ literal: { value: "v" } })],
  [tag({ environment: { name: "E", defaultValue: "" } })],
  [tag({ header: { name: "h", default_value: "d" } })],
  [tag({ formatter: {} })],
  [tag(null)],
  [{ metrics: [{ providers: [{ name: "p" }], reportingInterval: "5s" }] }],
  [override({ match: { metric: "REQUEST_COUNT", mode: 2 }, disabled: true })],
  [override({ match: { customMetric: "m" }, tagOverrides: { a: { value: "x" }, b: { operation: "REMOVE" } } })],
  [{ accessLogging: [{ match: {}, providers: [{ name: "p" }], disabled: false }] }],
  [filter("response.code >= 400 || connection.mtls")],
])("nothing is said about %j", (spec) => {
  expect(said(spec)).toEqual([]);
  expect(said(spec, "v1alpha1")).toEqual([]);
});

const onlyFirst = "has more than one entry: only the first counts";
test.each<readonly [unknown, ...string[]]>([
  [{ selector: {} }, "warning spec.selector: has no labels, so that it selects every workload of the namespace"],
  [
    { selector: { matchLabels: { a: "b" } }, targetRefs: [{ kind: "Service", name: "s" }] },
    "error spec: only one of selector, targetRefs may be set",
  ],
  [{ tracing: [{}, {}] }, `warning spec.tracing: ${onlyFirst}`],
  [{ tracing: [{ providers: [{ name: "a" }, { name: "b" }] }] }, `warning spec.tracing[0].providers: ${onlyFirst}`],
  ...["tracing", "metrics", "accessLogging"].flatMap((part): readonly (readonly [unknown, string])[] => [
    [{ [part]: [{ providers: [{}] }] }, `error spec.${part}[0].providers[0].name: is required`],
    [{ [part]: [{ providers: [{ name: "" }] }] }, `error spec.${part}[0].providers[0].name: must not be empty`],
  ]),
  [
    { tracing: [{ randomSamplingPercentage: 100.1 }] },
    "error spec.tracing[0].randomSamplingPercentage: must be from 0 to 100",
  ],
  [
    { tracing: [{ randomSamplingPercentage: -1 }] },
    "error spec.tracing[0].randomSamplingPercentage: must be from 0 to 100",
  ],
  [tag({ literal: { value: "v" } }, ""), "error spec.tracing[0].customTags: the name of a tag must not be empty"],
  [tag({ literal: {} }), "error spec.tracing[0].customTags.t.literal.value: is required"],
  [tag({ environment: { name: "" } }), "error spec.tracing[0].customTags.t.environment.name: must not be empty"],
  [tag({ header: { defaultValue: "x" } }), "error spec.tracing[0].customTags.t.header.name: is required"],
  [
    tag({ literal: { value: "v" }, header: { name: "h" } }),
    "error spec.tracing[0].customTags.t: only one of literal, header may be set",
  ],
  [
    override({ tagOverrides: { a: {} } }),
    "error spec.metrics[0].overrides[0].tagOverrides.a.value: is required for UPSERT",
  ],
  [
    override({ tagOverrides: { a: { operation: "REMOVE", value: "x" } } }),
    "error spec.metrics[0].overrides[0].tagOverrides.a.value: must not be set for REMOVE",
  ],
  [
    override({ tagOverrides: { "": { value: "x" } } }),
    "warning spec.metrics[0].overrides[0].tagOverrides: the name of a tag should not be empty",
  ],
  [
    override({ match: { customMetric: "" } }),
    "error spec.metrics[0].overrides[0].match.customMetric: must not be empty",
  ],
  [
    override({ match: { customMetric: "m", metric: "ALL_METRICS" } }),
    "error spec.metrics[0].overrides[0].match: only one of metric, customMetric may be set",
  ],
  [
    { metrics: [{ reportingInterval: "5" }] },
    'error spec.metrics[0].reportingInterval: must be a duration such as "5s", "100ms" or "1h30m"',
  ],
  [
    { accessLogging: [{ filter: {} }] },
    "error spec.accessLogging[0].filter.expression: is not a valid CEL expression: unexpected end at character 1",
  ],
  [
    filter("response.code >"),
    "error spec.accessLogging[0].filter.expression: is not a valid CEL expression: unexpected end at character 16",
  ],
  [
    { tracing: [{ match: { mode: "BOTH" } }] },
    "error spec.tracing[0].match.mode: must be one of CLIENT_AND_SERVER, CLIENT, SERVER",
  ],
  [{ accessLoging: [] }, 'error spec.accessLoging: unknown field "accessLoging", did you mean "accessLogging"?'],
])("%j", (spec, ...expected) => expect(said(spec)).toEqual(expected));
