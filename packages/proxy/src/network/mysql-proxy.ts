import type { MySQLProxy } from "@meltemi/protos/envoy/extensions/filters/network/mysql_proxy/v3";
import { ConfigError } from "../lib/config-error.ts";
import type { Stats } from "../lib/stats.ts";
import { MysqlReader } from "./mysql-reader.ts";
import type { NetworkFilterFactory, NetworkObserver } from "./types.ts";

/** Counts sessions, log-ins and queries of MySQL as they go by. Statements themselves are not looked into, and access_log is not written. */
export const mysqlProxyFactory: NetworkFilterFactory<MySQLProxy> = {
  name: "envoy.filters.network.mysql_proxy",
  type: "envoy.extensions.filters.network.mysql_proxy.v3.MySQLProxy",
  compile(config, env) {
    if (config.stat_prefix === undefined || config.stat_prefix === "") {
      throw new ConfigError("stat_prefix", "must not be empty");
    }
    const counters = createCounters(env.stats.scope(`mysql.${config.stat_prefix}`));
    return { observe: () => observeSession(counters) };
  },
};

type Counters = ReturnType<typeof createCounters>;

function createCounters(stats: Stats) {
  return {
    sessions: stats.counter("sessions"),
    logins: stats.counter("login_attempts"),
    failures: stats.counter("login_failures"),
    switches: stats.counter("auth_switch_request"),
    upgrades: stats.counter("upgraded_to_ssl"),
    queries: stats.counter("queries_parsed"),
    decoderErrors: stats.counter("decoder_errors"),
  };
}

/** Bit of the client's capabilities that asks for TLS, and the length of the packet that does nothing else. */
const sslCapability = 0x0800;
const sslRequestLength = 32;
const queryCommand = 3;

/** Where a session stands: "blind" where it has become encrypted or cannot be read. */
type State = "greeting" | "login" | "answer" | "ready" | "blind";

function observeSession(counters: Counters): NetworkObserver {
  counters.sessions.inc();
  const client = new MysqlReader();
  const server = new MysqlReader();
  let state: State = "greeting";
  const read = (reader: MysqlReader, chunk: Uint8Array): readonly Buffer[] => {
    if (state === "blind") return [];
    const packets = reader.read(chunk);
    if (packets !== undefined) return packets;
    counters.decoderErrors.inc();
    state = "blind";
    return [];
  };
  const onClientPacket = (packet: Buffer): void => {
    if (state === "greeting" || state === "login") {
      if (packet.length === sslRequestLength && (packet.readUInt32LE(0) & sslCapability) !== 0) {
        counters.upgrades.inc();
        state = "blind";
        return;
      }
      counters.logins.inc();
      state = "answer";
    } else if (state === "ready" && packet[0] === queryCommand) counters.queries.inc();
  };
  const onServerPacket = (packet: Buffer): void => {
    if (state === "greeting") state = "login";
    else if (state === "answer") {
      if (packet[0] === 0x00) state = "ready";
      else if (packet[0] === 0xfe) counters.switches.inc();
      else if (packet[0] === 0xff) {
        counters.failures.inc();
        state = "login";
      }
    }
  };
  return {
    fromClient(chunk) {
      for (const packet of read(client, chunk)) onClientPacket(packet);
      return undefined;
    },
    fromServer(chunk) {
      for (const packet of read(server, chunk)) onServerPacket(packet);
    },
  };
}
