/** Asks an authority for a certificate: istio.v1.auth.IstioCertificateService/CreateCertificate. */
import { type ServiceError, status as statusCodes } from "@grpc/grpc-js";
import { decode, encode, struct } from "@meltemi/protos";
import type { Clock } from "../../../../src/lib/clock.ts";
import { asBuffer, asBytes, connectUpstream, type UpstreamOptions } from "./upstream.ts";

/** The authority did not answer with a certificate. The message shows no secret. */
export class CaError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "CaError";
  }
}

export interface SigningRequest {
  readonly upstream: UpstreamOptions;
  /** PKCS #10 in PEM. */
  readonly pem: string;
  readonly lifetimeMs: number;
  /** "" for the usual signer. */
  readonly certSigner: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

const path = "/istio.v1.auth.IstioCertificateService/CreateCertificate";
const patienceMs = 10_000;

/**
 * The chain that the authority answers with, PEM, the certificate first and a root last. One attempt on a connection of its
 * own: roots and token are those of now. Rejects with CaError, or UpstreamError where no attempt was possible.
 */
export async function requestCertificate(request: SigningRequest): Promise<readonly string[]> {
  const { client, metadata } = await connectUpstream(request.upstream);
  try {
    const message = encode("istio.v1.auth.IstioCertificateRequest", {
      csr: request.pem,
      validity_duration: Math.max(1, Math.round(request.lifetimeMs / 1000)),
      metadata: struct({ CertSigner: request.certSigner }),
    });
    const answer = await new Promise<Buffer>((resolve, reject) => {
      const call = client.makeUnaryRequest(path, asBuffer, asBytes, message, metadata, (error, bytes) => {
        finish();
        if (error !== null) reject(describe(error));
        else resolve(bytes ?? Buffer.alloc(0));
      });
      const cancel = (): void => call.cancel();
      const timer = request.clock.after(patienceMs, cancel);
      request.signal.addEventListener("abort", cancel, { once: true });
      const finish = (): void => {
        timer.close();
        request.signal.removeEventListener("abort", cancel);
      };
      if (request.signal.aborted) cancel();
    });
    return readChain(answer);
  } finally {
    client.close();
  }
}

function readChain(answer: Buffer): readonly string[] {
  let chain: readonly string[];
  try {
    chain = decode("istio.v1.auth.IstioCertificateResponse", answer).cert_chain ?? [];
  } catch (cause) {
    throw new CaError("the authority's answer cannot be read", { cause });
  }
  if (chain.length === 0) throw new CaError("the authority's answer holds no certificate");
  return chain;
}

/** What gRPC adds to its error (stack, metadata of the answer) helps nobody who reads our log. */
function describe({ code, details }: ServiceError): CaError {
  return new CaError(`${statusCodes[code] ?? code}: ${details}`);
}
