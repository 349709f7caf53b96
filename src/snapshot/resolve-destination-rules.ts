import type { DestinationRule } from "../api/destination-rule/schema.ts";
import { resolveShortHost } from "../lib/hostname.ts";

/** Gives destination rules their full hosts; a rule that had it, and one that was resolved before, stays the object it was. */
export class DestinationRuleResolver {
  readonly #domain: string;
  readonly #known = new WeakMap<DestinationRule, DestinationRule>();

  constructor(domain: string) {
    this.#domain = domain;
  }

  resolve(rule: DestinationRule): DestinationRule {
    const known = this.#known.get(rule);
    if (known !== undefined) return known;
    const host = resolveShortHost(rule.spec.host, rule.meta.namespace, this.#domain);
    const resolved = host === rule.spec.host ? rule : { ...rule, spec: { ...rule.spec, host } };
    this.#known.set(rule, resolved);
    return resolved;
  }
}
