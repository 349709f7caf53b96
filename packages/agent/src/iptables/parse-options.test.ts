import { describe, expect, it } from "vitest";
import { type IptablesFlagKey, readIptablesValues } from "./flags.ts";
import { type HostFacts, parseRedirectionOptions, type RedirectionOptions } from "./parse-options.ts";
import { RedirectionError } from "./redirection-settings.ts";

type Given = Partial<Readonly<Record<IptablesFlagKey, string>>>;

const host: HostFacts = { environment: {}, addresses: ["10.0.0.5"], resolvConf: "", findUid: () => undefined };

function parse(
  given: Given,
  environment: Readonly<Record<string, string>> = {},
  facts: Partial<HostFacts> = {},
): RedirectionOptions {
  return parseRedirectionOptions(readIptablesValues(given, environment), { ...host, environment, ...facts });
}

describe("options", () => {
  it("has Istio's defaults", () => {
    expect(parse({})).toMatchObject({
      settings: {
        proxyPort: "15001",
        inboundCapturePort: "15006",
        inboundTunnelPort: "15008",
        proxyUids: ["1337"],
        proxyGids: ["1337"],
        interceptionMode: "REDIRECT",
        tproxyMark: "1337",
        tproxyRouteTable: "133",
        inboundPorts: [],
        outboundRanges: { v4: [], v6: [] },
        ownerGroups: "*",
        dns: { kind: "none" },
        ipv6: false,
      },
      probePort: 15002,
      probeTimeoutMs: 5000,
    });
  });

  it.each([
    ["its name in capitals", {}, { ISTIO_INBOUND_PORTS: "80" }, { inboundPorts: ["80"] }],
    ["the command line first", { inboundPorts: "81" }, { ISTIO_INBOUND_PORTS: "80" }, { inboundPorts: ["81"] }],
    [
      "an empty text on the command line too",
      { inboundPorts: "" },
      { ISTIO_INBOUND_PORTS: "80" },
      { inboundPorts: [] },
    ],
    ["the other name of a variable", {}, { INVALID_DROP: "true" }, { dropInvalid: true }],
    ["the other name before the first", {}, { DROP_INVALID: "false", INVALID_DROP: "1" }, { dropInvalid: true }],
    ["no word that is no truth value", {}, { DROP_INVALID: "true", INVALID_DROP: "perhaps" }, { dropInvalid: true }],
    ["not ENVOY_PORT", {}, { ENVOY_PORT: "1" }, { proxyPort: "15001" }],
  ] as const)("takes from the environment %s", (_, given, environment, expected) => {
    expect(parse(given, environment).settings).toMatchObject(expected);
  });

  it("takes the proxy's user from the system where it is not given", () => {
    const findUid = (name: string): string | undefined => ({ envoy: "42", "istio-proxy": "43" })[name];
    expect(parse({}, {}, { findUid }).settings).toMatchObject({ proxyUids: ["43"], proxyGids: ["43"] });
    expect(parse({}, { ENVOY_USER: "envoy" }, { findUid }).settings.proxyUids).toEqual(["42"]);
    expect(parse({ proxyUid: "1" }, {}, { findUid }).settings).toMatchObject({ proxyUids: ["1"], proxyGids: ["1"] });
  });

  it.each([
    ["IPv4", ["127.0.0.1", "10.0.0.5", "::1", "fe80::1"], "false", false],
    ["IPv4 before IPv6", ["10.0.0.5", "2001:db8::5"], "false", false],
    ["both, where asked for", ["10.0.0.5", "2001:db8::5"], "true", true],
    ["IPv6 alone", ["127.0.0.1", "169.254.1.1", "2001:db8::5"], "false", true],
    ["no link-local IPv6", ["10.0.0.5", "fe80::1"], "true", false],
  ] as const)("finds the families of a pod: %s", (_, addresses, dualStack, ipv6) => {
    expect(parse({ dualStack }, {}, { addresses }).settings.ipv6).toBe(ipv6);
  });

  it("matches resolvers without their zone, by family", () => {
    const resolvConf = "nameserver fe80::1%eth0\nnameserver 10.0.0.10\nnameserver nonsense\n";
    const { dns } = parse({ redirectDns: "true" }, {}, { resolvConf }).settings;
    expect(dns).toEqual({ kind: "servers", v4: ["10.0.0.10"], v6: ["fe80::1"] });
  });
});

describe("texts that would become part of a rule", () => {
  const hostile = ["80 -j ACCEPT", "80\n-F", "-j", "80;81", "$(id)", "8 0"];
  const lists: readonly IptablesFlagKey[] = [
    "envoyPort",
    "inboundCapturePort",
    "inboundTunnelPort",
    "proxyUid",
    "proxyGid",
    "interceptionMode",
    "inboundPorts",
    "excludedInboundPorts",
    "excludedInterfaces",
    "serviceRanges",
    "excludedRanges",
    "outboundPorts",
    "excludedOutboundPorts",
    "virtualInterfaces",
    "tproxyMark",
    "tproxyRouteTable",
    "probePort",
    "probeTimeout",
    "forceIptablesBinary",
  ];
  it.each(lists.flatMap((key) => hostile.map((text) => [key, text] as const)))("refuses %s %j", (key, text) => {
    expect(() => parse({ [key]: text })).toThrow(RedirectionError);
  });

  it.each([
    ["ISTIO_OUTBOUND_OWNER_GROUPS", "web -j"],
    ["ISTIO_OUTBOUND_OWNER_GROUPS", Array.from({ length: 65 }, (_, index) => index).join(",")],
    ["ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE", "a b"],
    ["ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", "10.0.0.0/8"],
    ["ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", "127.0.0.0/4"],
    ["ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", "127.0.0.1"],
  ])("refuses %s %j", (name, text) => {
    expect(() => parse({}, { [name]: text })).toThrow(RedirectionError);
  });

  it.each([
    ["a range of every address as exception", { excludedRanges: "*" }],
    ["bits that a family has not", { serviceRanges: "10.0.0.0/33" }],
    ["an address without bits", { serviceRanges: "10.0.0.1" }],
    ["native nftables", { nativeNftables: "true" }],
    ["another mode", { interceptionMode: "NONE" }],
    ["a word that is no truth value", { reconcile: "perhaps" }],
  ] as const)("refuses %s", (_, given) => {
    expect(() => parse(given)).toThrow(RedirectionError);
  });

  it("refuses a pod without an address", () => {
    expect(() => parse({}, {}, { addresses: ["127.0.0.1", "::1", "fe80::1"] })).toThrow("no address");
  });
});
