import type { TcpProxy } from "@meltemi/protos/envoy/extensions/filters/network/tcp_proxy/v3";
import type { NetworkFilterFactory } from "../types.ts";
import { compileTcpProxyPlan } from "./plan.ts";
import { TcpSession } from "./session.ts";
import { createTcpProxyStats } from "./stats.ts";

/** Connections of bytes, one to one, to the hosts of a cluster. */
export const tcpProxyFactory: NetworkFilterFactory<TcpProxy> = {
  name: "envoy.filters.network.tcp_proxy",
  type: "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
  compile(config, env) {
    const plan = compileTcpProxyPlan(config, env);
    const stats = createTcpProxyStats(env.stats.scope(`tcp.${config.stat_prefix ?? ""}`));
    return {
      open(connection) {
        stats.total.inc();
        connection.onClose(() => plan.accessLog.log({ info: connection.info }));
      },
      serve: (connection) => new TcpSession({ plan, stats, env }, connection).start(),
      close: () => plan.accessLog.close(),
    };
  },
};
