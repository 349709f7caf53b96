/** What rules of one family are made from. */
import type { RedirectionSettings } from "./redirection-settings.ts";
import type { Family, Rule, Table } from "./rule.ts";

export interface RuleContext {
  readonly settings: RedirectionSettings;
  readonly family: Family;
  /** The application's loopback destination. */
  readonly loopback: string;
  /** The source address of connections that Envoy's inbound side makes to the application (InboundPassthroughCluster). */
  readonly passthrough: string;
  /** Queries are captured: all, or those to servers of which there is one at least, in either family. */
  readonly capturesDns: boolean;
}

export function createRuleContext(settings: RedirectionSettings, family: Family): RuleContext {
  const { dns } = settings;
  return {
    settings,
    family,
    loopback: family === "v4" ? settings.ipv4LoopbackRange : "::1/128",
    passthrough: family === "v4" ? "127.0.0.6/32" : "::6/128",
    capturesDns: dns.kind === "all" || (dns.kind === "servers" && dns.v4.length + dns.v6.length > 0),
  };
}

/** A rule at the end of a chain; its words as one text. */
export function rule(table: Table, chain: string, words: string): Rule {
  return { table, chain, words: words.split(" ") };
}

/** A rule at the head of a chain that is not ours. */
export function first(table: Table, chain: string, words: string): Rule {
  return { ...rule(table, chain, words), first: true };
}
