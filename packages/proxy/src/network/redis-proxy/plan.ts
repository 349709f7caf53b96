import { durationToMs } from "@meltemi/protos";
import type {
  RedisProxy,
  RedisProxy_PrefixRoutes,
  RedisProxy_PrefixRoutes_Route,
} from "@meltemi/protos/envoy/extensions/filters/network/redis_proxy/v3";
import { ConfigError, compileAll, need, within } from "../../lib/config-error.ts";
import { readDataSource } from "../../router/data-source.ts";

export interface RedisPlan {
  readonly opTimeoutMs: number;
  readonly usesTags: boolean;
  /** None: nobody has to say who he is. */
  readonly passwords: readonly string[];
  /** Undefined where no route is for a key. */
  readonly findRoute: (key: string) => RedisRoute | undefined;
}

export interface RedisRoute {
  readonly cluster: string;
  /** Letters that are cut off the key. */
  readonly cutLength: number;
}

/** Throws ConfigError. */
export function compileRedisPlan(config: RedisProxy): RedisPlan {
  if (config.stat_prefix === undefined || config.stat_prefix === "") {
    throw new ConfigError("stat_prefix", "must not be empty");
  }
  const settings = need("settings", config.settings);
  within("settings", () => {
    if (settings.enable_redirection === true) throw new ConfigError("enable_redirection", "is not supported");
    if (settings.read_policy !== undefined && settings.read_policy !== "MASTER") {
      throw new ConfigError("read_policy", `${settings.read_policy} is not supported`);
    }
  });
  if ((config.faults ?? []).length > 0) throw new ConfigError("faults", "are not supported");
  if (config.downstream_auth_username !== undefined) {
    throw new ConfigError("downstream_auth_username", "is not supported");
  }
  const single = config.downstream_auth_password === undefined ? [] : [config.downstream_auth_password];
  const passwords = [...single, ...(config.downstream_auth_passwords ?? [])].map((source) =>
    within("downstream_auth_password", () => Buffer.from(readDataSource(source)).toString("utf8")),
  );
  return {
    opTimeoutMs: need("settings.op_timeout", durationToMs(settings.op_timeout)),
    usesTags: settings.enable_hashtagging === true,
    passwords,
    findRoute: within("prefix_routes", () => compileRoutes(config.prefix_routes)),
  };
}

function compileRoutes(wire: RedisProxy_PrefixRoutes = {}): RedisPlan["findRoute"] {
  const ignoresCase = wire.case_insensitive === true;
  const fold = (text: string): string => (ignoresCase ? text.toLowerCase() : text);
  // The longest prefix is the one that counts.
  const routes = compileAll("routes", wire.routes, (route) => ({
    prefix: fold(route.prefix ?? ""),
    route: compileRoute(route),
  })).toSorted((left, right) => right.prefix.length - left.prefix.length);
  const { catch_all_route: catchAllWire } = wire;
  const catchAll = catchAllWire && within("catch_all_route", () => compileRoute(catchAllWire));
  return (key) => {
    const folded = fold(key);
    return routes.find(({ prefix }) => folded.startsWith(prefix))?.route ?? catchAll;
  };
}

function compileRoute(wire: RedisProxy_PrefixRoutes_Route): RedisRoute {
  if ((wire.request_mirror_policy ?? []).length > 0) {
    throw new ConfigError("request_mirror_policy", "is not supported");
  }
  if (wire.read_command_policy !== undefined) throw new ConfigError("read_command_policy", "is not supported");
  if (wire.key_formatter) throw new ConfigError("key_formatter", "is not supported");
  return {
    cluster: need("cluster", wire.cluster),
    cutLength: wire.remove_prefix === true ? (wire.prefix ?? "").length : 0,
  };
}
