import { expect, test } from "vitest";
import { buildMesh } from "../../test/support/mesh-objects.ts";

const annotation = (value: string): string =>
  value === "" ? "" : `, annotations: {networking.istio.io/traffic-distribution: ${value}}`;
const namespace = (value: string): string => `
apiVersion: v1
kind: Namespace
metadata: {name: ns${annotation(value)}}
---
`;
const service = (value: string, field: string): string => `
apiVersion: v1
kind: Service
metadata: {name: a, namespace: ns${annotation(value)}}
spec: {clusterIP: 10.96.0.1${field === "" ? "" : `, trafficDistribution: ${field}`}}
---
`;
const entry = (value: string): string => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: a, namespace: ns${annotation(value)}}
spec: {hosts: [a.example], resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}]}
---
`;

test.each([
  ["nothing", service("", ""), undefined],
  ["the field", service("", "PreferSameNode"), "PreferSameNode"],
  ["the field before the annotation", service("PreferSameNode", "PreferClose"), "PreferClose"],
  ["the annotation where the field has an unknown word", service("PreferSameNode", "x"), "PreferSameNode"],
  ["the annotation in any case", service("preferclose", ""), "PreferClose"],
  ["the namespace", namespace("PreferSameZone") + service("", ""), "PreferSameZone"],
  ["the own annotation before the namespace's", namespace("PreferSameZone") + service("Any", ""), undefined],
  ["a service entry's annotation", entry("PreferSameZone"), "PreferSameZone"],
  ["a service entry's namespace", entry("") + namespace("PreferClose"), "PreferClose"],
])("traffic stays as near as %s says", (_, yaml, expected) => {
  const [found] = buildMesh(yaml).current.services.all;
  expect(found?.trafficDistribution).toBe(expected);
});
