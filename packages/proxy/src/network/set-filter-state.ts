import type { FilterStateValue } from "@meltemi/protos/envoy/extensions/filters/common/set_filter_state/v3";
import type { Config } from "@meltemi/protos/envoy/extensions/filters/network/set_filter_state/v3";
import type { NetworkFilterEnv } from "../config/env.ts";
import { compileSubstitution } from "../formatter/compile-format.ts";
import { ConfigError, compileAll, need, within } from "../lib/config-error.ts";
import type { DownstreamConnection } from "../listeners/connection.ts";
import type { NetworkFilterFactory } from "./types.ts";

/** Notes values for the filters after it, for the balancer and for logs. */
export const setFilterStateFactory: NetworkFilterFactory<Config> = {
  name: "envoy.filters.network.set_filter_state",
  type: "envoy.extensions.filters.network.set_filter_state.v3.Config",
  compile(config, env) {
    const setters = compileAll("on_new_connection", config.on_new_connection, (each) => compileSetter(each, env));
    return {
      admit(connection) {
        for (const set of setters) set(connection);
        return true;
      },
    };
  },
};

function compileSetter(wire: FilterStateValue, env: NetworkFilterEnv): (connection: DownstreamConnection) => void {
  const key = need("object_key", wire.object_key);
  if (key === "") throw new ConfigError("object_key", "must not be empty");
  const wireFormat = need("format_string", wire.format_string);
  const format = within("format_string", () => compileSubstitution(wireFormat, { clusters: env.clusters }));
  const skipsEmpty = wire.skip_if_empty === true;
  // read_only and shared_with_upstream bind other filters of Envoy: nothing here changes an object, and connections to
  // upstreams read those of the client's.
  return ({ info, filterState }) => {
    const text = format({ info });
    if (text === "" && skipsEmpty) return;
    filterState.set(key, { text });
  };
}
