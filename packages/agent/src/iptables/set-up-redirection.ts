/** `meltemi iptables`: redirection of a pod's traffic to its proxy, set up, checked or removed. */
import type { Clock } from "../../../../src/lib/clock.ts";
import { applyRules, inspectRules, type RuleState, type RuleTarget, removeRules } from "./apply-rules.ts";
import { buildRules } from "./build-rules.ts";
import { createCommandRunner, type RunCommand } from "./commands.ts";
import { findIptables } from "./find-binary.ts";
import type { IptablesValues } from "./flags.ts";
import { type HostFacts, parseRedirectionOptions, type RedirectionOptions } from "./parse-options.ts";
import { RedirectionError, type RedirectionSettings } from "./redirection-settings.ts";
import { removeRoutes, setRoutes } from "./routes.ts";
import { type Family, formatRules } from "./rule.ts";
import { validateRedirection } from "./validate-redirection.ts";

export interface RedirectionRun {
  readonly values: IptablesValues;
  readonly host: HostFacts;
  readonly clock: Clock;
  /** Takes the lines that the command prints. */
  readonly report: (line: string) => void;
}

/** `failed`: it could not be set up as asked for. `ineffective`: validation found that nothing is redirected. */
export type RedirectionOutcome =
  | { readonly kind: "done" }
  | { readonly kind: "failed" | "ineffective"; readonly message: string };

/** Does what the options ask for; rejects only for bugs of ours. */
export async function setUpRedirection(run: RedirectionRun): Promise<RedirectionOutcome> {
  try {
    const options = parseRedirectionOptions(run.values, run.host);
    await applyOptions(options, run);
    return options.runValidation ? await validate(options, run) : { kind: "done" };
  } catch (cause) {
    if (cause instanceof RedirectionError) return { kind: "failed", message: cause.message };
    throw cause;
  }
}

async function applyOptions(options: RedirectionOptions, { host, report }: RedirectionRun): Promise<void> {
  const { settings } = options;
  if (settings.dns.kind === "servers" && settings.dns.v4.length + settings.dns.v6.length === 0) {
    report("DNS is not captured: resolv.conf names no server, and --capture-all-dns is off");
  }
  if (options.skipRuleApply) return;
  if (options.dryRun) printRules(settings, report);
  else await changeRules(options, createCommandRunner({ ...host, ...options }), report);
}

async function validate(options: RedirectionOptions, { clock, report }: RedirectionRun): Promise<RedirectionOutcome> {
  const { probePort, probeTimeoutMs: timeoutMs, settings } = options;
  const ports = [Number(settings.proxyPort), Number(settings.inboundCapturePort)];
  if (await validateRedirection({ ports, probePort, timeoutMs, ipv6: settings.ipv6, clock, report })) {
    report("redirection works");
    return { kind: "done" };
  }
  const message =
    "redirection does not work: the pod is not ready for the mesh. A node agent (CNI) that starts after a pod sets no " +
    "rules for it; such a pod must be made anew.";
  return { kind: "ineffective", message };
}

function printRules(settings: RedirectionSettings, report: (line: string) => void): void {
  for (const family of listFamilies(settings)) {
    report(`# ${family === "v4" ? "iptables" : "ip6tables"}-restore --noflush`);
    report(formatRules(buildRules(settings, family)).trimEnd());
  }
}

function listFamilies({ ipv6 }: RedirectionSettings): readonly Family[] {
  return ipv6 ? ["v4", "v6"] : ["v4"];
}

async function changeRules(
  options: RedirectionOptions,
  run: RunCommand,
  report: (line: string) => void,
): Promise<void> {
  const { settings, cleanupOnly, forceBinary } = options;
  // All are found before anything changes: half a pod redirected is worse than an error.
  const targets: RuleTarget[] = [];
  for (const family of listFamilies(settings)) {
    const binary = await findIptables(run, family, forceBinary);
    targets.push({ run, binary, rules: buildRules(settings, family) });
  }
  if (cleanupOnly) {
    for (const target of targets) await removeRules(target);
    await removeRoutes(run, settings);
    report(`rules removed with ${targets.map(({ binary }) => binary.name).join(" and ")}`);
    return;
  }
  const states = await Promise.all(targets.map(inspectRules));
  refuseDrift(options, states, targets);
  for (const [index, target] of targets.entries())
    await changeTarget(options, target, { state: states[index], report });
  await setRoutes(run, settings);
}

function refuseDrift(
  { reconcile, forceApply }: RedirectionOptions,
  states: readonly RuleState[],
  targets: readonly RuleTarget[],
): void {
  if (reconcile || forceApply) return;
  const drifted = targets.filter((_, index) => states[index] === "drifted").map(({ binary }) => binary.name);
  if (drifted.length === 0) return;
  throw new RedirectionError(
    `rules of another setting are in place (${drifted.join(", ")}); --reconcile replaces them, --cleanup-only removes them`,
  );
}

async function changeTarget(
  { forceApply }: RedirectionOptions,
  target: RuleTarget,
  { state, report }: { readonly state: RuleState | undefined; readonly report: (line: string) => void },
): Promise<void> {
  if (state === "equal" && !forceApply) return report(`${target.binary.name}: rules are in place`);
  await applyRules(target, state === "drifted");
  report(`${target.binary.name}: ${target.rules.length} rules set`);
}
