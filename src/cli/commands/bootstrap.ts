import { isIP } from "node:net";
import { resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { parseFlag } from "../../config/flag.ts";
import { flagTable } from "../../config/flags.ts";
import { type BootstrapOptions, buildEnvoyBootstrap, type HostAndPort } from "../envoy-bootstrap.ts";

/** Options as commander hands them over, already parsed by the functions below. */
interface GivenOptions {
  readonly type: BootstrapOptions["type"];
  readonly ip: string;
  readonly label: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
  readonly interception: BootstrapOptions["interceptionMode"];
  readonly httpProxyPort?: number;
  readonly locality?: string;
  readonly discovery?: HostAndPort;
  readonly secretsSocket?: string;
  readonly tlsDir?: string;
  readonly tlsServerName?: string;
  readonly delta: boolean;
  readonly adminPort: number;
  readonly domain: string;
  readonly clusterID: string;
}

const examples = `
Examples:
  meltemi bootstrap reviews-v1.bookinfo --label app=reviews --label version=v1 > reviews-v1.json
  envoy -c reviews-v1.json --base-id 1

  meltemi bootstrap ingress.istio-system --type router --label istio=ingressgateway --delta > ingress.json`;

export function createBootstrapCommand(): Command {
  return new Command("bootstrap")
    .description("Print an Envoy bootstrap (JSON) for a workload on this machine.")
    .argument("<workload>", "name and namespace of the workload, such as reviews-v1.bookinfo", parseWorkload)
    .addOption(
      new Option("--type <type>", "sidecar beside a workload, or router (a gateway)")
        .choices(["sidecar", "router"])
        .default("sidecar"),
    )
    .option("--ip <address>", "address of the workload", parseAddress, "127.0.0.1")
    .option("--label <name=value>", "label of the workload; may be repeated", collectLabel, {})
    .option("--service-account <name>", "service account of the workload", "default")
    .addOption(
      new Option("--interception <mode>", "how the workload's traffic reaches the proxy; NONE: by address")
        .choices(["NONE", "REDIRECT", "TPROXY"])
        .default("NONE"),
    )
    .option("--http-proxy-port <port>", "port of an HTTP proxy for the workload's outgoing requests", parsePort)
    .option("--locality <region/zone/subzone>", "where the workload runs")
    .option("--discovery <host:port>", discoveryHelp, parseDiscovery)
    .option("--secrets-socket <path>", "Unix socket on which an agent serves the workload's certificates")
    .option(
      "--tls-dir <dir>",
      "xDS over TLS, with the certificate that `meltemi certificate` wrote into this directory",
    )
    .option(
      "--tls-server-name <name>",
      "name of the control plane in its certificate; by default the host of --discovery",
    )
    .option("--delta", "use incremental xDS", false)
    .option("--admin-port <port>", "port of Envoy's administration pages, on 127.0.0.1", parsePort, 15000)
    .option("--domain <domain>", flagTable.domain.doc, flagTable.domain.default)
    .option("--clusterID <name>", flagTable.clusterId.doc, flagTable.clusterId.default)
    .addHelpText("after", examples)
    .action((workload: Workload, options: GivenOptions) => {
      process.stdout.write(`${JSON.stringify(buildEnvoyBootstrap(convertOptions(workload, options)), null, 2)}\n`);
    });
}

function convertOptions(workload: Workload, options: GivenOptions): BootstrapOptions {
  const { label, interception, clusterID, tlsDir, tlsServerName, discovery, ...same } = options;
  const address = discovery ?? { ...defaultDiscovery, port: tlsDir === undefined ? 15010 : 15012 };
  return {
    ...workload,
    ...same,
    discovery: address,
    ...(tlsDir === undefined ? {} : { tls: describeTls(tlsDir, tlsServerName ?? address.host) }),
    labels: label,
    interceptionMode: interception,
    clusterId: clusterID,
  };
}

/** An address has no DNS name that could be checked: on this machine the control plane is called localhost. */
function describeTls(directory: string, name: string): NonNullable<BootstrapOptions["tls"]> {
  return { directory: resolve(directory), serverName: isIP(name) === 0 ? name : "localhost" };
}

interface Workload {
  readonly name: string;
  readonly namespace: string;
}

const defaultDiscovery: HostAndPort = { host: "127.0.0.1", port: 15010 };
const discoveryHelp = "xDS address of the control plane (default 127.0.0.1:15010, with --tls-dir 127.0.0.1:15012)";

function parseWorkload(text: string): Workload {
  // Names of workloads may hold dots, names of namespaces may not.
  const match = /^([a-z0-9][a-z0-9.-]*)\.([a-z0-9][a-z0-9-]*)$/.exec(text);
  const [, name, namespace] = match ?? [];
  if (name === undefined || namespace === undefined) {
    throw new InvalidArgumentError('Give name and namespace with a dot between, such as "reviews-v1.bookinfo".');
  }
  return { name, namespace };
}

function parseAddress(text: string): string {
  if (isIP(text) === 0) throw new InvalidArgumentError("It is not an IP address.");
  return text;
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65535) throw new InvalidArgumentError("A port is a number from 1 to 65535.");
  return port;
}

function collectLabel(text: string, labels: Readonly<Record<string, string>>): Record<string, string> {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("Write a label as name=value.");
  return { ...labels, [text.slice(0, at)]: text.slice(at + 1) };
}

function parseDiscovery(text: string): HostAndPort {
  const parsed = parseFlag("address", text);
  if ("problem" in parsed) throw new InvalidArgumentError(`${parsed.problem}.`);
  if (parsed.value.host === "") throw new InvalidArgumentError("Name the host too, such as 127.0.0.1:15010.");
  return parsed.value;
}
