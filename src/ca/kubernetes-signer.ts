/**
 * A signer of the Kubernetes API in place of our own authority (row A14; Istio: security/pkg/pki/ra/k8s_ra.go and
 * security/pkg/k8s/chiron): each request becomes a CertificateSigningRequest, which we approve and whose certificate we
 * check, since what comes back is another's word.
 */
import { Buffer } from "node:buffer";
import { createPublicKey, type X509Certificate } from "node:crypto";
import { KubeApiError, type KubeClient, KubeConnectionError } from "../kube/kube-client.ts";
import { CertificateError, formatCertificate, parseCertificates } from "../lib/certificate.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { pause } from "../lib/pause.ts";
import { formatSpiffeIdentity } from "../lib/spiffe.ts";
import type { CertificateSigner, SignedCertificate, SigningOrder } from "./certificate-signer.ts";
import { checkRequestForRegistration } from "./registration-request.ts";
import { SigningRequestError } from "./signing-request.ts";
import { isIssuer, listRoots } from "./trust-bundle.ts";

export interface KubernetesSignerOptions {
  readonly client: KubeClient;
  /** The usual signer, such as "example.com/mesh" (K8S_SIGNER). */
  readonly signerName: string;
  /** Domain of the signers that workloads may choose (CERT_SIGNER_DOMAIN); "" lets them choose none. */
  readonly signerDomain: string;
  /** PEM of the roots that a signer's certificates lead to; undefined where nobody told them. */
  readonly findRoots: (signerName: string) => Promise<string | undefined>;
  readonly clock: Clock;
  readonly log: Log;
  /** Longest wait for a certificate; a minute where not given, as in istiod. */
  readonly timeoutMs?: number;
}

const requestsPath = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const usages = ["digital signature", "key encipherment", "server auth", "client auth"] as const;
/** The API server takes no shorter lives. */
const leastSeconds = 600;
const defaultTimeoutMs = 60_000;
const [firstLookMs, longestLookMs] = [100, 1_000];

export function createKubernetesSigner(options: KubernetesSignerOptions): CertificateSigner {
  const log = options.log.child({ component: "ca" });
  return {
    name: `signer of the Kubernetes API ${options.signerName}`,
    async sign(order, signal) {
      const signerName = findSigner(order.certSigner, options);
      await checkRequest(order);
      const roots = await options.findRoots(signerName);
      const { clock, timeoutMs = defaultTimeoutMs } = options;
      const deadline = new AbortController();
      const timer = clock.after(timeoutMs, () => deadline.abort());
      const either = AbortSignal.any([deadline.signal, ...(signal === undefined ? [] : [signal])]);
      try {
        const pem = await requestCertificate({ options, order, signerName, log }, either);
        return checkAnswer(pem, { order, roots, nowMs: clock.now() });
      } catch (cause: unknown) {
        throw describeFailure(cause, { isLate: deadline.signal.aborted, signerName });
      } finally {
        timer.close();
      }
    },
  };
}

function findSigner(wanted: string, { signerName, signerDomain }: KubernetesSignerOptions): string {
  if (wanted !== "" && signerDomain === "")
    throw new CertificateError(`a signer was asked for (${JSON.stringify(wanted)}) and CERT_SIGNER_DOMAIN is not set`);
  // What a caller says becomes part of a name that rights are given for.
  if (wanted !== "" && !/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(wanted))
    throw new CertificateError("the signer that was asked for has no name that Kubernetes takes");
  const name = wanted === "" ? signerName : `${signerDomain}/${wanted}`;
  if (name === "") throw new CertificateError("no signer is configured (K8S_SIGNER)");
  return name;
}

async function checkRequest({ request, identity }: SigningOrder): Promise<void> {
  try {
    await checkRequestForRegistration(request.pem, identity);
  } catch (cause: unknown) {
    if (!(cause instanceof SigningRequestError)) throw cause;
    throw new CertificateError(`the request is not one to be passed on: ${cause.message}`, { cause });
  }
}

interface Errand {
  readonly options: KubernetesSignerOptions;
  readonly order: SigningOrder;
  readonly signerName: string;
  readonly log: Log;
}

