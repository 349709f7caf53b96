/**
 * Every setting of rules, routes and gateways beside each other in one mesh, each on a service of its own: whatever
 * validation lets through, a real Envoy must take. What settings do is the matter of other tests.
 */
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import type { ControlPlane } from "../../src/bootstrap/control-plane.ts";
import { createMemorySource } from "../../src/sources/memory.ts";
import { startTestControlPlane } from "../support/control-plane.ts";
import { checkAcceptance } from "./acceptance.ts";
import { gatewayTlsSettings, httpRoutes, outboundProtocols, resolutions, trafficPolicies } from "./settings.ts";

// Longer than a check takes to give up, so that it always ends its Envoy.
vi.setConfig({ testTimeout: 60_000 });

let controlPlane: ControlPlane;

beforeAll(async () => {
  const source = createMemorySource();
  const documents = [...describePolicies(), ...describeResolutions(), ...describeRoutes(), ...describeGateways()];
  const errors = source.apply(documents.join("\n---\n")).filter(({ level }) => level === "error");
  expect(errors).toEqual([]);
  controlPlane = await startTestControlPlane({ source });
});
afterAll(async () => controlPlane?.stop());

it.each([
  ["sidecar", false],
  ["sidecar", true],
  ["router", false],
  ["router", true],
])("all settings are taken by a %s (delta: %s)", async (type, delta) => {
  const metadata = { NAMESPACE: "shop", CLUSTER_ID: "Kubernetes", ISTIO_VERSION: "1.31.0", LABELS: { app: "client" } };
  const node = { id: `${type}~10.60.0.1~client.shop~shop.svc.cluster.local`, metadata };
  const held = await checkAcceptance(controlPlane, { node, delta });
  expect(held.rejections).toEqual([]);
  const policies = trafficPolicies.length * outboundProtocols.length;
  expect(held.clusters).toBeGreaterThanOrEqual(policies + resolutions.length + httpRoutes.length);
  expect(held.routes).toBeGreaterThan(0);
});

/** A service with a port of each protocol and a rule, for each policy; endpoints of two zones. */
function describePolicies(): readonly string[] {
  const ports = outboundProtocols.map(
    (protocol, at) => `{number: ${7000 + at}, name: ${portName(protocol)}, protocol: ${protocol}}`,
  );
  return trafficPolicies.flatMap((policy, at) => [
    describeService(`policy-${at}`, `ports: [${ports.join(", ")}], ${endpointsOf("STATIC")}`),
    `{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: policy-${at}, namespace: shop}, spec: {host: policy-${at}.test, trafficPolicy: ${policy}}}`,
  ]);
}

function describeResolutions(): readonly string[] {
  return resolutions.map((resolution, at) => {
    const ports =
      "ports: [{number: 80, name: http, protocol: HTTP}, {number: 443, name: tls, protocol: TLS}, {number: 5432, name: tcp, protocol: TCP}]";
    return describeService(
      `resolution-${at}`,
      `${ports}, ${endpointsOf(resolution)}`,
      resolution === "NONE" ? "*.wild-" : "",
    );
  });
}

function describeRoutes(): readonly string[] {
  const port = "ports: [{number: 8000, name: http, protocol: HTTP}]";
  return httpRoutes.flatMap((route, at) => [
    describeService(`route-${at}`, `${port}, ${endpointsOf("STATIC")}`),
    `{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: route-${at}, namespace: shop}, spec: {hosts: [route-${at}.test], gateways: [mesh, shop/edge], http: [${route.replaceAll("HOST", `route-${at}.test`)}]}}`,
  ]);
}

function describeGateways(): readonly string[] {
  const plain = "{port: {number: 8080, name: http, protocol: HTTP}, hosts: ['*']}";
  const servers = gatewayTlsSettings.map(
    ([protocol, tls], at) =>
      `{port: {number: ${8443 + at}, name: tls-${at}, protocol: ${protocol}}, hosts: ['*.test'], tls: ${tls}}`,
  );
  return [
    `{apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {name: edge, namespace: shop}, spec: {selector: {app: client}, servers: [${[plain, ...servers].join(", ")}]}}`,
  ];
}

function describeService(name: string, rest: string, prefix = ""): string {
  return `{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: ${name}, namespace: shop}, spec: {hosts: ['${prefix}${name}.test'], ${rest}}}`;
}

function endpointsOf(resolution: string): string {
  if (resolution === "NONE") return "resolution: NONE";
  if (resolution === "DNS_ROUND_ROBIN") return `resolution: ${resolution}, endpoints: [{address: a.example}]`;
  const [first, second] = resolution === "DNS" ? ["a.example", "b.example"] : ["10.60.1.1", "10.60.1.2"];
  return `resolution: ${resolution}, endpoints: [{address: ${first}, locality: east/a, labels: {version: v1}, weight: 2}, {address: ${second}, locality: west/b, labels: {version: v2}}]`;
}

const portName = (protocol: string): string => `p-${protocol.toLowerCase()}`;
