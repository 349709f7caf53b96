/**
 * Look-up and merging of destination rules (Istio: model/push_context.go destinationRule and model/destination_rule.go):
 * rules of the client's namespace come before those of the service's and of the root namespace, exact hosts before
 * wildcards. Rules of one namespace for one host and the same audience are merged into one.
 */
import type { DestinationRule } from "../../api/destination-rule/schema.ts";
import { type Labels, labelsMatch, refOf } from "../../api/object.ts";
import { compareHostSpecificity, hostIsWithin, isWildcardHost } from "../../lib/hostname.ts";
import { memoByIdentity } from "../../lib/memo.ts";
import { parseExportTo } from "../../model/export-to.ts";
import type { Service } from "../../model/service.ts";
import type { MergedDestinationRule } from "../destination-rules.ts";

/** Who asks for a rule. */
export interface RuleClient {
  readonly namespace: string;
  readonly labels: Labels;
  /** Rules for single workloads count for what these call, not for what they are called with. */
  readonly direction: "outbound" | "inbound";
}

export interface RuleIndexOptions {
  readonly rootNamespace: string;
  /** MeshConfig.defaultDestinationRuleExportTo */
  readonly defaultExportTo: readonly string[];
}

/** Merged rules of one host of one namespace; those of different audiences or selectors stand side by side. */
interface MergedRule {
  readonly rule: MergedDestinationRule;
  readonly exportTo: ReadonlySet<string>;
  readonly selector: Labels | undefined;
}

interface HostRules {
  readonly exact: Map<string, DestinationRule[]>;
  readonly wildcard: Map<string, DestinationRule[]>;
}

interface RuleIndex {
  readonly local: ReadonlyMap<string, HostRules>;
  readonly exported: ReadonlyMap<string, HostRules>;
  readonly rootPrivate: HostRules;
  readonly options: RuleIndexOptions;
}

/** The rule for a service as a client sees it; undefined where none applies. `rules` have full hosts, oldest first. */
export function findDestinationRule(
  rules: readonly DestinationRule[],
  service: Service,
  { client, options }: { readonly client: RuleClient; readonly options: RuleIndexOptions },
): MergedDestinationRule | undefined {
  if (rules.length === 0) return undefined;
  const index = indexFor(rules, options);
  const isRoot = client.namespace === options.rootNamespace;
  // Rules in the root namespace are meant for the whole mesh: its own proxies only prefer those that it keeps to itself.
  const own = isRoot ? index.rootPrivate : index.local.get(client.namespace);
  const candidates =
    lookUp(own, service.hostname) ??
    lookUpExported(index, service.namespace, { service, client }) ??
    lookUpExported(index, options.rootNamespace, { service, client });
  return candidates === undefined ? undefined : selectRule(mergeRules(candidates, options), client);
}

function lookUpExported(
  index: RuleIndex,
  namespace: string,
  { service, client }: { readonly service: Service; readonly client: RuleClient },
): readonly DestinationRule[] | undefined {
  const visible = lookUp(index.exported.get(namespace), service.hostname)?.filter((rule) => {
    const exportTo = exportToOf(rule, index.options);
    return exportTo.has("*") || exportTo.has(client.namespace) || (exportTo.has(".") && client.namespace === namespace);
  });
  return visible === undefined || visible.length === 0 ? undefined : visible;
}

function selectRule(merged: readonly MergedRule[], client: RuleClient): MergedDestinationRule | undefined {
  const selected = merged.find(
    ({ rule, selector }) =>
      selector !== undefined &&
      client.direction === "outbound" &&
      rule.namespace === client.namespace &&
      labelsMatch(selector, client.labels),
  );
  if (selected !== undefined) return selected.rule;
  return merged.findLast(({ selector }) => selector === undefined)?.rule;
}

function indexFor(rules: readonly DestinationRule[], options: RuleIndexOptions): RuleIndex {
  return buildIndex(rules, options.rootNamespace, options.defaultExportTo.join());
}

const buildIndex = memoByIdentity(
  (rules: readonly DestinationRule[], rootNamespace: string, defaultExportTo: string): RuleIndex => {
    const options = { rootNamespace, defaultExportTo: defaultExportTo === "" ? [] : defaultExportTo.split(",") };
    const local = new Map<string, HostRules>();
    const exported = new Map<string, HostRules>();
    const rootPrivate = createHostRules();
    for (const rule of rules) {
      const { namespace } = rule.meta;
      const stated = rule.spec.workloadSelector === undefined ? (rule.spec.exportTo ?? []) : ["."];
      const countsHere = stated.length === 0 || ["*", ".", namespace].some((name) => stated.includes(name));
      if (countsHere) addRule(local, namespace, rule);
      const effective = exportToOf(rule, options);
      const isPrivate = effective.size === 1 && (effective.has(".") || effective.has(namespace));
      if (!isPrivate) addRule(exported, namespace, rule);
      else if (namespace === rootNamespace) noteRule(rootPrivate, rule);
    }
    return { local, exported, rootPrivate, options };
  },
);

