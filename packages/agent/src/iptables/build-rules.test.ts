import { expect, it } from "vitest";
import { buildRules } from "./build-rules.ts";
import { type IptablesFlagKey, readIptablesValues } from "./flags.ts";
import { parseRedirectionOptions } from "./parse-options.ts";
import { formatRules } from "./rule.ts";

interface Situation {
  readonly name: string;
  readonly options?: Partial<Readonly<Record<IptablesFlagKey, string>>>;
  readonly environment?: Readonly<Record<string, string>>;
  readonly resolvConf?: string;
  /** Has an IPv6 address beside the IPv4 one. */
  readonly dualStack?: true;
  readonly ipv6Only?: true;
}

const everything = { serviceRanges: "*", inboundPorts: "*" };
const bothResolvers = "nameserver 10.96.0.10\nnameserver 2001:db8::53\n";
const situations: readonly Situation[] = [
  { name: "nothing asked for" },
  { name: "all traffic", options: everything },
  { name: "all traffic, dual stack", options: everything, dualStack: true },
  { name: "all traffic, IPv6 alone", options: everything, ipv6Only: true },
  {
    name: "as injection writes it",
    options: { ...everything, excludedInboundPorts: "15090,15021,15020,", excludedRanges: "" },
  },
  {
    name: "ports of its own",
    options: { ...everything, envoyPort: "16001", inboundCapturePort: "16006", inboundTunnelPort: "16008" },
  },
  { name: "inbound ports by list", options: { inboundPorts: "8080,9000:9010" } },
  { name: "inbound ports by list need no exceptions", options: { inboundPorts: "8080", excludedInboundPorts: "22" } },
  { name: "inbound exceptions", options: { inboundPorts: "*", excludedInboundPorts: "22,9090" } },
  { name: "no inbound ports, all outbound", options: { serviceRanges: "*" } },
  { name: "outbound ranges", options: { serviceRanges: "10.0.0.0/8,192.0.2.0/24" } },
  { name: "outbound ranges of both families", options: { serviceRanges: "10.0.0.0/8,2001:db8::/32" }, dualStack: true },
  {
    name: "outbound ranges left out",
    options: { serviceRanges: "*", excludedRanges: "169.254.169.254/32,2001:db8:1::/48" },
    dualStack: true,
  },
  { name: "loopback ranges asked for", options: { serviceRanges: "127.1.0.0/16" } },
  { name: "IPv6 loopback asked for", options: { serviceRanges: "::1/128" }, dualStack: true },
  { name: "outbound ports", options: { outboundPorts: "3306,5432" } },
  { name: "outbound ports left out", options: { serviceRanges: "*", excludedOutboundPorts: "3306,5432" } },
  {
    name: "several users and groups of the proxy",
    options: { ...everything, proxyUid: "1337,1500", proxyGid: "2000" },
  },
  { name: "the user alone", options: { ...everything, proxyUid: "1500" } },
  { name: "groups", options: everything, environment: { ISTIO_OUTBOUND_OWNER_GROUPS: "web,300" } },
  { name: "no group", options: everything, environment: { ISTIO_OUTBOUND_OWNER_GROUPS: "" } },
  { name: "groups left out", options: everything, environment: { ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE: "backup,301" } },
  { name: "a wider loopback", options: everything, environment: { ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR: "127.0.0.0/8" } },
  { name: "interfaces left out", options: { ...everything, excludedInterfaces: "net1,net2" } },
  { name: "interfaces of virtual machines", options: { serviceRanges: "*", virtualInterfaces: "vm0,vm1" } },
  {
    name: "interfaces of virtual machines with ranges",
    options: { serviceRanges: "10.0.0.0/8,10.96.0.0/12", virtualInterfaces: "vm0" },
  },
  { name: "invalid packets", options: { ...everything, dropInvalid: "true" }, dualStack: true },
  {
    name: "DNS to one resolver",
    options: { ...everything, redirectDns: "true" },
    resolvConf: "nameserver 10.96.0.10\n",
  },
  {
    name: "DNS to resolvers of both families",
    options: { ...everything, redirectDns: "true" },
    resolvConf: bothResolvers,
    dualStack: true,
  },
  {
    name: "DNS to a resolver of the other family",
    options: { ...everything, redirectDns: "true" },
    resolvConf: "nameserver 10.96.0.10\n",
    dualStack: true,
  },
  {
    name: "all DNS",
    options: { ...everything, redirectDns: "true", captureAllDns: "true" },
    resolvConf: bothResolvers,
    dualStack: true,
  },
  { name: "DNS without a resolver", options: { ...everything, redirectDns: "true" } },
  {
    name: "all DNS is nothing without DNS",
    options: { ...everything, captureAllDns: "true" },
    resolvConf: bothResolvers,
  },
  { name: "DNS for several users", options: { redirectDns: "true", captureAllDns: "true", proxyUid: "1337,1500" } },
  {
    name: "TPROXY",
    options: { ...everything, interceptionMode: "TPROXY", excludedInboundPorts: "15021" },
    dualStack: true,
  },
  { name: "TPROXY by list", options: { inboundPorts: "8080,8081", interceptionMode: "TPROXY" } },
  { name: "TPROXY without inbound ports", options: { serviceRanges: "*", interceptionMode: "TPROXY" } },
  {
    name: "TPROXY with its own mark, interfaces left out",
    options: { ...everything, interceptionMode: "TPROXY", tproxyMark: "77", excludedInterfaces: "net1" },
  },
];

it("builds these rules", async () => {
  await expect(situations.map(formatSituation).join("\n")).toMatchFileSnapshot("build-rules.golden.txt");
});

it("has a name of its own for every situation", () => {
  expect(new Set(situations.map(({ name }) => name)).size).toBe(situations.length);
});

function formatSituation({ name, options = {}, environment = {}, resolvConf = "", ...families }: Situation): string {
  const addresses =
    families.ipv6Only === true ? ["::1", "2001:db8::5"] : ["127.0.0.1", "10.0.0.5", "fe80::1", "2001:db8::5"];
  const values = readIptablesValues({ ...options, dualStack: String(families.dualStack === true) }, environment);
  const { settings } = parseRedirectionOptions(values, {
    environment,
    addresses,
    resolvConf,
    findUid: () => undefined,
  });
  const [v4, v6] = [formatRules(buildRules(settings, "v4")), formatRules(buildRules(settings, "v6"))];
  return `# ${name}\n${v4}${v6 === "" ? "" : `# ${name}, IPv6\n${v6}`}`;
}
