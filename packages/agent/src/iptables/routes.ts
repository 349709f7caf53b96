/** Addresses and routes that the rules lean on, set with ip(8); setting them twice is the same as once. */
import type { RunCommand } from "./commands.ts";
import { RedirectionError, type RedirectionSettings } from "./redirection-settings.ts";
import type { Family } from "./rule.ts";

/**
 * Sets what the rules need. IPv6 has one loopback address only, so ::6, the source of Envoy's passthrough connections, is
 * added. Under TPROXY marked packets are routed to the loopback device.
 */
export async function setRoutes(run: RunCommand, settings: RedirectionSettings): Promise<void> {
  if (settings.ipv6) await ip(run, ["-6", "address", "add", "::6/128", "dev", "lo"]);
  for (const family of listTproxyFamilies(settings)) {
    const { option, words } = tproxyWords(settings, family);
    if (!(await hasMarkRule(run, settings, option))) await ip(run, [option, "rule", "add", ...words.rule]);
    await ip(run, [option, "route", "add", ...words.route]);
  }
}

/** Takes away what setRoutes set, as far as it is there. */
export async function removeRoutes(run: RunCommand, settings: RedirectionSettings): Promise<void> {
  if (settings.ipv6) await run("ip", ["-6", "address", "delete", "::6/128", "dev", "lo"]);
  for (const family of listTproxyFamilies(settings)) {
    const { option, words } = tproxyWords(settings, family);
    await run("ip", [option, "rule", "delete", ...words.rule]);
    await run("ip", [option, "route", "delete", ...words.route]);
  }
}

function listTproxyFamilies({ interceptionMode, inboundPorts, ipv6 }: RedirectionSettings): readonly Family[] {
  if (interceptionMode !== "TPROXY" || (inboundPorts !== "*" && inboundPorts.length === 0)) return [];
  return ipv6 ? ["v4", "v6"] : ["v4"];
}

interface TproxyWords {
  readonly option: "-4" | "-6";
  readonly words: { readonly rule: readonly string[]; readonly route: readonly string[] };
}

function tproxyWords({ tproxyMark, tproxyRouteTable }: RedirectionSettings, family: Family): TproxyWords {
  const everything = family === "v4" ? "0.0.0.0/0" : "::/0";
  return {
    option: family === "v4" ? "-4" : "-6",
    words: {
      rule: ["fwmark", tproxyMark, "lookup", tproxyRouteTable],
      route: ["local", everything, "dev", "lo", "table", tproxyRouteTable],
    },
  };
}

/** The kernel takes the very same rule of IPv4 a second time on some versions, so it is looked for. */
async function hasMarkRule(run: RunCommand, settings: RedirectionSettings, option: string): Promise<boolean> {
  const { stdout } = await run("ip", [option, "rule", "show"]);
  const mark = Number(settings.tproxyMark).toString(16);
  return stdout.split("\n").some((line) => line.includes(`fwmark 0x${mark} lookup ${settings.tproxyRouteTable}`));
}

async function ip(run: RunCommand, args: readonly string[]): Promise<void> {
  const { code, stderr } = await run("ip", args);
  if (code !== 0 && !/exists|already assigned/i.test(stderr))
    throw new RedirectionError(`ip ${args.join(" ")} failed: ${stderr.trim()}`);
}
