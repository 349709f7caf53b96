import type { Socket } from "node:net";
import { fromJson } from "@meltemi/protos";
import { describe, expect, it } from "vitest";
import type { AcceptedSocket } from "./accepted-socket.ts";
import { compileFilterChainMatch } from "./filter-chain-match.ts";

interface Call {
  readonly to?: string;
  readonly from?: string;
  readonly directFrom?: string;
  readonly sni?: string;
  readonly transport?: string;
  readonly alpn?: readonly string[];
}

function addressOf(text: string) {
  const colon = text.lastIndexOf(":");
  return { ip: text.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(text.slice(colon + 1)) };
}

function accepted({ to = "10.0.0.1:80", from = "10.9.9.9:1000", directFrom, sni = "", transport, alpn = [] }: Call) {
  const value: Omit<AcceptedSocket, "socket"> = {
    localAddress: addressOf(to),
    remoteAddress: addressOf(from),
    directRemoteAddress: addressOf(directFrom ?? from),
    sni,
    transportProtocol: transport ?? "raw_buffer",
    applicationProtocols: alpn,
    isLocalAddressRestored: false,
    filterState: new Map(),
    dynamicMetadata: new Map(),
  };
  return { ...value, socket: {} as Socket };
}

function compile(matches: Readonly<Record<string, Readonly<Record<string, unknown>>>>) {
  return compileFilterChainMatch(
    Object.entries(matches).map(([chain, match]) => ({
      chain,
      match: fromJson("envoy.config.listener.v3.FilterChainMatch", match),
    })),
  );
}

const range = (address_prefix: string, prefix_len: number) => ({ address_prefix, prefix_len });

describe("compileFilterChainMatch", () => {
  const destinations = {
    port: { destination_port: 80 },
    "port and network": { destination_port: 80, prefix_ranges: [range("10.0.0.0", 8)] },
    "port and host": { destination_port: 80, prefix_ranges: [range("10.1.0.0", 16), range("10.1.1.1", 32)] },
    network: { prefix_ranges: [range("10.0.0.0", 8)] },
    any: {},
  };
  const names = {
    exact: { server_names: ["a.example.com"] },
    wildcard: { server_names: ["*.example.com"] },
    "wide wildcard": { server_names: ["*.com"] },
    "exact over TLS": { server_names: ["tls.example.com"], transport_protocol: "tls" },
    none: {},
  };
  const sources = {
    local: { source_type: "SAME_IP_OR_LOOPBACK" },
    external: { source_type: "EXTERNAL", source_prefix_ranges: [range("10.9.0.0", 16)] },
    "external host": { source_type: "EXTERNAL", source_prefix_ranges: [range("10.9.9.9", 32)], source_ports: [7] },
    direct: { direct_source_prefix_ranges: [range("172.16.0.0", 12)] },
  };
  const istio = {
    blackhole: { destination_port: 15006 },
    "mTLS HTTP": { transport_protocol: "tls", application_protocols: ["istio-http/1.1", "istio-h2"] },
    HTTP: { transport_protocol: "raw_buffer", application_protocols: ["http/1.1", "h2c"] },
    "mTLS TCP": { transport_protocol: "tls", application_protocols: ["istio-peer-exchange", "istio"] },
    TCP: { transport_protocol: "raw_buffer" },
    TLS: { transport_protocol: "tls" },
    "port 9080": { transport_protocol: "raw_buffer", destination_port: 9080 },
  };

  it.each<[string, Readonly<Record<string, Readonly<Record<string, unknown>>>>, Call, string | undefined]>([
    ["the port comes first", destinations, { to: "11.0.0.1:80" }, "port"],
    ["then the longest prefix", destinations, { to: "10.1.1.1:80" }, "port and host"],
    ["a shorter prefix", destinations, { to: "10.2.0.1:80" }, "port and network"],
    ["a prefix without its port", destinations, { to: "10.2.0.1:81" }, "network"],
    ["nothing said", destinations, { to: "[2001:db8::1]:81" }, "any"],
    ["no way back from a port", { port: { destination_port: 80, server_names: ["x"] }, any: {} }, {}, undefined],
    ["an exact name", names, { sni: "a.example.com" }, "exact"],
    ["the longest wildcard", names, { sni: "b.a.example.com" }, "wildcard"],
    ["a wider wildcard", names, { sni: "other.com" }, "wide wildcard"],
    ["a wildcard stands for at least one label", names, { sni: "com" }, "none"],
    ["no name", names, {}, "none"],
    ["no way back from a name", names, { sni: "tls.example.com" }, undefined],
    ["the same name over TLS", names, { sni: "tls.example.com", transport: "tls" }, "exact over TLS"],
    ["a client on the same host", sources, { from: "10.0.0.1:5" }, "local"],
    ["a client by loopback", sources, { from: "127.0.0.1:5" }, "local"],
    ["a client by loopback, of six", sources, { from: "[::1]:5" }, "local"],
    // Envoy knows one address of the loopback's network; Istio gives others to clients from elsewhere.
    ["a client by another address of that network", sources, { from: "127.0.0.6:5" }, undefined],
    ["a client by that which it connected to", sources, { from: "127.0.0.6:5", to: "127.0.0.6:80" }, "local"],
    ["a client's network", sources, { from: "10.9.1.1:7" }, "external"],
    ["a client's address and port", sources, { from: "10.9.9.9:7" }, "external host"],
    ["another port of it", sources, { from: "10.9.9.9:8" }, undefined],
    ["the socket's own peer", sources, { from: "10.9.9.9:7", directFrom: "172.16.1.1:7" }, "direct"],
    ["the order of the client's protocols", istio, { transport: "tls", alpn: ["istio", "istio-h2"] }, "mTLS TCP"],
    ["a protocol that no chain names", istio, { transport: "tls", alpn: ["h2"] }, "TLS"],
    ["plain HTTP", istio, { alpn: ["http/1.1"] }, "HTTP"],
    ["plain bytes", istio, {}, "TCP"],
    ["a port with its own chains", istio, { to: "10.0.0.1:9080", alpn: ["http/1.1"] }, "port 9080"],
    ["the port of the listener itself", istio, { to: "10.0.0.1:15006", transport: "tls" }, "blackhole"],
    ["a Unix socket", destinations, { to: "/run/x:0" }, "any"],
  ])("%s", (_name, matches, call, expected) => {
    expect(compile(matches)(accepted(call))).toBe(expected);
  });

  it.each<[Readonly<Record<string, Readonly<Record<string, unknown>>>>, string]>([
    [{ a: {}, b: {} }, "filter_chains[1].filter_chain_match: multiple filter chains with overlapping"],
    [{ a: { server_names: ["x", "y"] }, b: { server_names: ["Y"] } }, "overlapping"],
    [{ a: { server_names: ["w*.example.com"] } }, "partial wildcards"],
    [{ a: { address_suffix: "1" } }, "address_suffix: is not implemented"],
    [{ a: { prefix_ranges: [range("nonsense", 8)] } }, "is no IP address"],
  ])("refuses %j", (matches, message) => {
    expect(() => compile(matches)).toThrow(message);
  });
});
