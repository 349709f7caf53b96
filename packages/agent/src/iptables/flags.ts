/**
 * Options of the redirection command: names, letters, environment variables and defaults are those of `pilot-agent
 * istio-iptables`. An option on the command line wins over the environment; of two variables the later one wins.
 */

interface IptablesFlag {
  /** Without dashes. */
  readonly name: string;
  readonly letter?: string;
  readonly env: readonly string[];
  readonly isBoolean: boolean;
  readonly default: string;
  /** One sentence for --help. */
  readonly doc: string;
}

function text(names: string, fallback: string, doc: string): IptablesFlag {
  return { ...parseNames(names), isBoolean: false, default: fallback, doc };
}

function toggle(name: string, doc: string, moreEnv: readonly string[] = []): IptablesFlag {
  const names = parseNames(name);
  return { ...names, env: [...names.env, ...moreEnv], isBoolean: true, default: "false", doc };
}

/** "name" or "name,l": the variable is the name in capitals. */
function parseNames(names: string): Pick<IptablesFlag, "name" | "letter" | "env"> {
  const [name = "", letter] = names.split(",");
  const env = [name.toUpperCase().replaceAll("-", "_")];
  return letter === undefined ? { name, env } : { name, letter, env };
}

export const iptablesFlags = {
  // Istio reads ENVOY_PORT nowhere, though it prints it.
  envoyPort: { ...text("envoy-port,p", "15001", "port that outbound connections are redirected to"), env: [] },
  inboundCapturePort: text("inbound-capture-port,z", "15006", "port that inbound connections are redirected to"),
  inboundTunnelPort: text("inbound-tunnel-port,e", "15008", "port of tunnelled traffic, which is never redirected"),
  proxyUid: text("proxy-uid,u", "", "users, comma-separated, whose traffic is not redirected: the proxy's"),
  proxyGid: text("proxy-gid,g", "", "groups whose traffic is not redirected; where not given, as --proxy-uid"),
  interceptionMode: text(
    "istio-inbound-interception-mode,m",
    "",
    "REDIRECT, or TPROXY, which keeps the client's address",
  ),
  inboundPorts: text("istio-inbound-ports,b", "", "inbound ports to redirect, comma-separated, or * for all"),
  excludedInboundPorts: text("istio-local-exclude-ports,d", "", "inbound ports to let be, where all are redirected"),
  excludedInterfaces: text("istio-exclude-interfaces,c", "", "interfaces whose traffic is not redirected"),
  serviceRanges: text("istio-service-cidr,i", "", "destinations to redirect, ranges in CIDR form, or * for all"),
  excludedRanges: text("istio-service-exclude-cidr,x", "", "destinations to let be, ranges in CIDR form"),
  outboundPorts: text("istio-outbound-ports,q", "", "outbound ports to redirect, whatever the destination"),
  excludedOutboundPorts: text("istio-local-outbound-ports-exclude,o", "", "outbound ports to let be"),
  virtualInterfaces: text("kube-virt-interfaces,k", "", "interfaces of virtual machines: inbound counts as outbound"),
  tproxyMark: text("istio-inbound-tproxy-mark,t", "1337", "mark of packets under TPROXY"),
  tproxyRouteTable: text("istio-inbound-tproxy-route-table,r", "133", "routing table for them"),
  dryRun: toggle("dry-run,n", "print the rules and change nothing"),
  probePort: text("iptables-probe-port", "15002", "port that --run-validation connects to"),
  probeTimeout: text("probe-timeout", "5s", "how long --run-validation tries"),
  skipRuleApply: toggle("skip-rule-apply", "change no rule, as where a node agent has set them"),
  runValidation: toggle("run-validation", "try whether redirection works; exit code 126 where it does not"),
  redirectDns: toggle("redirect-dns", "capture queries for the agent's DNS server", ["ISTIO_META_DNS_CAPTURE"]),
  dropInvalid: toggle("drop-invalid", "drop packets that belong to no connection", ["INVALID_DROP"]),
  dualStack: toggle("dual-stack", "look for an IPv6 address beside an IPv4 address", ["ISTIO_DUAL_STACK"]),
  captureAllDns: toggle("capture-all-dns", "capture queries to any server, not only those of resolv.conf"),
  networkNamespace: text("network-namespace", "", "path of the network namespace to work in"),
  cniMode: toggle("cni-mode", "runs for a node agent: locks by network namespace"),
  reconcile: toggle("reconcile", "replace rules that are there and differ, instead of failing"),
  cleanupOnly: toggle("cleanup-only", "remove the rules and add none"),
  forceApply: toggle("force-apply", "set the rules even where they seem to be in place"),
  nativeNftables: toggle("native-nftables", "not supported: rules are made by iptables"),
  forceIptablesBinary: text("force-iptables-binary", "", "legacy or nft; where not given, what is in use or works"),
} as const satisfies Readonly<Record<string, IptablesFlag>>;

export type IptablesFlagKey = keyof typeof iptablesFlags;

/** The text of every option, the defaults included. */
export type IptablesValues = { readonly [Key in IptablesFlagKey]: string };

type Environment = { readonly [name: string]: string | undefined };

/** Go's words for truth (strconv.ParseBool), which Istio's flags are read with; undefined for others. */
export function parseBoolean(value: string): boolean | undefined {
  if (/^(1|t|T|true|True|TRUE)$/.test(value)) return true;
  return /^(0|f|F|false|False|FALSE)$/.test(value) ? false : undefined;
}

/** Puts options together; `given` holds those of the command line. A variable with no such value counts as not there. */
export function readIptablesValues(
  given: Partial<Readonly<Record<IptablesFlagKey, string | undefined>>>,
  environment: Environment,
): IptablesValues {
  const entries = Object.entries(iptablesFlags).map(([key, flag]: [string, IptablesFlag]) => {
    const fromEnvironment = flag.env
      .map((name) => environment[name])
      .findLast((value) => value !== undefined && (!flag.isBoolean || parseBoolean(value) !== undefined));
    return [key, given[key as IptablesFlagKey] ?? fromEnvironment ?? flag.default];
  });
  return Object.fromEntries(entries) as IptablesValues;
}
