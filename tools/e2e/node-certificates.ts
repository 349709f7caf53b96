/** The certificates of the node's Kubernetes, one for each who, and the kubeconfigs made of them. */
import { generateKeyPairSync, webcrypto } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Extension, X509Certificate } from "@peculiar/x509";
import { stringify as stringifyYaml } from "yaml";
import { loadX509, type X509Library } from "../../src/ca/x509-library.ts";
import { apiServiceIp, apiUrl, kubeconfig, nodeIp, nodeName } from "./layout.ts";

interface Subject {
  readonly file: string;
  readonly name: string;
}

// Groups and names are those that Kubernetes' own roles are bound to.
const clients: readonly Subject[] = [
  { file: "admin", name: "O=system:masters,CN=admin" },
  { file: "apiserver-kubelet", name: "O=system:masters,CN=kube-apiserver-kubelet-client" },
  { file: "front-proxy", name: "CN=front-proxy" },
  { file: "controller-manager", name: "CN=system:kube-controller-manager" },
  { file: "scheduler", name: "CN=system:kube-scheduler" },
  { file: "kube-proxy", name: "CN=system:kube-proxy" },
  { file: "kubelet", name: `O=system:nodes,CN=system:node:${nodeName}` },
];
const apiHosts = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];
const apiAddresses = ["127.0.0.1", nodeIp, apiServiceIp];
const kubeconfigOwners = ["controller-manager", "scheduler", "kube-proxy", "kubelet"];

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const dayMs = 86_400_000;

interface Issued {
  readonly certificate: X509Certificate;
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly privateKey: webcrypto.CryptoKey;
}

/** Writes NAME.crt and NAME.key for everybody, NAME.conf (kubeconfig) for the components, and the administrator's. */
export async function writeCertificates(folder: string): Promise<void> {
  const x509 = await loadX509();
  const authority = await issue(x509, { file: "ca", name: "CN=e2e-ca" }, [
    new x509.BasicConstraintsExtension(true, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
  ]);
  const server = await issue(
    x509,
    { file: "apiserver", name: "CN=kube-apiserver" },
    [
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension([
        ...apiHosts.map((value) => ({ type: "dns", value }) as const),
        ...apiAddresses.map((value) => ({ type: "ip", value }) as const),
      ]),
    ],
    authority,
  );
  const issued = new Map([
    ["ca", authority],
    ["apiserver", server],
  ]);
  for (const client of clients) {
    const usage = new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]);
    issued.set(client.file, await issue(x509, client, [usage], authority));
  }
  for (const [name, pair] of issued) {
    write(join(folder, `${name}.crt`), pair.certificatePem);
    write(join(folder, `${name}.key`), pair.keyPem);
    const config = buildKubeconfig(authority, pair);
    if (kubeconfigOwners.includes(name)) write(join(folder, `${name}.conf`), config);
    if (name === "admin") write(kubeconfig, config);
  }
  writeServiceAccountKeys(folder);
}

async function issue(
  x509: X509Library,
  { name }: Subject,
  extensions: readonly Extension[],
  authority?: Issued,
): Promise<Issued> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const validity = { notBefore: new Date(Date.now() - dayMs), notAfter: new Date(Date.now() + 30 * dayMs) };
  const given = { ...validity, extensions: [...extensions], signingAlgorithm: algorithm };
  const certificate =
    authority === undefined
      ? await x509.X509CertificateGenerator.createSelfSigned({ ...given, name, keys })
      : await x509.X509CertificateGenerator.create({
          ...given,
          subject: name,
          issuer: authority.certificate.subject,
          publicKey: keys.publicKey,
          signingKey: authority.privateKey,
        });
  const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey));
  return {
    certificate,
    certificatePem: `${certificate.toString("pem")}\n`,
    keyPem: x509.PemConverter.encode(der, "PRIVATE KEY"),
    privateKey: keys.privateKey,
  };
}

function buildKubeconfig(authority: Issued, client: Issued): string {
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  return stringifyYaml({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "e2e",
    clusters: [
      {
        name: "e2e",
        cluster: { server: apiUrl, "certificate-authority-data": base64(authority.certificatePem) },
      },
    ],
    users: [
      {
        name: "e2e",
        user: {
          "client-certificate-data": base64(client.certificatePem),
          "client-key-data": base64(client.keyPem),
        },
      },
    ],
    contexts: [{ name: "e2e", context: { cluster: "e2e", user: "e2e" } }],
  });
}

/** The API server signs the tokens of service accounts with this pair. */
function writeServiceAccountKeys(folder: string): void {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  write(join(folder, "sa.pub"), publicKey.export({ type: "spki", format: "pem" }).toString());
  write(join(folder, "sa.key"), privateKey.export({ type: "pkcs8", format: "pem" }).toString());
}

function write(file: string, content: string): void {
  writeFileSync(file, content, { mode: 0o600 });
}