function exportToOf(rule: DestinationRule, options: RuleIndexOptions): ReadonlySet<string> {
  // A rule for single workloads is about these, which are all in its own namespace.
  if (rule.spec.workloadSelector !== undefined) return new Set(["."]);
  return parseExportTo(rule.spec.exportTo ?? [], options.defaultExportTo);
}

const createHostRules = (): HostRules => ({ exact: new Map(), wildcard: new Map() });

function addRule(index: Map<string, HostRules>, namespace: string, rule: DestinationRule): void {
  const hosts = index.get(namespace) ?? createHostRules();
  index.set(namespace, hosts);
  noteRule(hosts, rule);
}

function noteRule(hosts: HostRules, rule: DestinationRule): void {
  const map = isWildcardHost(rule.spec.host) ? hosts.wildcard : hosts.exact;
  const known = map.get(rule.spec.host);
  if (known === undefined) map.set(rule.spec.host, [rule]);
  else known.push(rule);
}

function lookUp(hosts: HostRules | undefined, hostname: string): readonly DestinationRule[] | undefined {
  if (hosts === undefined) return undefined;
  const exact = hosts.exact.get(hostname) ?? hosts.wildcard.get(hostname);
  if (exact !== undefined) return exact;
  const patterns = [...hosts.wildcard.keys()].filter((pattern) => hostIsWithin(hostname, pattern));
  const best = patterns.sort(compareHostSpecificity)[0];
  return best === undefined ? undefined : hosts.wildcard.get(best);
}

function mergeRules(rules: readonly DestinationRule[], options: RuleIndexOptions): readonly MergedRule[] {
  const [first, ...others] = rules;
  if (first === undefined) return [];
  return mergeGroup(first, options.defaultExportTo.join(), ...others);
}

// By identity, so that a rule that did not change is the same object in the next snapshot.
const mergeGroup = memoByIdentity(
  (first: DestinationRule, defaultExportTo: string, ...others: readonly DestinationRule[]): readonly MergedRule[] => {
    const options = { rootNamespace: "", defaultExportTo: defaultExportTo === "" ? [] : defaultExportTo.split(",") };
    const merged: MergedRule[] = [];
    for (const rule of [first, ...others]) {
      const incoming = convertRule(rule, options);
      let standsAlone = true;
      for (const [index, known] of merged.entries()) {
        if (
          !isSameSet(known.exportTo, incoming.exportTo) &&
          known.selector === undefined &&
          incoming.selector === undefined
        )
          continue;
        if (
          known.selector !== undefined &&
          incoming.selector !== undefined &&
          !isSameLabels(known.selector, incoming.selector)
        )
          continue;
        // Same workloads on both sides: one rule. Otherwise the special rule stays on its own, but lends its subsets.
        if ((known.selector === undefined) === (incoming.selector === undefined)) standsAlone = false;
        merged[index] = mergePair(known, incoming);
      }
      if (standsAlone) merged.push(incoming);
    }
    return merged;
  },
);

function convertRule(rule: DestinationRule, options: RuleIndexOptions): MergedRule {
  return {
    rule: { namespace: rule.meta.namespace, spec: rule.spec, sources: [refOf(rule)] },
    exportTo: exportToOf(rule, options),
    selector: rule.spec.workloadSelector === undefined ? undefined : (rule.spec.workloadSelector.matchLabels ?? {}),
  };
}

// Subsets of both, the earlier one's where names are equal; the policy of the later one only where there was none.
function mergePair(known: MergedRule, incoming: MergedRule): MergedRule {
  const subsets = [...(known.rule.spec.subsets ?? [])];
  for (const subset of incoming.rule.spec.subsets ?? []) {
    if (!subsets.some((other) => other.name === subset.name)) subsets.push(subset);
  }
  const trafficPolicy = known.rule.spec.trafficPolicy ?? incoming.rule.spec.trafficPolicy;
  const spec = { ...known.rule.spec, subsets, ...(trafficPolicy && { trafficPolicy }) };
  return { ...known, rule: { ...known.rule, spec, sources: [...known.rule.sources, ...incoming.rule.sources] } };
}

function isSameSet(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a.size === b.size && [...a].every((item) => b.has(item));
}

function isSameLabels(a: Labels, b: Labels): boolean {
  return Object.keys(a).length === Object.keys(b).length && labelsMatch(a, b);
}
