import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { type IptablesFlagKey, iptablesFlags, readIptablesValues } from "@meltemi/agent/iptables-flags";
import { Command, Option } from "commander";
import { readEnvironment } from "../../config/env.ts";
import { systemClock } from "../../lib/clock.ts";
import { CommandFailure } from "../failures.ts";

const afterHelp = `
Options read their value from the environment too, by their name in capitals (ISTIO_INBOUND_PORTS); --redirect-dns also
from ISTIO_META_DNS_CAPTURE, --drop-invalid from INVALID_DROP, --dual-stack from ISTIO_DUAL_STACK. By the environment
alone: ISTIO_OUTBOUND_OWNER_GROUPS, ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE, ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR, ENVOY_USER.

Example, all traffic of a pod as injection sets it up:
  meltemi iptables -p 15001 -z 15006 -u 1337 -m REDIRECT -i '*' -x '' -b '*' -d 15090,15021,15020 --dry-run`;

/** `meltemi iptables`; the agent's command line has the same command as "istio-iptables". */
export function createIptablesCommand(name: string): Command {
  const command = new Command(name)
    .description("Redirect the traffic of this network namespace to the proxy, as istio-iptables does.")
    .addHelpText("after", afterHelp)
    // Injection tells every container how to log; here there is one way.
    .addOption(new Option("--log_output_level <levels>").hideHelp())
    .addOption(new Option("--log_as_json [boolean]").hideHelp());
  const options = listKeys().map((key) => [key, createOption(key)] as const);
  for (const [, option] of options) command.addOption(option);
  return command.action((values: Readonly<Record<string, string | undefined>>) =>
    redirect(Object.fromEntries(options.map(([key, option]) => [key, values[option.attributeName()]]))),
  );
}

function listKeys(): readonly IptablesFlagKey[] {
  return Object.keys(iptablesFlags) as IptablesFlagKey[];
}

function createOption(key: IptablesFlagKey): Option {
  const flag = iptablesFlags[key];
  const letter = "letter" in flag && flag.letter !== undefined ? `-${flag.letter}, ` : "";
  const value = flag.isBoolean ? "[boolean]" : "<value>";
  const doc = flag.isBoolean || flag.default === "" ? flag.doc : `${flag.doc} (default: ${flag.default})`;
  const option = new Option(`${letter}--${flag.name} ${value}`, doc);
  return flag.isBoolean ? option.preset("true") : option;
}

async function redirect(given: Partial<Readonly<Record<IptablesFlagKey, string | undefined>>>): Promise<void> {
  const { setUpRedirection } = await import("@meltemi/agent/iptables");
  const environment = readEnvironment();
  const interfaces = Object.values(networkInterfaces()).flatMap((entries) => entries ?? []);
  const outcome = await setUpRedirection({
    values: readIptablesValues(given, environment),
    host: {
      environment,
      addresses: interfaces.map(({ address }) => address),
      resolvConf: readIfThere("/etc/resolv.conf"),
      findUid: (user) => findUid(readIfThere("/etc/passwd"), user),
    },
    clock: systemClock,
    report: (line) => void process.stdout.write(`${line}\n`),
  });
  if (outcome.kind === "done") return;
  throw new CommandFailure(outcome.message, { exitCode: outcome.kind === "ineffective" ? 126 : 1 });
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Number of a user in the text of /etc/passwd. */
function findUid(passwd: string, user: string): string | undefined {
  const entry = passwd.split("\n").find((line) => line.startsWith(`${user}:`));
  return entry?.split(":")[2];
}
