/**
 * What behaviours run on: a control plane in this process, real Envoys, upstreams and a DNS server, all on loopback
 * addresses. The Envoys live as long as the test file; configuration comes and goes.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { refOf } from "../../../src/api/object.ts";
import { parseObjects } from "../../../src/api/parse.ts";
import type { ControlPlane } from "../../../src/bootstrap/control-plane.ts";
import { type ObjectRef, objectKey } from "../../../src/lib/message.ts";
import { createMemorySource, type MemorySource } from "../../../src/sources/memory.ts";
import { holdPorts } from "../../../tools/free-ports.ts";
import { startSecretServer } from "../../../tools/run/file-secrets.ts";
import { startTestControlPlane } from "../../support/control-plane.ts";
import { startDnsServer } from "../../support/dns-server.ts";
import { readDocuments } from "../../support/translated-mesh.ts";
import { type DataPlane, type EnvoyOptions, type EnvoyProcess, startEnvoy } from "../envoy-process.ts";
import type { Behaviour, EnvoyName } from "./behaviour.ts";
import { type CertificateFolder, createCertificateFolder } from "./certificate-folder.ts";
import { readSync } from "./sync.ts";
import { startUpstreamSet, type UpstreamSet } from "./upstream-set.ts";

export interface Rig {
  readonly upstreams: UpstreamSet;
  readonly certificates: CertificateFolder;
  readonly envoys: ReadonlyMap<EnvoyName, EnvoyProcess>;
  /** The port of a name; the name gets one that is free when it is first asked for. */
  port(name: string): number;
  /** Puts values in the place of `${...}`; throws where a name is unknown. */
  fill(text: string): string;
  /** Applies a behaviour's objects and waits until every Envoy has them; the result takes them away in the same way. */
  apply(behaviour: Behaviour): Promise<() => Promise<void>>;
  stop(): Promise<void>;
}

const projectFolder = fileURLToPath(new URL("../../../", import.meta.url));
const baseText = readFileSync(join(import.meta.dirname, "base.yaml"), "utf8");

type EnvoyIdentity = Pick<EnvoyOptions, "name" | "namespace" | "labels" | "ip" | "delta"> & Partial<EnvoyOptions>;

/** Who the Envoys are. Both forms of xDS are spoken. */
const identities: Readonly<Record<EnvoyName, EnvoyIdentity>> = {
  client: {
    ...{ name: "client", namespace: "shop", labels: { app: "client", stage: "sea" }, ip: "127.0.0.9", delta: false },
    locality: "north/a/one",
  },
  gateway: {
    ...{ name: "ingress", namespace: "istio-system", labels: { istio: "ingressgateway" }, ip: "127.0.0.8" },
    ...{ delta: true, type: "router" },
  },
  server: { name: "server", namespace: "shop", labels: { app: "server" }, ip: "127.0.0.7", delta: true },
};

/** Starts everything; what was started is stopped again where a part cannot be. */
export async function startRig(names: readonly EnvoyName[], dataPlane: DataPlane): Promise<Rig> {
  const stops: (() => unknown)[] = [];
  const stop = async (): Promise<void> => {
    for (const end of stops.splice(0).reverse()) await end();
  };
  try {
    return { ...(await startParts({ names, dataPlane }, stops)), stop };
  } catch (cause) {
    await stop();
    throw cause;
  }
}

interface WantedProxies {
  readonly names: readonly EnvoyName[];
  readonly dataPlane: DataPlane;
}

async function startParts({ names, dataPlane }: WantedProxies, stops: (() => unknown)[]): Promise<Omit<Rig, "stop">> {
  const certificates = await createCertificateFolder();
  stops.push(certificates.stop);
  const upstreams = await startUpstreamSet(certificates.authority);
  stops.push(upstreams.stop);
  const dns = await startDnsServer(findAddresses);
  stops.push(dns.stop);
  const held = await holdPorts(40);
  stops.push(held.release);
  const ports = [...held.ports];
  const named = new Map<string, number>();
  const port = (name: string): number => {
    const known = named.get(name) ?? ports.pop();
    if (known === undefined) throw new Error("more ports are named than the rig has (rig.ts)");
    named.set(name, known);
    return known;
  };
  const fill = (text: string): string =>
    text.replaceAll(/\$\{([a-z0-9.-]+)\}/g, (_whole, name: string) => {
      if (name === "certs") return certificates.path;
      if (name === "dns") return String(dns.port);
      if (name.startsWith("port.")) return String(port(name.slice(5)));
      const upstream = upstreams.ports.get(name);
      if (upstream === undefined) throw new Error(`nothing is called \${${name}}`);
      return String(upstream);
    });
  const source = createMemorySource();
  const messages = source.apply(fill(baseText));
  if (messages.length > 0) throw new Error(`base.yaml: ${messages.map(({ text }) => text).join("; ")}`);
  // Without a quiet time every change goes out on its own, at once.
  const controlPlane = await startTestControlPlane({ source, limits: { debounceQuietMs: 0, drainMs: 500 } });
  stops.push(controlPlane.stop);
  const envoys = new Map<EnvoyName, EnvoyProcess>();
  for (const name of names) {
    const envoy = await startNamedEnvoy(name, {
      ...{ controlPlane, certificates, dataPlane, dnsPort: dns.port, stops },
      probePort: port(probeName(name)),
    });
    envoys.set(name, envoy);
  }
  const apply = createApply({ source, fill, settle: () => settle({ controlPlane, envoys, port }) });
  return { upstreams, certificates, envoys, port, fill, apply };
}

