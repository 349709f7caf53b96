import { expect, test } from "vitest";
import { parseMeshNetworks } from "./networks.ts";
import { parseMeshConfig } from "./parse.ts";

const said = (text: string): readonly string[] =>
  parseMeshConfig(text).messages.map(({ level, path, text: line }) => `${level} ${path}: ${line}`);

const configs: readonly (readonly [string, readonly string[]])[] = [
  ["proxyListenPort: 0", ["error proxyListenPort: must be a port from 1 to 65535"]],
  ["connectTimeout: 0s", ["error connectTimeout: must be at least 1ms"]],
  ["connectTimeout: 61m", ["error connectTimeout: must be at most 1h"]],
  ["protocolDetectionTimeout: 0s", []],
  ["protocolDetectionTimeout: 10us", ["error protocolDetectionTimeout: must be whole milliseconds"]],
  ["defaultConfig: {configPath: ''}", ["error defaultConfig.configPath: must not be empty"]],
  [
    "defaultConfig: {connectionSettings: {profile: EDGE, httpMaxConcurrentStreams: 0, httpIdleTimeout: 5m}}",
    ["error defaultConfig.connectionSettings.httpMaxConcurrentStreams: must be at least 1"],
  ],
  ["defaultConfig: {drainDuration: 1500ms}", ["error defaultConfig.drainDuration: must be whole seconds"]],
  [
    "defaultConfig: {discoveryAddress: istiod}",
    ['error defaultConfig.discoveryAddress: "istiod" is not an address as host:port'],
  ],
  [
    "defaultConfig: {discoveryAddress: '[::1]:15012', statusPort: 0}",
    ["error defaultConfig.statusPort: must be a port from 1 to 65535"],
  ],
  ["defaultConfig: {tracing: {datadog: {address: '$(HOST_IP):8126'}}}", []],
  [
    "defaultConfig: {tracing: {lightstep: {address: 'a:1'}}}",
    ["error defaultConfig.tracing.lightstep.accessToken: is required"],
  ],
  [
    "defaultConfig: {controlPlaneAuthPolicy: INHERIT}",
    ["error defaultConfig.controlPlaneAuthPolicy: must be NONE or MUTUAL_TLS"],
  ],
  [
    "defaultConfig: {privateKeyProvider: {cryptomb: {pollDelay: 0s}}}",
    ["error defaultConfig.privateKeyProvider.cryptomb.pollDelay: must not be 0"],
  ],
  [
    "defaultConfig: {proxyMetadata: {ISTIO_META_DNS_AUTO_ALLOCATE: 'true'}}",
    [
      "warning defaultConfig.proxyMetadata.ISTIO_META_DNS_AUTO_ALLOCATE: is deprecated: addresses of ServiceEntries are allocated by the control plane",
    ],
  ],
  [
    "localityLbSetting: {distribute: [{from: a, to: {b: 100}}], failover: [{from: a, to: b}]}",
    ["error localityLbSetting: distribute cannot stand together with failover"],
  ],
  ["serviceSettings: [{hosts: ['a b']}]", ['error serviceSettings[0].hosts[0]: "a b" is not a valid host name']],
  ["trustDomain: ''", ['error trustDomain: "" is not a trust domain']],
  ["trustDomainAliases: [a_b]", ['error trustDomainAliases[0]: "a_b" is not a trust domain']],
  [
    "discoverySelectors: [{matchExpressions: [{key: a, operator: In}]}]",
    ["error discoverySelectors[0].matchExpressions[0].values: In needs values"],
  ],
  ["meshMTLS: {ecdhCurves: [P-256]}", ["error meshMTLS.ecdhCurves: is not supported for mutual TLS of the mesh"]],
  [
    "tlsDefaults: {ecdhCurves: [P-256, P-256, P-1]}",
    [
      'warning tlsDefaults.ecdhCurves[1]: "P-256" is given twice',
      'warning tlsDefaults.ecdhCurves[2]: "P-1" is not a curve that proxies know',
    ],
  ],
  [
    "extensionProviders: [{name: a, zipkin: {service: 'a b', port: 0}}, {name: b}]",
    [
      'warning extensionProviders[3].zipkin.service: "a b" is not a service as host or namespace/host',
      "warning extensionProviders[3].zipkin.port: must be a port from 1 to 65535",
      'warning extensionProviders[4]: provider "b" is of no known kind',
    ],
  ],
  ["thriftConfig: {rateLimitUrl: a}", []],
  ["mesh_mTLS: {min_protocol_version: TLSV1_3}", []],
];
test.each(configs)("%s", (text, expected) => expect(said(text)).toEqual(expected));

const object = { kind: "ConfigMap", namespace: "istio-system", name: "istio" };
const networks: readonly (readonly [string, readonly string[]])[] = [
  [
    "networks: {n: {endpoints: [{fromCidr: 10.0.0.0/8}, {fromRegistry: Kubernetes}], gateways: [{address: a.b, port: 443}]}}",
    [],
  ],
  [
    "networks: {n: {endpoints: [{fromCidr: x}, {fromRegistry: a_b, fromCidr: 1.1.1.1}]}}",
    [
      'error meshNetworks.networks.n.endpoints[0].fromCidr: "x" is not an IP address or subnet',
      "error meshNetworks.networks.n.endpoints[1]: only one of fromCidr, fromRegistry may be set",
      'error meshNetworks.networks.n.endpoints[1].fromRegistry: "a_b" is not a name of a cluster',
    ],
  ],
  [
    "networks: {n: {gateways: [{registryServiceName: 'a b', port: 1}, {address: '*'}]}}",
    [
      'error meshNetworks.networks.n.gateways[0].registryServiceName: "a b" is not a host name',
      'error meshNetworks.networks.n.gateways[1].address: "*" is not an IP address or a host name',
      "error meshNetworks.networks.n.gateways[1].port: must be a port from 1 to 65535",
    ],
  ],
  ["network: {}", ['warning meshNetworks.network: unknown field "network", did you mean "networks"?']],
];
test.each(networks)("%s", (text, expected) => {
  const { messages } = parseMeshNetworks(text, object);
  expect(messages.map(({ level, path, text: line }) => `${level} ${path}: ${line}`)).toEqual(expected);
});
