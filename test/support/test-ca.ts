/** A certificate authority behind gRPC, alone: what it answers is the test's to say. The signing core is the mesh's own. */
import { createPrivateKey, KeyObject, webcrypto } from "node:crypto";
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData, status } from "@grpc/grpc-js";
import { decode, encode } from "@meltemi/protos";
import {
  type Authority,
  createRootAuthority,
  issueServingCertificate,
  parseAuthority,
} from "../../src/ca/authority.ts";
import { createAuthoritySigner } from "../../src/ca/authority-signer.ts";
import { parseSigningRequest } from "../../src/ca/signing-request.ts";
import { loadX509 } from "../../src/ca/x509-library.ts";
import { type Clock, dateOf, systemClock } from "../../src/lib/clock.ts";
import type { SpiffeIdentity } from "../../src/lib/spiffe.ts";

export interface SeenRequest {
  readonly csr: string;
  readonly lifetimeMs: number;
  readonly certSigner: string;
  readonly token: string;
  readonly clusterId: string;
  readonly headers: Readonly<Record<string, unknown>>;
}

export interface TestCa {
  /** "host:port"; its certificate says localhost. */
  readonly address: string;
  /** What issues now; may be put in place of the last one. */
  authority: Authority;
  /** Where set, it is the lifetime of all certificates. */
  lifetimeMs: number | undefined;
  /** Where set, answers as it says instead: a code of gRPC, or a chain. */
  answer: ((request: SeenRequest) => number | readonly string[]) | undefined;
  readonly requests: SeenRequest[];
  /** What its own certificate leads to, whoever issues. */
  readonly serverRoots: string;
  stop(): void;
}

const dayMs = 86_400_000;

export interface TestCaOptions {
  readonly identity: SpiffeIdentity;
  /** By which certificates are dated. */
  readonly clock: Clock;
}

export async function startTestCa({ identity, clock }: TestCaOptions): Promise<TestCa> {
  const authority = await createTestRoot();
  const { chain, privateKey } = await issueServingCertificate(authority, {
    names: ["localhost"],
    lifetimeMs: dayMs,
    nowMs: systemClock.now(),
  });
  const server = new Server();
  const ca: TestCa = {
    address: "",
    authority,
    lifetimeMs: undefined,
    answer: undefined,
    requests: [],
    serverRoots: authority.roots,
    stop: () => server.forceShutdown(),
  };
  const signer = createAuthoritySigner({ authority: { load: async () => ca.authority }, clock });
  const sign = async (call: ServerUnaryCall<Uint8Array, Uint8Array>): Promise<number | readonly string[]> => {
    const seen = readRequest(call);
    ca.requests.push(seen);
    if (ca.answer !== undefined) return ca.answer(seen);
    const request = await parseSigningRequest(seen.csr);
    const lifetimeMs = ca.lifetimeMs ?? seen.lifetimeMs;
    const signed = await signer.sign({ request, identity, lifetimeMs, certSigner: "" });
    return [...signed.chain, signed.roots];
  };
  const same = (bytes: Buffer): Buffer => bytes;
  const path = "/istio.v1.auth.IstioCertificateService/CreateCertificate";
  const codec = {
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
  server.addService(
    { CreateCertificate: { path, requestStream: false, responseStream: false, ...codec } },
    {
      CreateCertificate: (call: ServerUnaryCall<Uint8Array, Uint8Array>, answer: sendUnaryData<Uint8Array>) => {
        sign(call).then(
          (result) => {
            if (typeof result === "number") answer({ code: result, details: "as the test says" });
            else answer(null, Buffer.from(encode("istio.v1.auth.IstioCertificateResponse", { cert_chain: result })));
          },
          (cause: unknown) => answer({ code: status.INTERNAL, details: String(cause) }),
        );
      },
    },
  );
  const pair = { cert_chain: Buffer.from(chain), private_key: Buffer.from(privateKey.reveal()) };
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createSsl(null, [pair]), (error, taken) => {
      if (error === null) resolve(taken);
      else reject(error);
    });
  });
  return Object.assign(ca, { address: `localhost:${port}` });
}

/** A root that holds for two days by the real clock. */
export function createTestRoot(): Promise<Authority> {
  return createRootAuthority({ organization: "cluster.local", lifetimeMs: 2 * dayMs, nowMs: systemClock.now() });
}

/** An authority between a root and what it issues. */
export async function createTestIntermediate(root: Authority): Promise<Authority> {
  const x509 = await loadX509();
  const curve = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await webcrypto.subtle.generateKey(curve, true, ["sign", "verify"]);
  const made = await x509.X509CertificateGenerator.create({
    subject: "O=between",
    issuer: new x509.X509Certificate(root.certificate).subjectName,
    notBefore: dateOf(systemClock.now() - dayMs),
    notAfter: dateOf(systemClock.now() + 2 * dayMs),
    publicKey: keys.publicKey,
    signingKey: createPrivateKey(root.privateKey.reveal()).toCryptoKey(curve, false, ["sign"]),
    signingAlgorithm: curve,
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
  });
  const certificate = `${made.toString("pem").trimEnd()}\n`;
  const privateKey = KeyObject.from(keys.privateKey).export({ type: "pkcs8", format: "pem" }).toString();
  const texts = { certificate, privateKey, chain: "", roots: root.certificate };
  return parseAuthority(texts, systemClock.now());
}

function readRequest(call: ServerUnaryCall<Uint8Array, Uint8Array>): SeenRequest {
  const message = decode("istio.v1.auth.IstioCertificateRequest", call.request);
  const headers = call.metadata.getMap();
  return {
    csr: message.csr ?? "",
    lifetimeMs: Number(message.validity_duration ?? 0) * 1000,
    certSigner: message.metadata?.fields?.["CertSigner"]?.string_value ?? "",
    token: String(headers["authorization"] ?? "").replace("Bearer ", ""),
    clusterId: String(headers["clusterid"] ?? ""),
    headers,
  };
}
