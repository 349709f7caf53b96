import type { ListenerFilterChainMatchPredicate } from "@meltemi/protos/envoy/config/listener/v3";
import { ConfigError, compileAll, within } from "../../lib/config-error.ts";
import type { AcceptedSocket } from "../accepted-socket.ts";

type Predicate = (accepted: AcceptedSocket) => boolean;

/** For what connections a listener filter is switched off (`filter_disabled`). Throws ConfigError. */
export function compileFilterPredicate(wire: ListenerFilterChainMatchPredicate): Predicate {
  if (wire.or_match !== undefined) {
    const rules = compileAll("or_match.rules", wire.or_match.rules, compileFilterPredicate);
    return (accepted) => rules.some((rule) => rule(accepted));
  }
  if (wire.and_match !== undefined) {
    const rules = compileAll("and_match.rules", wire.and_match.rules, compileFilterPredicate);
    return (accepted) => rules.every((rule) => rule(accepted));
  }
  if (wire.not_match !== undefined) {
    const { not_match: inner } = wire;
    const rule = within("not_match", () => compileFilterPredicate(inner));
    return (accepted) => !rule(accepted);
  }
  if (wire.any_match === true) return () => true;
  if (wire.destination_port_range === undefined) throw new ConfigError("", "has no rule");
  const { start = 0, end = 0 } = wire.destination_port_range;
  // The end is outside, as in all of Envoy's ranges.
  return ({ localAddress: { port } }) => port >= start && port < end;
}
