/** The service that certifies workloads, on a clock that stands still, with an authority of its own. */
import { decode, encode } from "@meltemi/protos";
import { authenticateBy } from "../../src/ca/authenticate.ts";
import { type Authority, createRootAuthority } from "../../src/ca/authority.ts";
import { createAuthoritySigner } from "../../src/ca/authority-signer.ts";
import { createCertificateAuthenticator } from "../../src/ca/certificate-authenticator.ts";
import {
  type CertificateCall,
  type CertificateServiceOptions,
  createCertificateService,
  type Refusal,
} from "../../src/ca/certificate-service.ts";
import type { Authenticator, PeerCredentials } from "../../src/lib/caller.ts";
import { createKeptLog } from "./secure-mesh.ts";
import { createRequest } from "./signing-requests.ts";
import { TestClock } from "./test-clock.ts";

/** The first instant of 2030. */
export const startMs = 1_893_456_000_000;
export const hourMs = 3_600_000;
export const dayMs = 24 * hourMs;

export interface WantedFields {
  readonly csr?: string;
  /** Seconds. */
  readonly lifetime?: number;
  readonly metadata?: Readonly<Record<string, string>>;
}

export type RigOptions = Partial<CertificateServiceOptions> & {
  readonly authority?: Authority;
  /** Asked in order; client certificates of cluster.local where not given. */
  readonly authenticators?: readonly Authenticator[];
};

/** What the service answers: PEM texts, or why not. */
export type RigAnswer = readonly string[] | Refusal;

export const certificateOf = (account: string, trustDomain = "cluster.local"): PeerCredentials => {
  const [namespace, name] = account.split("/");
  const subjectAltName = `URI:spiffe://${trustDomain}/ns/${namespace}/sa/${name}`;
  return { certificate: { kind: "verified", subjectAltName }, bearerTokens: [], clusterIds: [] };
};

export async function createCertificateRig(given: RigOptions = {}) {
  const clock = new TestClock();
  clock.advance(startMs);
  const { log, lines } = createKeptLog();
  const counts: string[] = [];
  const authority =
    given.authority ??
    (await createRootAuthority({ organization: "cluster.local", lifetimeMs: 3650 * dayMs, nowMs: startMs }));
  const authenticators = given.authenticators ?? [
    createCertificateAuthenticator({ trustDomains: () => ["cluster.local"] }),
  ];
  const service = createCertificateService({
    authenticate: (credentials) => authenticateBy(authenticators, credentials),
    signer: createAuthoritySigner({ authority: { load: async () => authority }, clock }),
    lifetimes: { defaultMs: dayMs, maxMs: 90 * dayMs },
    authorizeNode: undefined,
    metrics: { count: (name, labels = {}) => void counts.push([name, ...Object.values(labels)].join(" ")) },
    clock,
    log,
    ...given,
  });
  const callBytes = async (
    bytes: Uint8Array,
    credentials: PeerCredentials,
    call: Partial<CertificateCall> = {},
  ): Promise<RigAnswer> => {
    const peer = credentials.peer ?? "10.0.0.1:4711";
    const answer = await service.createCertificate(bytes, {
      ...{ credentials, peer, signal: new AbortController().signal },
      ...call,
    });
    return "code" in answer ? answer : (decode("istio.v1.auth.IstioCertificateResponse", answer).cert_chain ?? []);
  };
  return {
    clock,
    authority,
    /** What was logged and counted. */
    lines,
    counts,
    callBytes,
    call: (wanted: WantedFields = {}, credentials = certificateOf("shop/cart"), call: Partial<CertificateCall> = {}) =>
      callBytes(encodeRequest(wanted), credentials, call),
  };
}

export function encodeRequest({ csr = createRequest(), lifetime, metadata }: WantedFields): Uint8Array {
  const fields = Object.entries(metadata ?? {}).map(([name, text]) => [name, { string_value: text }] as const);
  return encode("istio.v1.auth.IstioCertificateRequest", {
    csr,
    ...(lifetime === undefined ? {} : { validity_duration: lifetime }),
    ...(metadata === undefined ? {} : { metadata: { fields: Object.fromEntries(fields) } }),
  });
}

/** The certificates of an answer; fails where it is a refusal. */
export function chainOf(answer: RigAnswer): readonly string[] {
  if ("code" in answer) throw new Error(`${answer.code}: ${answer.details}`);
  return answer;
}

/** "CODE details" of a refusal; "issued" where there is none. */
export const refusalIn = (answer: RigAnswer): string =>
  "code" in answer ? `${answer.code} ${answer.details}` : "issued";
