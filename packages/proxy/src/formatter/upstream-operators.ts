/** Operators about where a request went. */
import type { LogEntry } from "../access-log/types.ts";
import { type CompileOperator, type OperatorTable, orAbsent, plain, withoutSpaces } from "./operator-table.ts";

/** The name of the cluster for statistics, where it has another (alt_stat_name); for a cluster that is gone its own. */
const compileCluster: CompileOperator = (argument, { clusters }) =>
  plain(({ info: { clusterName } }) => orAbsent(clusters?.find(clusterName)?.wire.alt_stat_name || clusterName))(
    argument,
    {},
  );

/** The address of the server, once there is a connection to it. */
function readRemoteAddress({ info }: LogEntry): string | undefined {
  return info.upstreamLocalAddress === "" ? undefined : info.upstreamHost?.address;
}

function ipOf(address: string): string {
  const end = address.lastIndexOf(":");
  const ip = end < 0 ? address : address.slice(0, end);
  return ip.startsWith("[") ? ip.slice(1, -1) : ip;
}

function portOf(address: string): number | undefined {
  const port = /:(\d+)$/.exec(address)?.[1];
  return port === undefined ? undefined : Number(port);
}

function map<Value>(
  read: (entry: LogEntry) => string | undefined,
  convert: (text: string) => Value,
): (entry: LogEntry) => Value | undefined {
  return (entry) => {
    const text = read(entry);
    return text === undefined ? undefined : convert(text);
  };
}

const readLocalAddress = ({ info }: LogEntry): string | undefined => orAbsent(info.upstreamLocalAddress);
const readHostName = ({ info: { upstreamHost } }: LogEntry): string | undefined =>
  upstreamHost?.hostname || upstreamHost?.address;

export const upstreamOperators: OperatorTable = {
  UPSTREAM_HOST: plain(({ info }) => info.upstreamHost?.address),
  UPSTREAM_HOST_NAME: plain(readHostName),
  UPSTREAM_HOST_NAME_WITHOUT_PORT: plain(map(readHostName, (name) => name.replace(/:\d+$/, ""))),
  UPSTREAM_CLUSTER: compileCluster,
  UPSTREAM_CLUSTER_RAW: plain(({ info }) => orAbsent(info.clusterName)),
  UPSTREAM_LOCAL_ADDRESS: plain(readLocalAddress),
  UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: plain(map(readLocalAddress, ipOf)),
  UPSTREAM_LOCAL_PORT: plain(map(readLocalAddress, portOf)),
  UPSTREAM_REMOTE_ADDRESS: plain(readRemoteAddress),
  UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: plain(map(readRemoteAddress, ipOf)),
  UPSTREAM_REMOTE_PORT: plain(map(readRemoteAddress, portOf)),
  UPSTREAM_TRANSPORT_FAILURE_REASON: plain(({ info }) => orAbsent(withoutSpaces(info.upstreamTransportFailure))),
  UPSTREAM_REQUEST_ATTEMPT_COUNT: plain(({ info }) => info.attempts),
  UPSTREAM_PROTOCOL: plain(({ info }) => orAbsent(info.upstreamProtocol)),
};
