/** Rules for connections to the application, by REDIRECT (nat) or TPROXY (mangle, keeps the client's address). */
import type { Rule } from "./rule.ts";
import { type RuleContext, rule } from "./rule-context.ts";

/** Mark of packets that Envoy's outbound side sends to the pod itself: they go on to its inbound side. */
const outboundMark = "1338";

export function buildInboundRules(context: RuleContext): readonly Rule[] {
  const { settings } = context;
  const captures = settings.inboundPorts === "*" || settings.inboundPorts.length > 0;
  return [
    rule("nat", "ISTIO_INBOUND", `-p tcp --dport ${settings.inboundTunnelPort} -j RETURN`),
    rule("nat", "ISTIO_REDIRECT", `-p tcp -j REDIRECT --to-ports ${settings.proxyPort}`),
    rule("nat", "ISTIO_IN_REDIRECT", `-p tcp -j REDIRECT --to-ports ${settings.inboundCapturePort}`),
    ...(settings.interceptionMode === "TPROXY" ? buildTproxyGuards(context) : []),
    ...(captures ? buildCapture(context) : []),
  ];
}

/** The head of ISTIO_INBOUND under TPROXY: what must never be caught again. */
function buildTproxyGuards({ settings, passthrough }: RuleContext): readonly Rule[] {
  const guard = (words: string): Rule => rule("mangle", "ISTIO_INBOUND", `-p tcp ${words} -j RETURN`);
  return [
    guard(`-m mark --mark ${settings.tproxyMark}`),
    guard(`-s ${passthrough} -i lo`),
    guard(`-i lo -m mark ! --mark ${outboundMark}`),
  ];
}

function buildCapture(context: RuleContext): readonly Rule[] {
  const { settings } = context;
  const isTproxy = settings.interceptionMode === "TPROXY";
  const table = isTproxy ? "mangle" : "nat";
  const inbound = (words: string): Rule => rule(table, "ISTIO_INBOUND", `-p tcp ${words}`);
  const capture = (port: string): readonly Rule[] =>
    isTproxy
      ? [
          inbound(`${port}-m conntrack --ctstate RELATED,ESTABLISHED -j ISTIO_DIVERT`),
          inbound(`${port}-j ISTIO_TPROXY`),
        ]
      : [inbound(`${port}-j ISTIO_IN_REDIRECT`)];
  const captured =
    settings.inboundPorts === "*"
      ? [...settings.inboundPortsExcluded.map((port) => inbound(`--dport ${port} -j RETURN`)), ...capture("")]
      : settings.inboundPorts.flatMap((port) => capture(`--dport ${port} `));
  return [
    ...(isTproxy ? buildTproxyTargets(context) : []),
    rule(table, "PREROUTING", "-p tcp -j ISTIO_INBOUND"),
    ...captured,
  ];
}

function buildTproxyTargets({ settings, loopback }: RuleContext): readonly Rule[] {
  const { tproxyMark, inboundCapturePort } = settings;
  return [
    // Packets of known connections: the mark alone routes them to the loopback device, and so to their socket.
    rule("mangle", "ISTIO_DIVERT", `-j MARK --set-mark ${tproxyMark}`),
    rule("mangle", "ISTIO_DIVERT", "-j ACCEPT"),
    rule(
      "mangle",
      "ISTIO_TPROXY",
      `! -d ${loopback} -p tcp -j TPROXY --tproxy-mark ${tproxyMark}/0xffffffff --on-port ${inboundCapturePort}`,
    ),
  ];
}

/** Marks under TPROXY: Envoy's connections to the application carry the client's address, and answers must find back. */
export function buildTproxyMarks({ settings, loopback }: RuleContext): readonly Rule[] {
  const { tproxyMark, proxyUids, proxyGids } = settings;
  const output = (words: string): Rule => rule("mangle", "OUTPUT", words);
  const owners = [...proxyUids.map((uid) => `--uid-owner ${uid}`), ...proxyGids.map((gid) => `--gid-owner ${gid}`)];
  return [
    rule("mangle", "PREROUTING", `-p tcp -m mark --mark ${tproxyMark} -j CONNMARK --save-mark`),
    output(`-p tcp -o lo -m mark --mark ${tproxyMark} -j RETURN`),
    ...owners.map((owner) =>
      output(`! -d ${loopback} -p tcp -o lo -m owner ${owner} -j MARK --set-mark ${outboundMark}`),
    ),
    output(`-p tcp -m connmark --mark ${tproxyMark} -j CONNMARK --restore-mark`),
  ];
}