/** Names that Envoys can resolve. */
function findAddresses(name: string): readonly string[] | undefined {
  if (name.endsWith(".far.dns.test")) return ["127.0.0.66"];
  if (name === "www.google.com" || name.endsWith(".dns.test")) return ["127.0.0.1"];
  return undefined;
}

interface EnvoySurroundings {
  readonly controlPlane: ControlPlane;
  readonly certificates: CertificateFolder;
  readonly dataPlane: DataPlane;
  readonly dnsPort: number;
  readonly probePort: number;
  readonly stops: (() => unknown)[];
}

async function startNamedEnvoy(name: EnvoyName, surroundings: EnvoySurroundings): Promise<EnvoyProcess> {
  const { controlPlane, certificates, dataPlane, dnsPort, probePort, stops } = surroundings;
  const identity = identities[name];
  const folder = mkdtempSync(join(tmpdir(), "meltemi-behaviours-"));
  stops.push(() => rmSync(folder, { recursive: true, force: true }));
  const find = await certificates.createFinder(`spiffe://cluster.local/ns/${identity.namespace}/sa/default`);
  const secretsSocket = join(folder, "secrets");
  const secrets = await startSecretServer(secretsSocket, { find, report: () => undefined });
  stops.push(secrets.stop);
  const [host = "", port = ""] = controlPlane.grpcAddress.split(":");
  const envoy = await startEnvoy({
    ...identity,
    dataPlane,
    secretsSocket,
    dnsPort,
    probePort,
    discovery: { host, port: Number(port) },
  });
  stops.push(envoy.stop);
  return envoy;
}

interface ApplyParts {
  readonly source: MemorySource;
  readonly fill: (text: string) => string;
  readonly settle: () => Promise<void>;
}

function createApply({ source, fill, settle: waitForEnvoys }: ApplyParts): Rig["apply"] {
  const base = new Set(listRefs(fill(baseText)).map(objectKey));
  return async (behaviour) => {
    const text = fill([behaviour.config, readConfigFiles(behaviour)].join("\n---\n"));
    const refs = listRefs(text);
    // Waits, too: what Envoys remember of endpoints that stay, such as ejections, must not reach the next behaviour.
    const remove = async (): Promise<void> => {
      source.delete(...refs);
      if (refs.some((ref) => base.has(objectKey(ref)))) source.apply(fill(baseText));
      await waitForEnvoys();
    };
    try {
      const messages = source
        .apply(text)
        .filter(({ level }) => level === "error" || (level === "warning" && !behaviour.warns));
      if (messages.length > 0) throw new Error(messages.map(({ path, text: said }) => `${path}: ${said}`).join("\n"));
      await waitForEnvoys();
    } catch (cause) {
      await remove().catch(() => undefined);
      throw cause;
    }
    return remove;
  };
}

function readConfigFiles({ files, replace }: Behaviour): string {
  let text = files.map((file) => readFileSync(join(projectFolder, file), "utf8")).join("\n---\n");
  for (const [from, to] of Object.entries(replace)) {
    if (!text.includes(from)) throw new Error(`there is no "${from}" to replace in ${files.join(", ")}`);
    text = text.replaceAll(from, to);
  }
  return text;
}

function listRefs(text: string): readonly ObjectRef[] {
  return readDocuments(text).flatMap((document) =>
    parseObjects(document).flatMap(({ object }) => (object === undefined ? [] : [refOf(object)])),
  );
}

const settleMs = 15_000;
const pollMs = 8;

interface Parties {
  readonly controlPlane: ControlPlane;
  readonly envoys: ReadonlyMap<EnvoyName, EnvoyProcess>;
  readonly port: (name: string) => number;
}

/** Waits until every Envoy has acknowledged everything, twice in a row, nothing in it is warming, and workers know. */
async function settle({ controlPlane, envoys, port }: Parties): Promise<void> {
  const end = Date.now() + settleMs;
  let last = "";
  for (;;) {
    const { state, pending, refusals } = await readSync(controlPlane, envoys);
    if (refusals.length > 0) throw new Error(`refused by Envoy: ${refusals.join("\n")}`);
    if (pending.length === 0 && state === last) break;
    if (Date.now() > end) throw new Error(`not taken by Envoy in time: ${pending.join(", ")}`);
    last = pending.length === 0 ? state : "";
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
  // Envoy acknowledges before its worker has heard: what the worker answers now comes after that.
  for (const name of envoys.keys()) {
    await (await fetch(`http://127.0.0.1:${port(probeName(name))}/`)).arrayBuffer();
  }
}

const probeName = (name: EnvoyName): string => `${name}-probe`;
