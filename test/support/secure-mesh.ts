/** A control plane with TLS, an authority that the test holds too, and clients that prove who they are. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { ControlPlane } from "../../src/bootstrap/control-plane.ts";
import { createRootAuthority, issueServingCertificate, issueWorkloadCertificate } from "../../src/ca/authority.ts";
import { createFileAuthorityStore } from "../../src/ca/authority-files.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { type Log, silentLog } from "../../src/lib/log.ts";
import { parseSpiffeIdentity, type SpiffeIdentity } from "../../src/lib/spiffe.ts";
import { createMemorySource, type MemorySource } from "../../src/sources/memory.ts";
import { startTestControlPlane, type TestControlPlaneOptions } from "./control-plane.ts";
import { type ClientSecurity, XdsClient } from "./xds-client.ts";

const dayMs = 86_400_000;
/** Certificates with keys cost time: tests share what never changes. */
const shared = createRootAuthority({ organization: "cluster.local", lifetimeMs: dayMs, nowMs: systemClock.now() });

export interface SecureMesh {
  readonly source: MemorySource;
  readonly controlPlane: ControlPlane;
  /** PEM; of the authority that the control plane and its clients believe. */
  readonly roots: string;
  /** Where that authority lies. */
  readonly authorityDirectory: string;
  /** The certificate and key of an account, "namespace/name". */
  certify(account: string): Promise<NonNullable<ClientSecurity["certificate"]>>;
  /** A client over TLS with what is given, closed with the test. */
  connect(security?: Partial<ClientSecurity>): XdsClient;
  /** A client that shows the certificate of an account. */
  connectAs(account: string): Promise<XdsClient>;
}

export async function startSecureMesh(yaml: string, options: TestControlPlaneOptions = {}): Promise<SecureMesh> {
  const folder = mkdtempSync(join(tmpdir(), "meltemi-ca-"));
  const directory = join(folder, "ca");
  const local = { organization: "cluster.local", rootLifetimeMs: dayMs, clock: systemClock };
  const authority = await createFileAuthorityStore(directory, local).load();
  const source = createMemorySource();
  source.apply(yaml);
  const controlPlane = await startTestControlPlane({
    source,
    limits: { debounceQuietMs: 0, drainMs: 500 },
    ...options,
    options: { secureGrpcAddr: "127.0.0.1:0", rootCaDir: directory, ...options.options },
  });
  const clients: XdsClient[] = [];
  onTestFinished(async () => {
    for (const client of clients) client.close();
    await controlPlane.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const mesh: SecureMesh = {
    source,
    controlPlane,
    roots: authority.roots,
    authorityDirectory: directory,
    async certify(account) {
      const identity = identityOf(account);
      const lifetime = { lifetimeMs: dayMs, nowMs: systemClock.now() };
      const issued = await issueWorkloadCertificate(authority, { identity, ...lifetime });
      return { chain: issued.chain, key: issued.privateKey.reveal() };
    },
    connect(security = {}) {
      const client = new XdsClient(controlPlane.secureGrpcAddress(), { roots: authority.roots, ...security });
      clients.push(client);
      return client;
    },
    connectAs: async (account) => mesh.connect({ certificate: await mesh.certify(account) }),
  };
  return mesh;
}

function identityOf(account: string): SpiffeIdentity {
  const [namespace = "", name = ""] = account.split("/");
  const identity = parseSpiffeIdentity(`spiffe://cluster.local/ns/${namespace}/sa/${name}`);
  if (identity === undefined) throw new Error(`${account} is no account`);
  return identity;
}

/** A node as gateways state it: type, name, namespace and service account. */
export function gatewayNode(namespace: string, serviceAccount: string, labels: Readonly<Record<string, string>> = {}) {
  const text = (value: string) => ({ string_value: value });
  const fields = Object.fromEntries(Object.entries(labels).map(([name, value]) => [name, text(value)] as const));
  return {
    id: `router~10.0.0.9~gw.${namespace}~${namespace}.svc.cluster.local`,
    metadata: {
      fields: {
        NAMESPACE: text(namespace),
        SERVICE_ACCOUNT: text(serviceAccount),
        LABELS: { struct_value: { fields } },
      },
    },
  };
}

/** A Secret of type kubernetes.io/tls with a certificate of an authority that all tests share. */
export async function tlsSecret(namespace: string, name: string, host = `${name}.test`): Promise<TestSecret> {
  const issued = await issueServingCertificate(await shared, {
    names: [host],
    lifetimeMs: dayMs,
    nowMs: systemClock.now(),
  });
  const { roots } = await shared;
  const key = issued.privateKey.reveal();
  const data = { "tls.crt": issued.chain, "tls.key": key, "ca.crt": roots };
  const object = {
    apiVersion: "v1",
    kind: "Secret",
    type: "kubernetes.io/tls",
    metadata: { namespace, name },
    stringData: data,
  };
  return { yaml: `${JSON.stringify(object)}\n---\n`, chain: issued.chain, key, roots, object };
}

export interface TestSecret {
  readonly yaml: string;
  readonly chain: string;
  readonly key: string;
  readonly roots: string;
  readonly object: object;
}

/** A log that keeps its lines. */
export function createKeptLog(): { readonly log: Log; readonly lines: string[] } {
  const lines: string[] = [];
  const keep = (text: string, fields: unknown): void => void lines.push(`${text} ${JSON.stringify(fields)}`);
  const log: Log = { ...silentLog, info: keep, warn: keep, error: keep, child: () => log };
  return { log, lines };
}
