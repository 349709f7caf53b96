import type { Listener } from "@meltemi/protos/envoy/config/listener/v3";
import { expect, it, test } from "vitest";
import { type Call, planCall } from "./call.ts";
import { inspectConnection } from "./inspect-connection.ts";
import { findListener, interceptsOutbound } from "./listener.ts";

const at = (name: string, address: string, port: number, more: Partial<Listener> = {}): Listener => ({
  name,
  address: { socket_address: { address, port_value: port } },
  ...more,
});
const unbound = { bind_to_port: { value: false } };
const listeners: readonly Listener[] = [
  at("virtualOutbound", "0.0.0.0", 15001, { use_original_dst: { value: true } }),
  at("virtualInbound", "0.0.0.0", 15006, { traffic_direction: "INBOUND" }),
  at("database", "10.0.0.4", 5432, {
    ...unbound,
    additional_addresses: [{ address: { socket_address: { address: "fd00::4", port_value: 5432 } } }],
  }),
  at("any-5432", "0.0.0.0", 5432, unbound),
  at("http-proxy", "127.0.0.1", 3128),
];

const find = (call: Call, of = listeners): string | undefined =>
  findListener(of, planCall(call, interceptsOutbound(of)), () => {})?.name;

test.each<readonly [string, Call, string | undefined]>([
  ["the exact address before the wildcard", { to: "10.0.0.4:5432" }, "database"],
  ["further addresses of a listener", { to: "[fd00::4]:5432" }, "database"],
  ["the wildcard for another address", { to: "10.0.0.5:5432" }, "any-5432"],
  ["nobody for IPv6 at a wildcard of IPv4", { to: "[fd00::5]:5432" }, "virtualOutbound"],
  ["the first listener for what nobody has", { to: "10.0.0.4:80" }, "virtualOutbound"],
  ["the inbound listener whatever the port", { to: "10.0.0.4:5432", direction: "inbound" }, "virtualInbound"],
  ["a bound listener directly", { to: "127.0.0.1:3128", direction: "direct" }, "http-proxy"],
  ["nobody directly where nothing is bound", { to: "10.0.0.4:5432", direction: "direct" }, undefined],
])("%s", (_, call, name) => {
  expect(find(call)).toBe(name);
});

it("goes directly by default where nothing is intercepted", () => {
  expect(find({ to: "127.0.0.1:3128" }, listeners.slice(4))).toBe("http-proxy");
});

const inspected = at("a", "0.0.0.0", 80, {
  listener_filters: [
    {
      name: "envoy.filters.listener.tls_inspector",
      filter_disabled: { destination_port_range: { start: 9000, end: 9001 } },
    },
    {
      name: "envoy.filters.listener.http_inspector",
      filter_disabled: {
        or_match: {
          rules: [
            { destination_port_range: { start: 9100, end: 9101 } },
            { not_match: { destination_port_range: { start: 80, end: 10_000 } } },
          ],
        },
      },
    },
  ],
});

test.each<readonly [Call, string, string, readonly string[]]>([
  [{ to: "10.0.0.1:80", tls: { sni: "A.example", alpn: ["h2"] } }, "tls", "a.example", ["h2"]],
  [{ to: "10.0.0.1:80", tls: "mesh", path: "/" }, "tls", "", ["istio-http/1.1", "istio", "http/1.1"]],
  [{ to: "10.0.0.1:80", path: "/" }, "raw_buffer", "", ["http/1.1"]],
  [{ to: "10.0.0.1:80", protocol: "h2" }, "raw_buffer", "", ["h2c"]],
  [{ to: "10.0.0.1:80" }, "raw_buffer", "", []],
  [{ to: "10.0.0.1:9000", tls: { sni: "a.example" } }, "raw_buffer", "", []],
  [{ to: "10.0.0.1:9001", tls: { sni: "a.example" } }, "tls", "a.example", []],
  [{ to: "10.0.0.1:9100", path: "/" }, "raw_buffer", "", []],
  [{ to: "10.0.0.1:79", path: "/" }, "raw_buffer", "", []],
])("inspectors learn of %j", (call, transportProtocol, serverName, applicationProtocols) => {
  expect(inspectConnection(inspected, planCall(call, false), () => {})).toMatchObject({
    transportProtocol,
    serverName,
    applicationProtocols,
  });
});

test.each(["", "no address:x", "10.0.0.1:80:90"])("%j is no address", (to) => {
  expect(() => planCall({ to }, false)).toThrow("is not an address");
});
