/**
 * Look-up and merging of destination rules (Istio: model/push_context.go destinationRule and model/destination_rule.go):
 * rules of the client's namespace come before those of the service's and of the root namespace, exact hosts before
 * wildcards. Rules of one namespace for one host and the same audience are merged into one.
 */
import type { DestinationRule } from "../../api/destination-rule/schema.ts";
import { type Labels, labelsMatch, refOf } from "../../api/object.ts";
import { compareHostSpecificity, hostIsWithin, isWildcardHost } from "../../lib/hostname.ts";
import { memoByIdentity } from "../../lib/memo.ts";
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
  return candidates === undefined ? undefined : selectRule(candidates, client);
}

function lookUpExported(
  index: RuleIndex,
  namespace: string,
  { service, client }: { readonly service: Service; readonly client: RuleClient },
): readonly MergedRule[] | undefined {
  const visible = lookUp(index.exported.get(namespace), service.hostname)?.filter(
    ({ exportTo }) => exportTo.size === 0 || exportTo.has("*") || exportTo.has(client.namespace),
  );
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
    const isPrivateByDefault = defaultExportTo.split(",").includes(".");
    const local = new Map<string, HostRules>();
    const exported = new Map<string, HostRules>();
    const rootPrivate = createHostRules();
    const isSpecial = (rule: DestinationRule): boolean => rule.spec.workloadSelector !== undefined;
    // Rules for single workloads come first, whatever their age.
    for (const rule of [...rules.filter(isSpecial), ...rules.filter((other) => !isSpecial(other))]) {
      const { namespace } = rule.meta;
      const stated = statedExportTo(rule);
      if (stated.size === 0 || ["*", ".", namespace].some((name) => stated.has(name))) {
        addRule(local, namespace, rule);
      }
      const isPrivate =
        stated.size === 0 ? isPrivateByDefault : stated.size === 1 && (stated.has(".") || stated.has(namespace));
      if (!isPrivate) addRule(exported, namespace, rule);
      else if (namespace === rootNamespace) noteRule(rootPrivate, rule);
    }
    return { local, exported, rootPrivate };
  },
);

/** What the rule itself says: the mesh's default stays out of it, for rules are merged by what is written. */
function statedExportTo({ spec }: DestinationRule): ReadonlySet<string> {
  // A rule for single workloads is about these, which are all in its own namespace.
  return new Set(spec.workloadSelector === undefined ? (spec.exportTo ?? []) : ["."]);
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

function lookUp(hosts: HostRules | undefined, hostname: string): readonly MergedRule[] | undefined {
  if (hosts === undefined) return undefined;
  const exact = hosts.exact.get(hostname) ?? hosts.wildcard.get(hostname);
  if (exact !== undefined) return mergeRules(exact);
  const patterns = [...hosts.wildcard.keys()].filter((pattern) => hostIsWithin(hostname, pattern));
  const best = patterns.sort(compareHostSpecificity)[0];
  const rules = best === undefined ? undefined : hosts.wildcard.get(best);
  return rules === undefined ? undefined : mergeRules(rules);
}

function mergeRules(rules: readonly DestinationRule[]): readonly MergedRule[] {
  const [first, ...others] = rules;
  return first === undefined ? [] : mergeGroup(first, ...others);
}

/**
 * Merges a rule into those before it that are exported to the same or fewer namespaces. Istio's outcome to the letter:
 * what the last one of these says decides whether the rule also stands alone, so that one with a wider audience, or one
 * without a selector after one with, may be found by nobody but the readers of the rule that took it in. By identity,
 * so that a rule that did not change is the same object in the next snapshot.
 */
const mergeGroup = memoByIdentity(
  (first: DestinationRule, ...others: readonly DestinationRule[]): readonly MergedRule[] => {
    const merged: MergedRule[] = [convertRule(first)];
    for (const rule of others) {
      const incoming = convertRule(rule);
      let standsAlone = true;
      for (const [index, known] of merged.entries()) {
        standsAlone = true;
        const isEqual = isSameSet(known.exportTo, incoming.exportTo);
        const isWider = known.exportTo.size > 0 && [...known.exportTo].every((name) => incoming.exportTo.has(name));
        if (!isEqual && !isWider) continue;
        const areSelecting = known.selector !== undefined && incoming.selector !== undefined;
        if (areSelecting && !isSameLabels(known.selector, incoming.selector)) continue;
        standsAlone = !isEqual && (known.selector === undefined) !== (incoming.selector === undefined);
        merged[index] = mergePair(known, incoming);
      }
      if (standsAlone) merged.push(incoming);
    }
    return merged;
  },
);

function convertRule(rule: DestinationRule): MergedRule {
  return {
    rule: { namespace: rule.meta.namespace, spec: rule.spec, sources: [refOf(rule)] },
    exportTo: statedExportTo(rule),
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
