import { expect, test } from "vitest";
import { parseObject } from "./parse.ts";
import { untranslatedFields } from "./untranslated-fields.ts";

const warningsOf = (kind: string, spec: unknown): readonly string[] =>
  parseObject({ apiVersion: "networking.istio.io/v1", kind, metadata: { name: "a", namespace: "b" }, spec })
    .messages.filter(({ code }) => code === "untranslated-field")
    .map(({ level, path, text }) => `${level} ${path}: ${text}`);

test("a field without effect is told of at every place", () => {
  const server = { port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["a.example"] };
  const servers = [server, { ...server, defaultEndpoint: "127.0.0.1:80" }, { ...server, defaultEndpoint: "" }];
  const text = "has no effect: Istio never made it work; routes say where to go";
  expect(warningsOf("Gateway", { servers })).toEqual([
    `warning spec.servers[1].defaultEndpoint: ${text}`,
    `warning spec.servers[2].defaultEndpoint: ${text}`,
  ]);
});

test("a field that an object has instead of items is told of once", () => {
  const waypoint = { portNumber: 80 };
  const configPatches = [{ applyTo: "HTTP_FILTER", match: { waypoint }, patch: { operation: "REMOVE" } }];
  const { messages } = parseObject({
    apiVersion: "networking.istio.io/v1alpha3",
    kind: "EnvoyFilter",
    metadata: { name: "a", namespace: "b" },
    spec: { configPatches },
  });
  expect(messages.filter(({ code }) => code === "untranslated-field").map(({ path }) => path)).toEqual([
    "spec.configPatches[0].match.waypoint",
  ]);
});

test.each<readonly [string, string, unknown]>([
  [
    "Gateway",
    "servers[].port.targetPort",
    { servers: [{ port: { number: 80, name: "h", protocol: "HTTP", targetPort: 1 }, hosts: ["a.b"] }] },
  ],
  [
    "Sidecar",
    "ingress[].tls.credentialName",
    {
      ingress: [
        {
          port: { number: 80, name: "h", protocol: "HTTPS" },
          defaultEndpoint: "127.0.0.1:8080",
          tls: { mode: "SIMPLE", credentialName: "a" },
        },
      ],
    },
  ],
  [
    "VirtualService",
    "http[].fault.delay.exponentialDelay",
    {
      hosts: ["a.b"],
      http: [{ fault: { delay: { exponentialDelay: "1s" } }, route: [{ destination: { host: "a" } }] }],
    },
  ],
  [
    "DestinationRule",
    "trafficPolicy.outlierDetection.consecutiveErrors",
    { host: "a", trafficPolicy: { outlierDetection: { consecutiveErrors: 1 } } },
  ],
])("%s %s is told of by the checks of its kind", (kind, path, spec) => {
  const entry = untranslatedFields.find((one) => one.kind === kind && one.path === path);
  const { messages } = parseObject({
    apiVersion: "networking.istio.io/v1",
    kind,
    metadata: { name: "a", namespace: "b" },
    spec,
  });
  const told = messages.filter((message) => message.path.replace(/\[\d+\]/g, "[]") === `spec.${path}`);
  expect(told.map(({ level }) => level)).toEqual([entry?.told]);
});

test.each([
  [
    "VirtualService",
    { hosts: ["a.example"], tcp: [{ match: [{ port: 1 }], route: [{ destination: { host: "a" } }] }] },
  ],
  ["DestinationRule", { host: "a", trafficPolicy: { outlierDetection: { consecutive5xxErrors: 1 } } }],
  ["Gateway", {}],
])("%s without such fields is not warned about", (kind, spec) => {
  expect(warningsOf(kind, spec)).toEqual([]);
});

test("a refused field is an error and no warning", () => {
  const delay = { exponentialDelay: "1s" };
  const spec = { hosts: ["a.example"], http: [{ fault: { delay }, route: [{ destination: { host: "a" } }] }] };
  expect(warningsOf("VirtualService", spec)).toEqual([]);
});