/** Makes, approves, waits, and clears up in any case. */
async function requestCertificate({ options, order, signerName, log }: Errand, signal: AbortSignal): Promise<string> {
  const { client, clock } = options;
  const body = {
    apiVersion: "certificates.k8s.io/v1",
    kind: "CertificateSigningRequest",
    metadata: { generateName: "csr-workload-" },
    spec: {
      request: Buffer.from(order.request.pem).toString("base64"),
      signerName,
      usages,
      expirationSeconds: Math.max(Math.round(order.lifetimeMs / 1000), leastSeconds),
    },
  };
  const made = await client.request({ method: "POST", path: requestsPath, body, signal });
  const path = `${requestsPath}/${readText(readField(made, "metadata"), "name")}`;
  try {
    await approve(client, { path, made, identity: formatSpiffeIdentity(order.identity) }, signal);
    for (let waitMs = firstLookMs; ; waitMs = Math.min(waitMs * 2, longestLookMs)) {
      const certificate = readCertificate(await client.request({ path, signal }));
      if (certificate !== undefined) return certificate;
      await pause(clock, waitMs, signal);
      signal.throwIfAborted();
    }
  } finally {
    // Not with the signal: what was given up has to be cleared up as well.
    await client
      .request({ method: "DELETE", path })
      .catch((error: unknown) => log.warn("a certificate signing request was left behind", { path, error }));
  }
}

interface Approval {
  readonly path: string;
  readonly made: unknown;
  readonly identity: string;
}

async function approve(client: KubeClient, { path, made, identity }: Approval, signal: AbortSignal): Promise<void> {
  const message = `the workload has proven to be ${identity}`;
  const condition = { type: "Approved", status: "True", reason: "WorkloadAuthenticated", message };
  const object = typeof made === "object" && made !== null ? made : {};
  const body = { ...object, status: { conditions: [condition] } };
  await client.request({ method: "PUT", path: `${path}/approval`, body, signal });
}

/** Undefined as long as there is none. Throws CertificateError where there will be none. */
function readCertificate(raw: unknown): string | undefined {
  const status = readField(raw, "status");
  const conditions = readField(status, "conditions");
  for (const condition of Array.isArray(conditions) ? conditions : []) {
    const type = readText(condition, "type");
    if (type === "Denied" || type === "Failed")
      throw new CertificateError(`the signer says ${type}: ${readText(condition, "message")}`);
  }
  const certificate = readText(status, "certificate");
  return certificate === "" ? undefined : Buffer.from(certificate, "base64").toString();
}

interface AnswerRules {
  readonly order: SigningOrder;
  readonly roots: string | undefined;
  readonly nowMs: number;
}

/** The certificate has our key and our name, holds, and leads to a root that is known, or that came along with it. */
function checkAnswer(pem: string, { order, roots, nowMs }: AnswerRules): SignedCertificate {
  const [leaf, ...above] = parseCertificates(pem, "the answer of the signer");
  const key = createPublicKey({ key: Buffer.from(order.request.publicKey), format: "der", type: "spki" });
  if (!leaf.publicKey.equals(key)) throw new CertificateError("the signer has certified another key");
  if (leaf.ca) throw new CertificateError("the signer has certified an authority");
  if (leaf.subjectAltName !== `URI:${formatSpiffeIdentity(order.identity)}`)
    throw new CertificateError("the signer has certified another name");
  const trusted = listRoots(roots ?? above.filter(isSelfSigned).map(formatCertificate).join(""));
  if (trusted.length === 0) throw new CertificateError("nobody says which root the signer's certificates lead to");
  const path = findWayUp(leaf, above, trusted);
  for (const certificate of path)
    if (certificate.validToDate.getTime() <= nowMs || certificate.validFromDate.getTime() > nowMs)
      throw new CertificateError("a certificate of the signer does not hold now");
  return {
    chain: path.map(formatCertificate),
    roots: trusted.map(formatCertificate).join(""),
    serialNumber: leaf.serialNumber.toLowerCase(),
    notAfterMs: leaf.validToDate.getTime(),
  };
}

/** The leaf and what stands between it and a root. Throws CertificateError where no root is above. */
function findWayUp(
  leaf: X509Certificate,
  above: readonly X509Certificate[],
  roots: readonly X509Certificate[],
): readonly X509Certificate[] {
  const path = [leaf];
  for (let current = leaf; ; ) {
    if (roots.some((root) => isIssuer(root, current))) return path;
    const next = above.find((other) => other.ca && !path.includes(other) && isIssuer(other, current));
    if (next === undefined)
      throw new CertificateError("the signer's certificate does not lead to a root that is known");
    path.push(next);
    current = next;
  }
}

const isSelfSigned = (certificate: X509Certificate): boolean => isIssuer(certificate, certificate);

function describeFailure(
  cause: unknown,
  { isLate, signerName }: { readonly isLate: boolean; readonly signerName: string },
): unknown {
  if (isLate) return new CertificateError(`the signer ${signerName} did not answer in time`, { cause });
  if (cause instanceof KubeApiError || cause instanceof KubeConnectionError)
    return new CertificateError(`the signer ${signerName} cannot be asked: ${cause.message}`, { cause });
  return cause;
}

function readField(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined;
}

function readText(value: unknown, key: string): string {
  const text = readField(value, key);
  return typeof text === "string" ? text : "";
}
