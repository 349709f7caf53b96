import type { FilterChain, FilterChainMatch, Listener } from "@meltemi/protos/envoy/config/listener/v3";
import { describe, expect, it, test } from "vitest";
import { findFilterChain } from "./filter-chain.ts";
import type { Connection } from "./inspect-connection.ts";

const plain: Connection = {
  local: { host: "10.1.2.3", port: 443 },
  remote: { host: "192.0.2.7", port: 5000 },
  directRemote: { host: "192.0.2.7", port: 5000 },
  serverName: "",
  transportProtocol: "raw_buffer",
  applicationProtocols: [],
};
const range = (text: string) => {
  const [prefix, length] = text.split("/");
  return { address_prefix: prefix, prefix_len: { value: Number(length) } };
};

/** Name of the chain that is picked; "default" for the default chain. */
function pick(matches: Readonly<Record<string, FilterChainMatch>>, connection: Partial<Connection>): string {
  const chains = Object.entries(matches).map(([name, match]): FilterChain => ({ name, filter_chain_match: match }));
  const listener: Listener = { name: "a", filter_chains: chains, default_filter_chain: { name: "default" } };
  return findFilterChain(listener, { ...plain, ...connection }, () => {})?.name ?? "none";
}

const names = {
  exact: { server_names: ["www.example.com"] },
  wild: { server_names: ["*.example.com"] },
  wilder: { server_names: ["*.com"] },
  any: {},
} satisfies Record<string, FilterChainMatch>;

const addresses = {
  host: { prefix_ranges: [range("10.1.2.3/32")] },
  net: { prefix_ranges: [range("10.1.0.0/16"), range("10.1.2.0/24")] },
  any: {},
} satisfies Record<string, FilterChainMatch>;

describe("the most specific value wins", () => {
  test.each([
    ["www.example.com", "exact"],
    ["a.example.com", "wild"],
    ["a.b.example.com", "wild"],
    ["example.com", "wilder"],
    ["example.org", "any"],
    ["", "any"],
  ])("server name %j: %s", (serverName, chain) => {
    expect(pick(names, { serverName, transportProtocol: "tls" })).toBe(chain);
  });

  test.each([
    ["10.1.2.3", "host"],
    ["10.1.2.4", "net"],
    ["10.1.9.9", "net"],
    ["10.2.0.1", "any"],
    ["fd00::1", "any"],
    ["::ffff:10.1.2.3", "host"],
  ])("destination address %s: %s", (host, chain) => {
    expect(pick(addresses, { local: { host, port: 443 } })).toBe(chain);
  });

  test.each([
    [["h2", "http/1.1"], "two"],
    [["http/1.1", "h2"], "one"],
    [["istio"], "any"],
    [[], "any"],
  ])("the client's order of protocols %j: %s", (applicationProtocols, chain) => {
    const chains = { one: { application_protocols: ["http/1.1"] }, two: { application_protocols: ["h2"] }, any: {} };
    expect(pick(chains, { applicationProtocols })).toBe(chain);
  });

  test.each([
    ["127.0.0.1", "local"],
    ["10.1.2.3", "local"],
    ["192.0.2.7", "external"],
  ])("type of the source %s: %s", (host, chain) => {
    const chains: Record<string, FilterChainMatch> = {
      local: { source_type: "SAME_IP_OR_LOOPBACK" },
      external: { source_type: "EXTERNAL" },
      any: {},
    };
    expect(pick(chains, { remote: { host, port: 1 } })).toBe(chain);
  });

  test.each([
    [{ host: "192.0.2.7", port: 5000 }, "port"],
    [{ host: "192.0.2.7", port: 5001 }, "net"],
    [{ host: "198.51.100.1", port: 5000 }, "any"],
  ])("source %j: %s", (remote, chain) => {
    const ranges = [range("192.0.2.0/24")];
    const chains = {
      port: { source_prefix_ranges: ranges, source_ports: [5000] },
      net: { source_prefix_ranges: ranges },
      any: {},
    };
    expect(pick(chains, { remote })).toBe(chain);
  });

  it("looks at the peer of the socket before the source that it told", () => {
    const chains = { trusted: { direct_source_prefix_ranges: [range("10.0.0.0/8")] }, any: {} };
    expect(pick(chains, { directRemote: { host: "10.9.9.9", port: 1 } })).toBe("trusted");
    expect(pick(chains, {})).toBe("any");
  });
});

describe("an earlier criterion decides for good", () => {
  it("takes a port before an address", () => {
    expect(
      pick({ port: { destination_port: { value: 443 } }, host: { prefix_ranges: [range("10.1.2.3/32")] } }, {}),
    ).toBe("port");
  });

  it("does not go back to a chain without the port", () => {
    const chains = { secure: { destination_port: { value: 443 }, transport_protocol: "tls" }, any: {} };
    expect(pick(chains, {})).toBe("default");
    expect(pick(chains, { local: { host: "10.1.2.3", port: 80 } })).toBe("any");
  });

  it("does not go back to a shorter prefix", () => {
    const chains = {
      host: { prefix_ranges: [range("10.1.2.3/32")], server_names: ["a.example"] },
      net: { prefix_ranges: [range("10.0.0.0/8")] },
    };
    expect(pick(chains, { serverName: "b.example" })).toBe("default");
  });

  it("does not go back to a chain for other transports", () => {
    const chains = { peers: { transport_protocol: "tls", application_protocols: ["istio"] }, any: {} };
    expect(pick(chains, { transportProtocol: "tls", applicationProtocols: ["h2"] })).toBe("default");
  });
});

it("refuses chains that Envoy would not accept", () => {
  expect(() => pick({ a: {}, b: { source_type: "ANY" } }, {})).toThrow("two filter chains");
});
